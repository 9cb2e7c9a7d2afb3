noinst_LIBRARIES += images/libimages.a
images_libimages_a_SOURCES = \
	images/agent.c images/agent.h \
	images/appliance.c images/appliance.h \
	images/apt.c images/apt.h \
	images/build.c \
	images/archive_in.c images/archive_in.h \
	images/bzimage.c images/bzimage.h \
	images/checkpoint.c images/checkpoint.h images/checkpoint_internal.h \
	images/checkpoint_diff.c \
	images/checkpoint_disks.c \
	images/checkpoint_export.c images/checkpoint_file.h \
	images/checkpoint_import.c \
	images/checkpoint_manage.c \
	images/checkpoint_manifest.c \
	images/checkpoint_merge.c \
	images/checkpoint_publish.c \
	images/checkpoint_verify.c images/checkpoint_verify.h \
	images/checkpoint_view.c images/checkpoint_view.h \
	images/command.c images/command.h \
	images/contain.c images/contain.h \
	images/contain_mounts.c images/contain_mounts.h \
	images/contain_users.c images/contain_users.h \
	images/deb.c images/deb.h \
	images/digest.c images/digest.h \
	images/disk.c images/disk.h \
	images/elf_static.c images/elf_static.h \
	images/files.c images/files.h \
	images/image.c images/image.h images/image_internal.h \
	images/image_manage.c \
	images/initramfs.c images/initramfs.h \
	images/interrupt.c images/interrupt.h \
	images/json_members.c images/json_members.h \
	images/kernel.c images/kernel.h \
	images/manifest.c images/manifest.h images/manifest_parse.c \
	images/manifest_files.c images/manifest_files.h \
	images/modules.c images/modules.h \
	images/names.c images/names.h \
	images/rootfs.c images/rootfs.h \
	images/source.c images/source.h \
	images/source_busybox.c \
	images/source_debian.c \
	images/store.c images/store.h \
	images/template.c \
	images/tree.c images/tree.h \
	images/verified.c images/verified.h

# What a program that uses the library links with, after it.
IMAGES_LIBS = $(GUESTFS_LIBS) $(ARCHIVE_LIBS) $(CRYPTO_LIBS) $(JSON_LIBS)
