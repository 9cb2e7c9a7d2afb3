# Everything that can go wrong: each leaves a sentence that says why, and nothing else.
FAULT_TESTS = \
	tests/integration/fault-boot-interrupted.sh \
	tests/integration/fault-disk-full.sh \
	tests/integration/fault-fsync.sh \
	tests/integration/fault-guest-ends.sh \
	tests/integration/fault-guest-memory.sh \
	tests/integration/fault-image-damaged.sh \
	tests/integration/fault-machine-killed.sh \
	tests/integration/fault-mount-point.sh \
	tests/integration/fault-no-tools.sh \
	tests/integration/fault-stall.sh \
	tests/integration/fault-store-full.sh \
	tests/integration/fault-supervisor-killed.sh \
	tests/integration/fault-umount-busy.sh
TESTS += $(FAULT_TESTS)
EXTRA_DIST += $(FAULT_TESTS)
$(FAULT_TESTS:.sh=.log): tests/store.stamp
