check_PROGRAMS += tests/unit/test-jail
tests_unit_test_jail_SOURCES = tests/unit/test-jail.c
tests_unit_test_jail_CPPFLAGS = $(AM_CPPFLAGS) $(CRITERION_CFLAGS)
tests_unit_test_jail_LDADD = fs/libhostview.a src/libcommon.a $(UNIT_LIBS)
TESTS += tests/unit/test-jail
