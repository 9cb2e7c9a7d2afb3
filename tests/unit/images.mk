# What the tests of images/ link with: libguestfs is only asked for by those that build.
IMAGES_TEST_LIBS = images/libimages.a vmm/libvmm.a src/libhost.a src/libcommon.a $(IMAGES_LIBS) $(UNIT_LIBS)
IMAGES_TESTS = tests/unit/test-checkpoint tests/unit/test-checkpoint-manifest tests/unit/test-command \
	tests/unit/test-contain tests/unit/test-digest tests/unit/test-image tests/unit/test-kernel-files \
	tests/unit/test-manifest tests/unit/test-store tests/unit/test-template tests/unit/test-progress
CHECKPOINT_TEST_SOURCES = tests/unit/checkpointdir.c tests/unit/checkpointdir.h tests/unit/imagedir.c \
	tests/unit/imagedir.h

tests_unit_test_checkpoint_SOURCES = tests/unit/test-checkpoint.c $(CHECKPOINT_TEST_SOURCES)
tests_unit_test_checkpoint_CPPFLAGS = $(AM_CPPFLAGS) $(CRITERION_CFLAGS)
tests_unit_test_checkpoint_LDADD = $(IMAGES_TEST_LIBS)
tests_unit_test_checkpoint_manifest_SOURCES = tests/unit/test-checkpoint-manifest.c
tests_unit_test_checkpoint_manifest_CPPFLAGS = $(AM_CPPFLAGS) $(CRITERION_CFLAGS)
tests_unit_test_checkpoint_manifest_LDADD = $(IMAGES_TEST_LIBS)
tests_unit_test_digest_SOURCES = tests/unit/test-digest.c
tests_unit_test_digest_CPPFLAGS = $(AM_CPPFLAGS) $(CRITERION_CFLAGS)
tests_unit_test_digest_LDADD = $(IMAGES_TEST_LIBS)
tests_unit_test_template_SOURCES = tests/unit/test-template.c $(CHECKPOINT_TEST_SOURCES)
tests_unit_test_template_CPPFLAGS = $(AM_CPPFLAGS) $(CRITERION_CFLAGS)
tests_unit_test_template_LDADD = $(IMAGES_TEST_LIBS)
tests_unit_test_command_SOURCES = tests/unit/test-command.c
tests_unit_test_command_CPPFLAGS = $(AM_CPPFLAGS) $(CRITERION_CFLAGS)
tests_unit_test_command_LDADD = $(IMAGES_TEST_LIBS)
tests_unit_test_contain_SOURCES = tests/unit/test-contain.c
tests_unit_test_contain_CPPFLAGS = $(AM_CPPFLAGS) $(CRITERION_CFLAGS)
tests_unit_test_contain_LDADD = $(IMAGES_TEST_LIBS)
tests_unit_test_image_SOURCES = tests/unit/test-image.c tests/unit/imagedir.c tests/unit/imagedir.h
tests_unit_test_image_CPPFLAGS = $(AM_CPPFLAGS) $(CRITERION_CFLAGS)
tests_unit_test_image_LDADD = $(IMAGES_TEST_LIBS)
tests_unit_test_kernel_files_SOURCES = tests/unit/test-kernel-files.c
tests_unit_test_kernel_files_CPPFLAGS = $(AM_CPPFLAGS) $(CRITERION_CFLAGS)
tests_unit_test_kernel_files_LDADD = $(IMAGES_TEST_LIBS)
tests_unit_test_manifest_SOURCES = tests/unit/test-manifest.c
tests_unit_test_manifest_CPPFLAGS = $(AM_CPPFLAGS) $(CRITERION_CFLAGS)
tests_unit_test_manifest_LDADD = $(IMAGES_TEST_LIBS)
tests_unit_test_progress_SOURCES = tests/unit/test-progress.c
tests_unit_test_progress_CPPFLAGS = $(AM_CPPFLAGS) $(CRITERION_CFLAGS)
tests_unit_test_progress_LDADD = $(IMAGES_TEST_LIBS)
tests_unit_test_store_SOURCES = tests/unit/test-store.c tests/unit/imagedir.c tests/unit/imagedir.h
tests_unit_test_store_CPPFLAGS = $(AM_CPPFLAGS) $(CRITERION_CFLAGS)
tests_unit_test_store_LDADD = $(IMAGES_TEST_LIBS)

check_PROGRAMS += $(IMAGES_TESTS)
TESTS += $(IMAGES_TESTS)

check_PROGRAMS += tests/fuzz/replay-manifest
tests_fuzz_replay_manifest_SOURCES = tests/fuzz/fuzz-manifest.c $(FUZZ_COMMON)
tests_fuzz_replay_manifest_LDADD = images/libimages.a src/libcommon.a $(CRYPTO_LIBS) $(JSON_LIBS)

check_PROGRAMS += tests/fuzz/replay-checkpoint
tests_fuzz_replay_checkpoint_SOURCES = tests/fuzz/fuzz-checkpoint.c $(FUZZ_COMMON)
tests_fuzz_replay_checkpoint_LDADD = images/libimages.a vmm/libvmm.a src/libhost.a src/libcommon.a $(IMAGES_LIBS)
