# guest/: the static agent. Its sources are compiled twice: static and without sanitizers for the agent, and (all but what
# only PID 1 can do) into a library for the unit tests.
GUEST_ENGINE_SOURCES = \
	guest/accounts.c guest/accounts.h \
	guest/cmdline.c guest/cmdline.h \
	guest/envlist.c guest/envlist.h \
	guest/job.c guest/job.h guest/job_internal.h \
	guest/job_pipe.c guest/job_pipe.h \
	guest/job_start.c guest/job_start.h \
	guest/job_stdio.c guest/job_stdio.h \
	guest/job_streams.c \
	guest/jobspec.c guest/jobspec.h \
	guest/log.c guest/log.h \
	guest/payload.c guest/payload.h \
	guest/programs.c guest/programs.h \
	guest/session.c guest/session.h \
	guest/worker.c guest/worker.h

noinst_LIBRARIES += guest/libguest.a
guest_libguest_a_SOURCES = $(GUEST_ENGINE_SOURCES)

pkglibexec_PROGRAMS += gondolin-guest
gondolin_guest_SOURCES = \
	guest/boot.c guest/boot.h \
	guest/fanwatch.c guest/fanwatch.h \
	guest/identity.c guest/identity.h \
	guest/main.c \
	guest/modules.c guest/modules.h \
	guest/mounts.c guest/mounts.h \
	guest/ports.c guest/ports.h \
	guest/power.c guest/power.h \
	guest/rootserve.c guest/rootserve.h \
	guest/standstill.c guest/standstill.h \
	guest/uevent.c guest/uevent.h \
	guest/vfsforget.c guest/vfsforget.h \
	guest/vfsmount.c guest/vfsmount.h \
	guest/vfspump.c guest/vfspump.h \
	guest/vfstell.c guest/vfstell.h \
	guest/window.c guest/window.h \
	fs/inbox.c fs/inbox.h fs/sync.h \
	fs/notifier.c fs/notifier.h \
	$(GUEST_ENGINE_SOURCES) $(FS_SERVER_SOURCES) $(COMMON_SOURCES)
gondolin_guest_CPPFLAGS = -I$(top_srcdir) -D_GNU_SOURCE= $(JSON_CFLAGS)
gondolin_guest_CFLAGS = $(WARN_CFLAGS) -fno-pie -fstack-protector-strong -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2 \
	-ffunction-sections -fdata-sections
gondolin_guest_LDFLAGS = -static -Wl,--gc-sections -Wl,-z,relro,-z,now -Wl,-z,noexecstack
gondolin_guest_LDADD = -ljson-c -lpthread
