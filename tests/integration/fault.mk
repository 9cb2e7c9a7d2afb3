# Everything that can go wrong: each leaves a sentence that says why, and nothing else.
FAULT_TESTS = \
	tests/integration/fault-guest-ends.sh \
	tests/integration/fault-machine-killed.sh \
	tests/integration/fault-no-tools.sh \
	tests/integration/fault-supervisor-killed.sh
TESTS += $(FAULT_TESTS)
EXTRA_DIST += $(FAULT_TESTS)
$(FAULT_TESTS:.sh=.log): tests/store.stamp
