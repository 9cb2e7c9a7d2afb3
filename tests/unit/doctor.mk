check_PROGRAMS += tests/unit/test-doctor
tests_unit_test_doctor_SOURCES = tests/unit/test-doctor.c $(DOCTOR_SOURCES)
tests_unit_test_doctor_CPPFLAGS = $(AM_CPPFLAGS) $(CRITERION_CFLAGS)
tests_unit_test_doctor_LDADD = images/libimages.a vmm/libvmm.a src/libhost.a src/libcommon.a $(GUESTFS_LIBS) $(ARCHIVE_LIBS) \
	$(CURL_LIBS) $(CRYPTO_LIBS) $(JSON_LIBS) $(UNIT_LIBS)
TESTS += tests/unit/test-doctor
