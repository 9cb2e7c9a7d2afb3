# Control files and jobs, without a kernel and without a guest.
CONTROL_BENCH = tests/unit/controlbench.c tests/unit/controlbench.h tests/unit/ctlversion.h
CONTROL_TEST_LIBS = src/libsupervisor.a images/libimages.a fs/libhostview.a fs/libfs.a src/libhost.a src/libcommon.a $(FUSE_LIBS) $(JSON_LIBS) \
	-lpthread $(UNIT_LIBS)

check_PROGRAMS += tests/unit/test-control tests/unit/test-jobs tests/unit/test-jobs-frames tests/unit/test-follow \
	tests/unit/test-record tests/unit/test-bin-dir tests/unit/test-job-record tests/unit/test-compat \
	tests/unit/test-operation
tests_unit_test_operation_SOURCES = tests/unit/test-operation.c
tests_unit_test_operation_CPPFLAGS = $(AM_CPPFLAGS) $(CRITERION_CFLAGS)
tests_unit_test_operation_LDADD = $(CONTROL_TEST_LIBS)
tests_unit_test_job_record_SOURCES = tests/unit/test-job-record.c $(CONTROL_BENCH)
tests_unit_test_job_record_CPPFLAGS = $(AM_CPPFLAGS) $(CRITERION_CFLAGS)
tests_unit_test_job_record_LDADD = $(CONTROL_TEST_LIBS)
tests_unit_test_compat_SOURCES = tests/unit/test-compat.c
tests_unit_test_compat_CPPFLAGS = $(AM_CPPFLAGS) $(CRITERION_CFLAGS)
tests_unit_test_compat_LDADD = $(CONTROL_TEST_LIBS)
tests_unit_test_control_SOURCES = tests/unit/test-control.c $(CONTROL_BENCH)
tests_unit_test_control_CPPFLAGS = $(AM_CPPFLAGS) $(CRITERION_CFLAGS)
tests_unit_test_control_LDADD = $(CONTROL_TEST_LIBS)
tests_unit_test_jobs_SOURCES = tests/unit/test-jobs.c $(CONTROL_BENCH)
tests_unit_test_jobs_CPPFLAGS = $(AM_CPPFLAGS) $(CRITERION_CFLAGS)
tests_unit_test_jobs_LDADD = $(CONTROL_TEST_LIBS)
tests_unit_test_jobs_frames_SOURCES = tests/unit/test-jobs-frames.c $(CONTROL_BENCH)
tests_unit_test_jobs_frames_CPPFLAGS = $(AM_CPPFLAGS) $(CRITERION_CFLAGS)
tests_unit_test_jobs_frames_LDADD = $(CONTROL_TEST_LIBS)
tests_unit_test_follow_SOURCES = tests/unit/test-follow.c $(CONTROL_BENCH)
tests_unit_test_follow_CPPFLAGS = $(AM_CPPFLAGS) $(CRITERION_CFLAGS)
tests_unit_test_follow_LDADD = $(CONTROL_TEST_LIBS)
tests_unit_test_record_SOURCES = tests/unit/test-record.c $(CONTROL_BENCH)
tests_unit_test_record_CPPFLAGS = $(AM_CPPFLAGS) $(CRITERION_CFLAGS)
tests_unit_test_record_LDADD = $(CONTROL_TEST_LIBS)
tests_unit_test_bin_dir_SOURCES = tests/unit/test-bin-dir.c $(CONTROL_BENCH)
tests_unit_test_bin_dir_CPPFLAGS = $(AM_CPPFLAGS) $(CRITERION_CFLAGS)
tests_unit_test_bin_dir_LDADD = $(CONTROL_TEST_LIBS)
TESTS += tests/unit/test-control tests/unit/test-jobs tests/unit/test-jobs-frames tests/unit/test-follow tests/unit/test-record \
	tests/unit/test-bin-dir tests/unit/test-job-record tests/unit/test-compat tests/unit/test-operation

check_PROGRAMS += tests/fuzz/replay-pump tests/fuzz/replay-frames tests/fuzz/replay-records
tests_fuzz_replay_records_SOURCES = tests/fuzz/fuzz-records.c $(FUZZ_COMMON)
tests_fuzz_replay_records_LDADD = src/libsupervisor.a images/libimages.a fs/libhostview.a fs/libfs.a src/libhost.a src/libcommon.a $(FUSE_LIBS) \
	$(JSON_LIBS) -lpthread
tests_fuzz_replay_pump_SOURCES = tests/fuzz/fuzz-pump.c $(FUZZ_COMMON)
tests_fuzz_replay_pump_LDADD = fs/libhostview.a fs/libfs.a src/libcommon.a -lpthread
tests_fuzz_replay_frames_SOURCES = tests/fuzz/fuzz-frames.c $(FUZZ_COMMON)
tests_fuzz_replay_frames_LDADD = src/libsupervisor.a images/libimages.a fs/libhostview.a fs/libfs.a src/libhost.a src/libcommon.a $(FUSE_LIBS) \
	$(JSON_LIBS) -lpthread
