check_PROGRAMS += tests/unit/test-copier
tests_unit_test_copier_SOURCES = tests/unit/test-copier.c
tests_unit_test_copier_CPPFLAGS = $(AM_CPPFLAGS) $(CRITERION_CFLAGS)
tests_unit_test_copier_LDADD = src/libhost.a src/libcommon.a $(UNIT_LIBS)
TESTS += tests/unit/test-copier
