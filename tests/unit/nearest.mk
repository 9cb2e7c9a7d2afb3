check_PROGRAMS += tests/unit/test-nearest
tests_unit_test_nearest_SOURCES = tests/unit/test-nearest.c
tests_unit_test_nearest_CPPFLAGS = $(AM_CPPFLAGS) $(CRITERION_CFLAGS)
tests_unit_test_nearest_LDADD = src/libhost.a $(UNIT_LIBS)
TESTS += tests/unit/test-nearest
