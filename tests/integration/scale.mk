# Much of everything.
SCALE_TESTS = \
	tests/integration/scale-cycles.sh \
	tests/integration/scale-directory.sh \
	tests/integration/scale-jobs.sh \
	tests/integration/scale-sandboxes.sh \
	tests/integration/scale-sparse.sh
TESTS += $(SCALE_TESTS)
EXTRA_DIST += $(SCALE_TESTS)
$(SCALE_TESTS:.sh=.log): tests/store.stamp
