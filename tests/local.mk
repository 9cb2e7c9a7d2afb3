# Unit tests: one criterion program for each file under test, added by a fragment of its own.
UNIT_LIBS = $(CRITERION_LIBS)

include $(top_srcdir)/tests/unit/loop.mk
include $(top_srcdir)/tests/unit/jail.mk
include $(top_srcdir)/tests/unit/nodes.mk
include $(top_srcdir)/tests/unit/nearest.mk
include $(top_srcdir)/tests/unit/session.mk
include $(top_srcdir)/tests/unit/shquote.mk
include $(top_srcdir)/tests/unit/options.mk
include $(top_srcdir)/tests/unit/holders.mk
include $(top_srcdir)/tests/unit/copier.mk
include $(top_srcdir)/tests/unit/guest.mk
include $(top_srcdir)/tests/unit/vmm.mk
