noinst_LIBRARIES += vmm/libvmm.a
vmm_libvmm_a_SOURCES = \
	vmm/accel.c vmm/accel.h \
	vmm/accel_memory.c vmm/accel_memory.h \
	vmm/argv.c vmm/argv.h \
	vmm/backends.c vmm/vmm.h \
	vmm/child.c vmm/child.h \
	vmm/known.c vmm/known.h \
	vmm/kvm_probe.c vmm/kvm_probe.h \
	vmm/pages.c vmm/pages.h \
	vmm/program.c vmm/program.h \
	vmm/qcow2.c vmm/qcow2.h vmm/qcow2_header.h \
	vmm/qcow2_backing.c \
	vmm/qcow2_check.c \
	vmm/qemu.c vmm/qemu_internal.h vmm/qemu_machine.h \
	vmm/qemu_args.c vmm/qemu_args.h \
	vmm/qemu_check.c \
	vmm/qemu_disk.c \
	vmm/qemu_foreign.c \
	vmm/qemu_save.c \
	vmm/qemu_shape.c \
	vmm/qmp.c vmm/qmp.h \
	vmm/sparse.c vmm/sparse.h \
	vmm/tail.c vmm/tail.h \
	vmm/tsc.c \
	vmm/worker.c vmm/worker.h
