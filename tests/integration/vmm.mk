# The tests of vmm/ and of gondolin doctor: they need no image.
VMM_INTEGRATION_TESTS = tests/integration/doctor.sh tests/integration/nested-kvm-probe.sh
TESTS += $(VMM_INTEGRATION_TESTS)
EXTRA_DIST += $(VMM_INTEGRATION_TESTS)
tests/integration/doctor.log: gondolin$(EXEEXT) gondolin-engine$(EXEEXT)

# Static, because it runs in a machine that has nothing else.
check_PROGRAMS += tests/tools/accel-probe
tests_tools_accel_probe_SOURCES = tests/tools/accel-probe.c src/loop.c \
	vmm/accel.c vmm/accel_memory.c vmm/kvm_probe.c vmm/tsc.c
tests_tools_accel_probe_CFLAGS = $(WARN_CFLAGS) -fno-pie
tests_tools_accel_probe_LDFLAGS = -static
tests/integration/nested-kvm-probe.log: tests/tools/accel-probe$(EXEEXT)

# This one needs an image's kernel and modules.
TESTS += tests/integration/save-machine.sh
EXTRA_DIST += tests/integration/save-machine.sh
check_PROGRAMS += tests/tools/counting-init tests/tools/save-machine
tests_tools_counting_init_SOURCES = tests/tools/counting-init.c
tests_tools_counting_init_CFLAGS = $(WARN_CFLAGS) -fno-pie
tests_tools_counting_init_LDFLAGS = -static
tests_tools_save_machine_SOURCES = tests/tools/save-machine.c
tests_tools_save_machine_LDADD = vmm/libvmm.a src/libhost.a src/libcommon.a $(JSON_LIBS)
tests/integration/save-machine.log: tests/store.stamp tests/tools/counting-init$(EXEEXT) tests/tools/save-machine$(EXEEXT)
