check_PROGRAMS += tests/unit/test-ended
tests_unit_test_ended_SOURCES = tests/unit/test-ended.c
tests_unit_test_ended_CPPFLAGS = $(AM_CPPFLAGS) $(CRITERION_CFLAGS)
tests_unit_test_ended_LDADD = src/libhost.a src/libcommon.a $(JSON_LIBS) $(UNIT_LIBS)
TESTS += tests/unit/test-ended
