check_PROGRAMS += tests/unit/test-nodes
tests_unit_test_nodes_SOURCES = tests/unit/test-nodes.c
tests_unit_test_nodes_CPPFLAGS = $(AM_CPPFLAGS) $(CRITERION_CFLAGS)
tests_unit_test_nodes_LDADD = fs/libhostview.a fs/libfs.a src/libcommon.a $(UNIT_LIBS)
TESTS += tests/unit/test-nodes
