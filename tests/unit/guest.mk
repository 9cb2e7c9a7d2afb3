guest_test_libs = guest/libguest.a src/libcommon.a $(JSON_LIBS) -lpthread $(UNIT_LIBS)

check_PROGRAMS += tests/unit/test-guest-job tests/unit/test-guest-session tests/unit/test-guest-parse

tests_unit_test_guest_job_SOURCES = tests/unit/test-guest-job.c tests/unit/guesthost.c tests/unit/guesthost.h tests/unit/ctlversion.h
tests_unit_test_guest_job_CPPFLAGS = $(AM_CPPFLAGS) $(CRITERION_CFLAGS)
tests_unit_test_guest_job_LDADD = $(guest_test_libs)

tests_unit_test_guest_session_SOURCES = tests/unit/test-guest-session.c tests/unit/guesthost.c tests/unit/guesthost.h tests/unit/ctlversion.h
tests_unit_test_guest_session_CPPFLAGS = $(AM_CPPFLAGS) $(CRITERION_CFLAGS)
tests_unit_test_guest_session_LDADD = $(guest_test_libs)

tests_unit_test_guest_parse_SOURCES = tests/unit/test-guest-parse.c
tests_unit_test_guest_parse_CPPFLAGS = $(AM_CPPFLAGS) $(CRITERION_CFLAGS)
tests_unit_test_guest_parse_LDADD = $(guest_test_libs)

TESTS += tests/unit/test-guest-job tests/unit/test-guest-session tests/unit/test-guest-parse
