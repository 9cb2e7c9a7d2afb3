# The loop, channels and errors that every process shares (also compiled, without sanitizers, into the guest agent).
COMMON_SOURCES = \
	src/channel.c src/channel.h \
	src/cleanup.h \
	src/err.c src/err.h \
	src/loop.c src/loop.h \
	src/proto.h

noinst_LIBRARIES += src/libcommon.a
src_libcommon_a_SOURCES = $(COMMON_SOURCES)
