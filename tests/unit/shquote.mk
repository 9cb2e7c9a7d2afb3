check_PROGRAMS += tests/unit/test-shquote
tests_unit_test_shquote_SOURCES = tests/unit/test-shquote.c
tests_unit_test_shquote_CPPFLAGS = $(AM_CPPFLAGS) $(CRITERION_CFLAGS)
tests_unit_test_shquote_LDADD = src/libhost.a src/libcommon.a $(UNIT_LIBS)
TESTS += tests/unit/test-shquote
