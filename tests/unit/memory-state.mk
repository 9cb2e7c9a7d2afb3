TREEDUMP_SOURCES = tests/tools/treedump.c tests/tools/treedump.h
check_PROGRAMS += tests/unit/test-memory-load
tests_unit_test_memory_load_SOURCES = tests/unit/test-memory-load.c $(TREEDUMP_SOURCES)
tests_unit_test_memory_load_CPPFLAGS = $(AM_CPPFLAGS) $(CRITERION_CFLAGS)
tests_unit_test_memory_load_LDADD = fs/libworker.a fs/libfs.a $(UNIT_LIBS)
TESTS += tests/unit/test-memory-load
