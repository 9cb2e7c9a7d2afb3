check_PROGRAMS += tests/unit/test-hook-line tests/unit/test-hooks
tests_unit_test_hook_line_SOURCES = tests/unit/test-hook-line.c
tests_unit_test_hook_line_CPPFLAGS = $(AM_CPPFLAGS) $(CRITERION_CFLAGS)
tests_unit_test_hook_line_LDADD = fs/libworker.a fs/libfs.a $(UNIT_LIBS)
tests_unit_test_hooks_SOURCES = tests/unit/test-hooks.c
tests_unit_test_hooks_CPPFLAGS = $(AM_CPPFLAGS) $(CRITERION_CFLAGS)
tests_unit_test_hooks_LDADD = fs/libworker.a fs/libfs.a $(UNIT_LIBS)
TESTS += tests/unit/test-hook-line tests/unit/test-hooks

check_PROGRAMS += tests/fuzz/replay-hook
tests_fuzz_replay_hook_SOURCES = tests/fuzz/fuzz-hook.c $(FUZZ_COMMON)
tests_fuzz_replay_hook_LDADD = fs/libworker.a
