check_PROGRAMS += tests/unit/test-wire tests/unit/test-wire-reply
tests_unit_test_wire_SOURCES = tests/unit/test-wire.c
tests_unit_test_wire_CPPFLAGS = $(AM_CPPFLAGS) $(CRITERION_CFLAGS)
tests_unit_test_wire_LDADD = fs/libfs.a $(UNIT_LIBS)
tests_unit_test_wire_reply_SOURCES = tests/unit/test-wire-reply.c
tests_unit_test_wire_reply_CPPFLAGS = $(AM_CPPFLAGS) $(CRITERION_CFLAGS)
tests_unit_test_wire_reply_LDADD = fs/libfs.a $(UNIT_LIBS)
TESTS += tests/unit/test-wire tests/unit/test-wire-reply
