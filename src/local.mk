# The loop, channels and errors that every process shares (also compiled, without sanitizers, into the guest agent).
COMMON_SOURCES = \
	src/channel.c src/channel.h \
	src/cleanup.h \
	src/err.c src/err.h \
	src/loop.c src/loop.h \
	src/printable.c src/printable.h \
	src/proto.h \
	src/thread.h \
	src/utf8.h

noinst_LIBRARIES += src/libcommon.a
src_libcommon_a_SOURCES = $(COMMON_SOURCES)

# What only the host's programs need.
noinst_LIBRARIES += src/libhost.a
src_libhost_a_SOURCES = \
	src/client_file.c src/client_file.h \
	src/config_file.c src/config_file.h src/config_file_internal.h \
	src/config_json.c \
	src/config_value.c \
	src/copier.c src/copier.h \
	src/ended.c src/ended.h \
	src/holders.c src/holders.h \
	src/job_client.c src/job_client.h \
	src/libexec.c src/libexec.h \
	src/mount_options.c src/mount_options.h \
	src/mountpoint.c src/mountpoint.h \
	src/host_mounts_state.c \
	src/host_path.c src/host_path.h \
	src/mount_spec.c src/mount_spec.h \
	src/bind.c \
	src/request_work.c src/request_work.h \
	src/nearest.c src/nearest.h \
	src/options.c src/options.h src/options_help.c \
	src/progress.c src/progress.h \
	src/session.c src/session.h src/session_find.c \
	src/session_name.c src/session_name.h \
	src/shquote.c src/shquote.h \
	src/terminal.c src/terminal.h

# One sandbox: its machine, mount, jobs and control files.
noinst_LIBRARIES += src/libsupervisor.a
src_libsupervisor_a_SOURCES = \
	src/agent_link.c src/agent_link.h \
	src/bin_dir.c src/bin_dir.h \
	src/checkpoint_files.c \
	src/checkpoint_restore.c \
	src/checkpoint_start.c src/checkpoint_start.h \
	src/checkpoint_take.c \
	src/checkpoints_dir.c \
	src/compat.c src/compat.h \
	src/ctl_verbs.c src/ctl_verbs.h \
	src/follow.c src/follow.h \
	src/host_mounts.c src/host_mounts.h src/host_mounts_internal.h \
	src/host_mounts_files.c \
	src/host_mounts_hook.c \
	src/job.h src/jobs.c src/jobs_internal.h \
	src/job_dir.c \
	src/job_files.c \
	src/job_input.c \
	src/job_record.c src/job_record.h \
	src/job_run.c \
	src/job_values.c \
	src/job_wait.c \
	src/keeper.c src/keeper.h \
	src/machine.c src/machine.h \
	src/memory_file.c src/memory_file.h \
	src/machine_link.c src/machine_link.h \
	src/operation.c \
	src/outstream.c src/outstream.h \
	src/readers.c src/readers.h \
	src/record.c src/record.h \
	src/supervisor.c src/supervisor.h src/supervisor_internal.h \
	src/supervisor_end.c \
	src/supervisor_files.c \
	src/supervisor_mounts.c \
	src/supervisor_start.c \
	src/taking.h \
	src/textring.c src/textring.h \
	src/vfs_hook.c src/vfs_hook.h \
	src/vfs_worker.c src/vfs_worker.h

pkglibexec_PROGRAMS += gondolin-keeper
gondolin_keeper_SOURCES = src/keeper_main.c
gondolin_keeper_LDADD = src/libhost.a images/libimages.a src/libcommon.a $(ARCHIVE_LIBS) $(CRYPTO_LIBS) $(JSON_LIBS)

# What the files in bin/ of a mount run.
pkglibexec_PROGRAMS += gondolin-bin
gondolin_bin_SOURCES = src/bin_main.c
gondolin_bin_LDADD = src/libhost.a src/libcommon.a -lpthread

DOCTOR_SOURCES = src/doctor.c src/doctor.h src/doctor_host.c src/doctor_tools.c

bin_PROGRAMS += gondolin
gondolin_SOURCES = \
	src/main.c src/verbs.h \
	src/verb_attach.c \
	src/verb_exec.c \
	src/verb_list.c \
	src/verb_run.c \
	src/verb_shell.c \
	src/verb_status.c \
	src/verb_umount.c
gondolin_LDADD = src/libhost.a src/libcommon.a $(JSON_LIBS) -lpthread

# The verbs that need more libraries, so that the others start fast.
pkglibexec_PROGRAMS += gondolin-engine
gondolin_engine_SOURCES = \
	src/actions.c src/actions.h \
	src/engine_main.c src/verbs.h \
	src/mount_config.c src/mount_config.h \
	src/mount_from.c src/mount_from.h \
	src/mount_place.c src/mount_place.h \
	src/mount_start.c src/mount_start.h \
	$(DOCTOR_SOURCES) \
	src/checkpoint_actions.h src/checkpoint_diff_action.c src/checkpoint_ls.c \
	src/offline.c src/offline.h \
	src/verb_build.c \
	src/verb_checkpoint.c \
	src/verb_doctor.c \
	src/verb_gc.c \
	src/verb_image.c \
	src/verb_mount.c \
	src/verb_restore.c
gondolin_engine_LDADD = src/libsupervisor.a fs/libhostview.a fs/libfs.a images/libimages.a vmm/libvmm.a src/libhost.a \
	src/libcommon.a $(FUSE_LIBS) $(GUESTFS_LIBS) $(ARCHIVE_LIBS) $(CURL_LIBS) $(CRYPTO_LIBS) $(JSON_LIBS) -lpthread
