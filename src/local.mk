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
	src/libexec.c src/libexec.h \
	src/mount_options.c src/mount_options.h \
	src/mountpoint.c src/mountpoint.h \
	src/nearest.c src/nearest.h \
	src/options.c src/options.h src/options_help.c \
	src/session.c src/session.h src/session_find.c \
	src/shquote.c src/shquote.h
