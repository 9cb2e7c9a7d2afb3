check_PROGRAMS += tests/unit/test-rootserve
tests_unit_test_rootserve_SOURCES = tests/unit/test-rootserve.c guest/fanwatch.c guest/fanwatch.h guest/rootserve.c \
	guest/rootserve.h guest/window.c guest/window.h
tests_unit_test_rootserve_CPPFLAGS = $(AM_CPPFLAGS) $(CRITERION_CFLAGS)
tests_unit_test_rootserve_LDADD = fs/libfs.a $(UNIT_LIBS)
TESTS += tests/unit/test-rootserve
