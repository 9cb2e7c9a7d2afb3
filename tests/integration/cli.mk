# The command line: some of these need no image.
CLI_TESTS = \
	tests/integration/cli-errors.sh \
	tests/integration/exec.sh \
	tests/integration/files-documented.sh \
	tests/integration/list.sh \
	tests/integration/shell.sh
CLI_TESTS_NO_IMAGE = \
	tests/integration/docs-agree.sh
TESTS += $(CLI_TESTS) $(CLI_TESTS_NO_IMAGE)
EXTRA_DIST += $(CLI_TESTS) $(CLI_TESTS_NO_IMAGE) tests/tools/on-pty.py
$(CLI_TESTS:.sh=.log): tests/store.stamp
$(CLI_TESTS_NO_IMAGE:.sh=.log): gondolin$(EXEEXT) gondolin-engine$(EXEEXT)
