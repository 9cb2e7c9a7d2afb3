# Host directories in the guest.
MOUNTS_TESTS = \
	tests/integration/config.sh \
	tests/integration/hostile-mounts.sh \
	tests/integration/mounts-basic.sh \
	tests/integration/mounts-below.sh \
	tests/integration/mounts-coherence.sh \
	tests/integration/mounts-continue.sh \
	tests/integration/mounts-hook.sh \
	tests/integration/mounts-inotify.sh \
	tests/integration/mounts-killed.sh \
	tests/integration/mounts-large.sh \
	tests/integration/mounts-locks.sh \
	tests/integration/mounts-many.sh \
	tests/integration/mounts-owner.sh \
	tests/integration/mounts-programs.sh \
	tests/integration/mounts-restart.sh \
	tests/integration/mounts-sandbox-below.sh \
	tests/integration/mounts-shadow.sh
TESTS += $(MOUNTS_TESTS)
EXTRA_DIST += $(MOUNTS_TESTS) tests/tools/counter.py tests/tools/hostile-guest.py tests/tools/lock-checks.py \
	tests/tools/two-sided.py
$(MOUNTS_TESTS:.sh=.log): tests/store.stamp
