# The FUSE wire protocol and its server with the provider on a directory; compiled into the static guest agent too.
FS_SERVER_SOURCES = \
	fs/fanevents.c fs/fanevents.h \
	fs/hash.c fs/hash.h \
	fs/hostdir.c fs/hostdir.h fs/hostdir_internal.h \
	fs/hostdir_below.c \
	fs/hostdir_cred.c \
	fs/hostdir_direct.c \
	fs/hostdir_dirs.c \
	fs/hostdir_files.c \
	fs/hostdir_names.c \
	fs/hostdir_owner.c \
	fs/hostdir_xattr.c \
	fs/hostwatch.c fs/hostwatch.h \
	fs/input.h \
	fs/pool.c fs/pool.h \
	fs/server.c fs/server.h fs/server_internal.h \
	fs/server_handles.c \
	fs/server_init.c \
	fs/server_io.c \
	fs/server_locks.c \
	fs/server_meta.c \
	fs/server_names.c \
	fs/server_nodes.c \
	fs/server_notify.c \
	fs/server_readdir.c \
	fs/server_state.c \
	fs/slots.c fs/slots.h \
	fs/vfs.h \
	fs/window.c fs/window.h \
	fs/wire.c fs/wire.h \
	fs/wire_reply.c

noinst_LIBRARIES += fs/libfs.a
fs_libfs_a_SOURCES = $(FS_SERVER_SOURCES)

# The host's side of a mount: control files, the pump to the guest, and the mount that shows both.
noinst_LIBRARIES += fs/libhostview.a
fs_libhostview_a_SOURCES = \
	fs/caller.c fs/caller.h \
	fs/control.c fs/control.h fs/control_internal.h \
	fs/control_fuse.c \
	fs/control_list.c fs/control_list.h \
	fs/front.c fs/front.h \
	fs/hostview.c fs/hostview.h \
	fs/jail.c fs/jail.h \
	fs/nodes.c fs/nodes.h \
	fs/notifier.c fs/notifier.h \
	fs/pump.c fs/pump.h

# gondolin-vfs: serves host directories to the guest, confined.
pkglibexec_PROGRAMS += gondolin-vfs
gondolin_vfs_SOURCES = fs/worker_main.c fs/worker_proto.h
gondolin_vfs_LDADD = fs/libworker.a fs/libfs.a -lpthread

# All of it but main, also for tests.
noinst_LIBRARIES += fs/libworker.a
fs_libworker_a_SOURCES = \
	fs/hook.c fs/hook.h \
	fs/hook_line.c fs/hook_line.h \
	fs/hook_paths.c fs/hook_paths.h \
	fs/hooks.c fs/hooks.h \
	fs/inbox.c fs/inbox.h \
	fs/memory.c fs/memory.h fs/memory_internal.h fs/memory_load.c \
	fs/memory_names.c fs/memory_save.c fs/memory_state.h fs/memory_xattr.c \
	fs/mounttable.c fs/mounttable.h \
	fs/patterns.c fs/patterns.h \
	fs/readonly.c \
	fs/shadow.c fs/shadow.h fs/shadow_internal.h fs/shadow_dirs.c \
	fs/stacked.c fs/stacked.h \
	fs/sync.h \
	fs/worker_confine.c fs/worker_confine.h \
	fs/worker_seccomp.c \
	fs/worker_stack.c fs/worker_stack.h \
	fs/worker_state.c fs/worker_state.h
