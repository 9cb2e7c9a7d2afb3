check_PROGRAMS += tests/unit/test-accel-memory
TESTS += tests/unit/test-accel-memory
tests_unit_test_accel_memory_SOURCES = tests/unit/test-accel-memory.c
tests_unit_test_accel_memory_CPPFLAGS = $(VMM_TEST_CPPFLAGS)
tests_unit_test_accel_memory_LDADD = $(VMM_TEST_LIBS)
