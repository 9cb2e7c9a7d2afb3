# The host's side of a mount, without a kernel and without a guest.
HOSTVIEW_TEST_LIBS = fs/libhostview.a fs/libfs.a src/libcommon.a -lpthread $(UNIT_LIBS)

check_PROGRAMS += tests/unit/test-caller tests/unit/test-pump tests/unit/test-hostview
tests_unit_test_caller_SOURCES = tests/unit/test-caller.c
tests_unit_test_caller_CPPFLAGS = $(AM_CPPFLAGS) $(CRITERION_CFLAGS)
tests_unit_test_caller_LDADD = $(HOSTVIEW_TEST_LIBS)
tests_unit_test_pump_SOURCES = tests/unit/test-pump.c tests/unit/pumpbench.c tests/unit/pumpbench.h
tests_unit_test_pump_CPPFLAGS = $(AM_CPPFLAGS) $(CRITERION_CFLAGS)
tests_unit_test_pump_LDADD = $(HOSTVIEW_TEST_LIBS)
tests_unit_test_hostview_SOURCES = tests/unit/test-hostview.c tests/unit/pumpbench.c tests/unit/pumpbench.h
tests_unit_test_hostview_CPPFLAGS = $(AM_CPPFLAGS) $(CRITERION_CFLAGS)
tests_unit_test_hostview_LDADD = $(HOSTVIEW_TEST_LIBS)
TESTS += tests/unit/test-caller tests/unit/test-pump tests/unit/test-hostview

check_PROGRAMS += tests/unit/test-notifier
tests_unit_test_notifier_SOURCES = tests/unit/test-notifier.c
tests_unit_test_notifier_CPPFLAGS = $(AM_CPPFLAGS) $(CRITERION_CFLAGS)
tests_unit_test_notifier_LDADD = $(HOSTVIEW_TEST_LIBS)
TESTS += tests/unit/test-notifier
