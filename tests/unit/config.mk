check_PROGRAMS += tests/unit/test-config
tests_unit_test_config_SOURCES = tests/unit/test-config.c
tests_unit_test_config_CPPFLAGS = $(AM_CPPFLAGS) $(CRITERION_CFLAGS)
tests_unit_test_config_LDADD = src/libhost.a src/libcommon.a $(JSON_LIBS) $(UNIT_LIBS)
TESTS += tests/unit/test-config

check_PROGRAMS += tests/fuzz/replay-config
tests_fuzz_replay_config_SOURCES = tests/fuzz/fuzz-config.c $(FUZZ_COMMON)
tests_fuzz_replay_config_LDADD = src/libhost.a src/libcommon.a $(JSON_LIBS)
