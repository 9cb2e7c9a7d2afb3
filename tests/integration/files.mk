# Control files and the host view, and guests that are hostile.
FILES_TESTS = \
	tests/integration/bin.sh \
	tests/integration/control-input.sh \
	tests/integration/control-waits.sh \
	tests/integration/control-writers.sh \
	tests/integration/followed-files.sh \
	tests/integration/hostile-boot.sh \
	tests/integration/hostile-files.sh \
	tests/integration/hostile-guest.sh \
	tests/integration/hostview-jail.sh \
	tests/integration/hostview-posix.sh \
	tests/integration/hostview-programs.sh \
	tests/integration/streams.sh \
	tests/integration/window.sh
TESTS += $(FILES_TESTS)
EXTRA_DIST += $(FILES_TESTS) tests/integration/fake-guest.sh tests/tools/fake-qemu.py tests/tools/headers.py \
	tests/tools/posix-checks.py
$(FILES_TESTS:.sh=.log): tests/store.stamp
