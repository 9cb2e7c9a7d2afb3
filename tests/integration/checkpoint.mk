# Checkpoints, as far as they need no sandbox.
CHECKPOINT_STORE_TESTS = \
	tests/integration/checkpoint-store-files.sh \
	tests/integration/checkpoint-store-space.sh \
	tests/integration/checkpoint-store-view.sh
TESTS += $(CHECKPOINT_STORE_TESTS)
EXTRA_DIST += $(CHECKPOINT_STORE_TESTS) tests/tools/hostile-checkpoints.py
$(CHECKPOINT_STORE_TESTS:.sh=.log): tests/store.stamp tests/tools/make-checkpoint$(EXEEXT)
