INTEGRATION_TESTS = \
	tests/integration/build-busybox.sh \
	tests/integration/build-interrupted.sh \
	tests/integration/build-no-space.sh \
	tests/integration/coherence.sh \
	tests/integration/readme-tour.sh \
	tests/integration/tour.sh \
	tests/integration/umount-elsewhere.sh

TESTS += $(INTEGRATION_TESTS)
EXTRA_DIST += $(INTEGRATION_TESTS) tests/integration/lib.sh
$(INTEGRATION_TESTS:.sh=.log): tests/store.stamp
