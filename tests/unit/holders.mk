check_PROGRAMS += tests/unit/test-holders
tests_unit_test_holders_SOURCES = tests/unit/test-holders.c
tests_unit_test_holders_CPPFLAGS = $(AM_CPPFLAGS) $(CRITERION_CFLAGS)
tests_unit_test_holders_LDADD = src/libhost.a src/libcommon.a $(UNIT_LIBS)
TESTS += tests/unit/test-holders
