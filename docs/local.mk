# Manual pages, the bash completion (installed under the program's name, as bash looks for it), and pages for developers.
dist_man_MANS += \
	docs/gondolin.1 \
	docs/gondolin-build.1 \
	docs/gondolin-checkpoint.1 \
	docs/gondolin-doctor.1 \
	docs/gondolin-exec.1 \
	docs/gondolin-gc.1 \
	docs/gondolin-image.1 \
	docs/gondolin-list.1 \
	docs/gondolin-mount.1 \
	docs/gondolin-files.5 \
	docs/gondolin-protocol.7 \
	docs/gondolin-vfs-hook.7

bashcompletion_DATA = docs/gondolin
docs/gondolin: docs/gondolin.bash
	$(AM_V_GEN)$(MKDIR_P) docs && cp $< $@
CLEANFILES += docs/gondolin
EXTRA_DIST += \
	docs/architecture.md \
	docs/dependencies.md \
	docs/gondolin.bash \
	docs/performance.md \
	docs/posix.md
