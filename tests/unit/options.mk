check_PROGRAMS += tests/unit/test-options
tests_unit_test_options_SOURCES = tests/unit/test-options.c
tests_unit_test_options_CPPFLAGS = $(AM_CPPFLAGS) $(CRITERION_CFLAGS)
tests_unit_test_options_LDADD = src/libhost.a src/libcommon.a $(UNIT_LIBS)
TESTS += tests/unit/test-options
