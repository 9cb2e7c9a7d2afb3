check_PROGRAMS += tests/unit/test-mount-spec
tests_unit_test_mount_spec_SOURCES = tests/unit/test-mount-spec.c
tests_unit_test_mount_spec_CPPFLAGS = $(AM_CPPFLAGS) $(CRITERION_CFLAGS)
tests_unit_test_mount_spec_LDADD = src/libhost.a src/libcommon.a $(JSON_LIBS) $(UNIT_LIBS)
TESTS += tests/unit/test-mount-spec
