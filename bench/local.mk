# bench/: `make bench`, or `make bench BENCH="boot exec files idle checkpoint mounts"` for some of it. Prints a table and
# writes bench/results.json. Needs python3; sshfs and openssh-sftp-server, QEMU's virtio-9p and the distribution's virtiofsd
# are compared with where they are installed.
EXTRA_PROGRAMS += gondolin-bench-guest gondolin-bench-port
CLEANFILES += gondolin-bench-guest$(EXEEXT) gondolin-bench-port$(EXEEXT) bench/results.json

gondolin_bench_guest_SOURCES = \
	bench/guest.c bench/work.c bench/work.h bench/clock.h bench/wire.h \
	guest/log.c \
	guest/modules.c \
	guest/mounts.c \
	guest/ports.c \
	guest/uevent.c \
	$(COMMON_SOURCES)
gondolin_bench_guest_CPPFLAGS = $(gondolin_guest_CPPFLAGS)
gondolin_bench_guest_CFLAGS = $(gondolin_guest_CFLAGS)
gondolin_bench_guest_LDFLAGS = $(gondolin_guest_LDFLAGS)
gondolin_bench_guest_LDADD =

gondolin_bench_port_SOURCES = bench/port.c bench/clock.h bench/wire.h

EXTRA_DIST += \
	bench/boot.py \
	bench/checkpoints.py \
	bench/commands.py \
	bench/files.py \
	bench/idle.py \
	bench/machines.py \
	bench/mounts.py \
	bench/report.py \
	bench/run.py \
	bench/shares.py

BENCH = boot exec files idle checkpoint mounts

mostlyclean-local:
	rm -rf bench/linux-image-*

.PHONY: bench
bench: tests/store.stamp gondolin-bench-guest$(EXEEXT) gondolin-bench-port$(EXEEXT)
	$(AM_V_at)$(MKDIR_P) bench
	$(AM_V_at)GONDOLIN_STORE='$(abs_top_builddir)/tests/store' PYTHONDONTWRITEBYTECODE=1 \
		python3 '$(top_srcdir)/bench/run.py' '$(abs_top_builddir)' '$(abs_top_srcdir)' bench/results.json $(BENCH)
