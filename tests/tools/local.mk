# Programs that only tests use, and the test of the server on this machine's own /dev/fuse.
check_PROGRAMS += tests/tools/serve-dir tests/tools/fsx tests/tools/inotify-watch
tests_tools_inotify_watch_SOURCES = tests/tools/inotify-watch.c
tests_tools_inotify_watch_CFLAGS = $(WARN_CFLAGS) -fno-sanitize=all
tests_tools_inotify_watch_LDFLAGS = -static
tests_tools_serve_dir_SOURCES = tests/tools/serve-dir.c
tests_tools_serve_dir_LDADD = fs/libworker.a fs/libfs.a
tests_tools_fsx_SOURCES = tests/tools/fsx.c

TESTS += tests/integration/server-posix.sh
EXTRA_DIST += tests/integration/server-posix.sh tests/integration/posix-battery.sh

# Puts checkpoints into a store without a sandbox.
check_PROGRAMS += tests/tools/make-checkpoint
tests_tools_make_checkpoint_SOURCES = tests/tools/make-checkpoint.c
tests_tools_make_checkpoint_LDADD = images/libimages.a vmm/libvmm.a src/libhost.a src/libcommon.a $(IMAGES_LIBS)
