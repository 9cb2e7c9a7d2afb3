# Checkpoints of real machines.
CHECKPOINT_TESTS = \
	tests/integration/checkpoint-compile.sh \
	tests/integration/checkpoint-damaged.sh \
	tests/integration/checkpoint-deep.sh \
	tests/integration/checkpoint-disk.sh \
	tests/integration/checkpoint-fork.sh \
	tests/integration/checkpoint-full.sh \
	tests/integration/checkpoint-killed.sh \
	tests/integration/checkpoint-load.sh \
	tests/integration/checkpoint-restore.sh \
	tests/integration/checkpoint-restore-ends.sh \
	tests/integration/checkpoint-truth.sh \
	tests/integration/warm-start.sh
TESTS += $(CHECKPOINT_TESTS)
EXTRA_DIST += $(CHECKPOINT_TESTS)
$(CHECKPOINT_TESTS:.sh=.log): tests/store.stamp

# Checkpoints, as far as they need no sandbox.
CHECKPOINT_STORE_TESTS = \
	tests/integration/checkpoint-store-files.sh \
	tests/integration/checkpoint-store-space.sh \
	tests/integration/checkpoint-store-view.sh
TESTS += $(CHECKPOINT_STORE_TESTS)
EXTRA_DIST += $(CHECKPOINT_STORE_TESTS) tests/tools/hostile-checkpoints.py
$(CHECKPOINT_STORE_TESTS:.sh=.log): tests/store.stamp tests/tools/make-checkpoint$(EXEEXT)
