# The command line.
CLI_TESTS = \
	tests/integration/cli-errors.sh \
	tests/integration/docs-agree.sh \
	tests/integration/exec.sh \
	tests/integration/files-documented.sh \
	tests/integration/list.sh \
	tests/integration/shell.sh
TESTS += $(CLI_TESTS)
EXTRA_DIST += $(CLI_TESTS) tests/tools/on-pty.py
$(CLI_TESTS:.sh=.log): tests/store.stamp
