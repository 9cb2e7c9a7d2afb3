check_PROGRAMS += tests/unit/test-memory
tests_unit_test_memory_SOURCES = tests/unit/test-memory.c
tests_unit_test_memory_CPPFLAGS = $(AM_CPPFLAGS) $(CRITERION_CFLAGS)
tests_unit_test_memory_LDADD = fs/libworker.a fs/libfs.a $(UNIT_LIBS)
TESTS += tests/unit/test-memory
