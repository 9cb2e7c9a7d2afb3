check_PROGRAMS += tests/unit/test-printable
tests_unit_test_printable_SOURCES = tests/unit/test-printable.c
tests_unit_test_printable_CPPFLAGS = $(AM_CPPFLAGS) $(CRITERION_CFLAGS)
tests_unit_test_printable_LDADD = src/libcommon.a $(UNIT_LIBS)
TESTS += tests/unit/test-printable
