check_PROGRAMS += tests/unit/test-host-path
tests_unit_test_host_path_SOURCES = tests/unit/test-host-path.c
tests_unit_test_host_path_CPPFLAGS = $(AM_CPPFLAGS) $(CRITERION_CFLAGS)
tests_unit_test_host_path_LDADD = src/libsupervisor.a images/libimages.a src/libhost.a src/libcommon.a $(UNIT_LIBS)
TESTS += tests/unit/test-host-path
