# Unit tests: one criterion program for each file under test, added by a fragment of its own.
UNIT_LIBS = $(CRITERION_LIBS)

include $(top_srcdir)/tests/unit/hooks.mk
include $(top_srcdir)/tests/unit/loop.mk
include $(top_srcdir)/tests/unit/memory.mk
include $(top_srcdir)/tests/unit/memory-state.mk
include $(top_srcdir)/tests/unit/wire.mk
include $(top_srcdir)/tests/unit/server.mk
include $(top_srcdir)/tests/unit/rootserve.mk
include $(top_srcdir)/tests/tools/local.mk
include $(top_srcdir)/tests/fuzz/local.mk
include $(top_srcdir)/tests/unit/jail.mk
include $(top_srcdir)/tests/unit/nodes.mk
include $(top_srcdir)/tests/unit/hostview.mk
include $(top_srcdir)/tests/unit/printable.mk
include $(top_srcdir)/tests/unit/config.mk
include $(top_srcdir)/tests/unit/mount-spec.mk
include $(top_srcdir)/tests/unit/control.mk
include $(top_srcdir)/tests/unit/nearest.mk
include $(top_srcdir)/tests/unit/session.mk
include $(top_srcdir)/tests/unit/shquote.mk
include $(top_srcdir)/tests/unit/options.mk
include $(top_srcdir)/tests/unit/patterns.mk
include $(top_srcdir)/tests/unit/ended.mk
include $(top_srcdir)/tests/unit/holders.mk
include $(top_srcdir)/tests/unit/host-path.mk
include $(top_srcdir)/tests/unit/copier.mk
include $(top_srcdir)/tests/unit/guest.mk
include $(top_srcdir)/tests/unit/vmm.mk
include $(top_srcdir)/tests/unit/accel-memory.mk
include $(top_srcdir)/tests/unit/doctor.mk
include $(top_srcdir)/tests/unit/images.mk

# Integration tests: short shell scripts that boot real machines. They run in parallel (make -j2 check: one machine for
# each core) on one image, made once for the build tree and again when the agent changes.
TEST_EXTENSIONS = .sh
SH_LOG_COMPILER = timeout --kill-after=10 600 $(SHELL)
AM_TESTS_ENVIRONMENT = GONDOLIN_BUILD='$(abs_top_builddir)'; GONDOLIN_SOURCE='$(abs_top_srcdir)'; \
	GONDOLIN_STORE='$(abs_top_builddir)/tests/store'; export GONDOLIN_BUILD GONDOLIN_SOURCE GONDOLIN_STORE;

tests/store.stamp: gondolin$(EXEEXT) gondolin-engine$(EXEEXT) gondolin-guest$(EXEEXT) gondolin-keeper$(EXEEXT)
	$(AM_V_GEN)GONDOLIN_STORE='$(abs_top_builddir)/tests/store' ./gondolin$(EXEEXT) build busybox && touch $@
CLEANFILES += tests/store.stamp

clean-local:
	rm -rf tests/store

include $(top_srcdir)/tests/integration/local.mk
include $(top_srcdir)/tests/integration/checkpoint.mk
include $(top_srcdir)/tests/integration/cli.mk
include $(top_srcdir)/tests/integration/fault.mk
include $(top_srcdir)/tests/integration/files.mk
include $(top_srcdir)/tests/integration/mounts.mk
include $(top_srcdir)/tests/integration/scale.mk
include $(top_srcdir)/tests/integration/vmm.mk
