check_PROGRAMS += tests/unit/test-patterns
tests_unit_test_patterns_SOURCES = tests/unit/test-patterns.c
tests_unit_test_patterns_CPPFLAGS = $(AM_CPPFLAGS) $(CRITERION_CFLAGS)
tests_unit_test_patterns_LDADD = fs/libworker.a fs/libfs.a $(UNIT_LIBS)
TESTS += tests/unit/test-patterns
