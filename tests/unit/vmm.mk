# Unit tests of vmm/.
VMM_TESTS = tests/unit/test-accel tests/unit/test-argv tests/unit/test-child tests/unit/test-disk-copies \
	tests/unit/test-known tests/unit/test-pages tests/unit/test-qcow2 tests/unit/test-qemu tests/unit/test-qemu-args \
	tests/unit/test-qemu-check tests/unit/test-qemu-shape tests/unit/test-qmp tests/unit/test-tail
VMM_TEST_CPPFLAGS = $(AM_CPPFLAGS) $(CRITERION_CFLAGS)
VMM_TEST_LIBS = vmm/libvmm.a src/libhost.a src/libcommon.a $(JSON_LIBS) $(UNIT_LIBS)

check_PROGRAMS += $(VMM_TESTS)
TESTS += $(VMM_TESTS)
tests_unit_test_accel_SOURCES = tests/unit/test-accel.c
tests_unit_test_accel_CPPFLAGS = $(VMM_TEST_CPPFLAGS)
tests_unit_test_accel_LDADD = $(VMM_TEST_LIBS)
tests_unit_test_argv_SOURCES = tests/unit/test-argv.c
tests_unit_test_argv_CPPFLAGS = $(VMM_TEST_CPPFLAGS)
tests_unit_test_argv_LDADD = $(VMM_TEST_LIBS)
tests_unit_test_child_SOURCES = tests/unit/test-child.c
tests_unit_test_child_CPPFLAGS = $(VMM_TEST_CPPFLAGS)
tests_unit_test_child_LDADD = $(VMM_TEST_LIBS)
tests_unit_test_qcow2_SOURCES = tests/unit/test-qcow2.c
tests_unit_test_qcow2_CPPFLAGS = $(VMM_TEST_CPPFLAGS)
tests_unit_test_qcow2_LDADD = images/libimages.a $(VMM_TEST_LIBS)
tests_unit_test_qemu_SOURCES = tests/unit/test-qemu.c
tests_unit_test_qemu_CPPFLAGS = $(VMM_TEST_CPPFLAGS)
tests_unit_test_qemu_LDADD = $(VMM_TEST_LIBS)
tests_unit_test_qemu_args_SOURCES = tests/unit/test-qemu-args.c
tests_unit_test_qemu_args_CPPFLAGS = $(VMM_TEST_CPPFLAGS)
tests_unit_test_qemu_args_LDADD = $(VMM_TEST_LIBS)
tests_unit_test_qemu_check_SOURCES = tests/unit/test-qemu-check.c
tests_unit_test_qemu_check_CPPFLAGS = $(VMM_TEST_CPPFLAGS)
tests_unit_test_qemu_check_LDADD = $(VMM_TEST_LIBS)
tests_unit_test_qemu_shape_SOURCES = tests/unit/test-qemu-shape.c
tests_unit_test_qemu_shape_CPPFLAGS = $(VMM_TEST_CPPFLAGS)
tests_unit_test_qemu_shape_LDADD = $(VMM_TEST_LIBS)
tests_unit_test_qmp_SOURCES = tests/unit/test-qmp.c
tests_unit_test_qmp_CPPFLAGS = $(VMM_TEST_CPPFLAGS)
tests_unit_test_qmp_LDADD = $(VMM_TEST_LIBS)
tests_unit_test_tail_SOURCES = tests/unit/test-tail.c
tests_unit_test_tail_CPPFLAGS = $(VMM_TEST_CPPFLAGS)
tests_unit_test_tail_LDADD = $(VMM_TEST_LIBS)
tests_unit_test_disk_copies_SOURCES = tests/unit/test-disk-copies.c
tests_unit_test_disk_copies_CPPFLAGS = $(VMM_TEST_CPPFLAGS)
tests_unit_test_disk_copies_LDADD = $(VMM_TEST_LIBS)
tests_unit_test_pages_SOURCES = tests/unit/test-pages.c
tests_unit_test_pages_CPPFLAGS = $(VMM_TEST_CPPFLAGS)
tests_unit_test_pages_LDADD = $(VMM_TEST_LIBS)
tests_unit_test_known_SOURCES = tests/unit/test-known.c
tests_unit_test_known_CPPFLAGS = $(VMM_TEST_CPPFLAGS)
tests_unit_test_known_LDADD = $(VMM_TEST_LIBS)
