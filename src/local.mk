# The loop, channels and errors that every process shares (also compiled, without sanitizers, into the guest agent).
COMMON_SOURCES = \
	src/channel.c src/channel.h \
	src/cleanup.h \
	src/err.c src/err.h \
	src/loop.c src/loop.h \
	src/proto.h

noinst_LIBRARIES += src/libcommon.a
src_libcommon_a_SOURCES = $(COMMON_SOURCES)

# What only the host's programs need.
noinst_LIBRARIES += src/libhost.a
src_libhost_a_SOURCES = \
	src/client_file.c src/client_file.h \
	src/copier.c src/copier.h \
	src/holders.c src/holders.h \
	src/job_client.c src/job_client.h \
	src/libexec.c src/libexec.h \
	src/mount_options.c src/mount_options.h \
	src/mountpoint.c src/mountpoint.h \
	src/nearest.c src/nearest.h \
	src/options.c src/options.h src/options_help.c \
	src/session.c src/session.h src/session_find.c \
	src/shquote.c src/shquote.h \
	src/terminal.c src/terminal.h

# The command line. Not in bin_PROGRAMS until every verb of src/verbs.h is there.
EXTRA_PROGRAMS += gondolin
gondolin_SOURCES = \
	src/main.c src/verbs.h \
	src/verb_attach.c \
	src/verb_exec.c \
	src/verb_list.c \
	src/verb_run.c \
	src/verb_shell.c \
	src/verb_status.c \
	src/verb_umount.c
gondolin_LDADD = src/libhost.a src/libcommon.a $(JSON_LIBS)
