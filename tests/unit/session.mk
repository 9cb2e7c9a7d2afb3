check_PROGRAMS += tests/unit/test-session
tests_unit_test_session_SOURCES = tests/unit/test-session.c
tests_unit_test_session_CPPFLAGS = $(AM_CPPFLAGS) $(CRITERION_CFLAGS)
tests_unit_test_session_LDADD = src/libhost.a src/libcommon.a $(JSON_LIBS) $(UNIT_LIBS)
TESTS += tests/unit/test-session
