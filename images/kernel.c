/* SPDX-License-Identifier: Apache-2.0 */
#include "images/kernel.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <archive_entry.h>

#include "images/bzimage.h"
#include "images/command.h"
#include "images/deb.h"
#include "images/files.h"
#include "images/modules.h"
#include "images/store.h"
#include "src/cleanup.h"

enum { MAX_IMAGE = 128 << 20 };

/* The package that depends on the newest kernel for virtual machines. */
#if defined(__x86_64__)
#define META_PACKAGE "linux-image-cloud-amd64"
#else
#define META_PACKAGE NULL
#endif

/* Of the hundred megabytes of modules only these, and what they need, are kept: for sandboxes, and for the appliance
 * (which sees its disks through virtio-scsi). What a kernel has built in, or not at all, is passed over. */
static const char *const kept_modules[] = {
    "virtio_pci", "virtio_blk",  "virtio_console", "virtio_rng", "virtio_scsi", "virtio_net", "virtio_mmio", "ext4",
    "sd_mod",     "crc32c_intel", "fuse",          "overlay",    "vmw_vsock_virtio_transport", NULL};

/* "linux-image-6.1.0-56-cloud-amd64 (= 6.1.192-2), ...": the first kernel in it, and its version if that is told. */
static void read_dependency(const char *depends, struct kernel *kernel)
{
    static const char prefix[] = "linux-image-";
    const char *at = strstr(depends, prefix);
    if (!at)
        return;
    size_t length = strcspn(at, " ,|(");
    kernel->package = strndup(at, length);
    if (strncmp(at + length, " (= ", 4) == 0)
        kernel->version = strndup(at + length + 4, strcspn(at + length + 4, ")"));
}

static int resolve_package(const struct apt *apt, struct kernel *kernel, struct err *err)
{
    cleanup_free char *depends = NULL;
    if (!META_PACKAGE)
        return err_set(err, ENOTSUP, "kernel: no cloud kernel package is known for this architecture");
    int code = apt_field(apt, META_PACKAGE, "Depends", &depends, err);
    if (code < 0)
        return code;
    read_dependency(depends, kernel);
    if (!kernel->package)
        return err_set(err, EIO, "kernel: %s depends on no kernel (%s)", META_PACKAGE, depends);
    return kernel->version ? 0 : apt_field(apt, kernel->package, "Version", &kernel->version, err);
}

/* Where unpacking writes to. */
struct unpacking {
    const char *directory;
    char release[64];
};

static int save_image(struct unpacking *to, const char *name, struct archive *archive, struct archive_entry *entry,
                      struct err *err)
{
    cleanup_free char *path = files_format("%s/vmlinuz", to->directory);
    snprintf(to->release, sizeof to->release, "%s", name);
    return path ? deb_save(archive, entry, path, err) : err_errno(err, ENOMEM, "unpack kernel");
}

/* Modules go into one flat directory: their names are unique in a kernel. */
static int save_module_file(struct unpacking *to, const char *path, struct archive *archive,
                            struct archive_entry *entry, struct err *err)
{
    const char *base = strrchr(path, '/') + 1, *end = strstr(base, ".ko");
    cleanup_free char *file = NULL;

    if (archive_entry_filetype(entry) != AE_IFREG)
        return 0;
    if (end)
        file = files_format("%s/modules/kernel/%.*s.ko", to->directory, (int)(end - base), base);
    else if (strncmp(base, "modules.", 8) == 0)
        file = files_format("%s/modules/%s", to->directory, base);
    else
        return 0;
    return file ? deb_save(archive, entry, file, err) : err_errno(err, ENOMEM, "unpack kernel");
}

static int save_member(void *data, const char *path, struct archive *archive, struct archive_entry *entry,
                       struct err *err)
{
    static const char image[] = "boot/vmlinuz-";
    struct unpacking *to = data;

    if (strncmp(path, image, sizeof image - 1) == 0)
        return save_image(to, path + sizeof image - 1, archive, entry, err);
    if (strncmp(path, "lib/modules/", 12) == 0 || strncmp(path, "usr/lib/modules/", 16) == 0)
        return save_module_file(to, path, archive, entry, err);
    return 0;
}

static int run_depmod(const char *directory, const char *release, struct err *err)
{
    const char *const argv[] = {"depmod", "-b", directory, release, NULL};
    return command_run(&(struct command){.argv = argv, .package = "kmod"}, NULL, err);
}

/* Removes the modules that nothing here needs. */
static int drop_modules(const char *directory, struct err *err)
{
    struct modules *modules;
    struct names keep = {0};
    int code = modules_load(directory, &modules, err);
    if (code < 0)
        return code;
    for (size_t i = 0; code == 0 && kept_modules[i]; i++) {
        const char *const one[] = {kept_modules[i], NULL};
        code = modules_resolve(modules, one, &keep, err);
        code = code == -ENOENT ? 0 : code;
    }
    cleanup_free char *path = files_format("%s/kernel", directory);
    cleanup_closedir DIR *dir = path ? opendir(path) : NULL;
    for (struct dirent *entry; code == 0 && dir && (entry = readdir(dir));) {
        char name[64];
        if (modules_name_of(entry->d_name, name, sizeof name) == 0 && !names_has(&keep, name))
            unlinkat(dirfd(dir), entry->d_name, 0);
    }
    if (code == 0 && (!dir || keep.failed))
        code = err_errno(err, dir ? ENOMEM : errno, "unpack kernel: %s", directory);
    names_free(&keep);
    modules_free(modules);
    return code;
}

/* depmod(8) wants lib/modules/RELEASE, and the release is known only when everything is unpacked. */
static int place_modules(const char *directory, const char *release, struct err *err)
{
    cleanup_free char *from = files_format("%s/modules", directory), *parent = files_format("%s/lib/modules", directory);
    cleanup_free char *to = parent ? files_format("%s/%s", parent, release) : NULL;
    int code = from && to ? files_make_directories(parent, 0755) : -ENOMEM;
    if (code == 0 && rename(from, to) < 0)
        code = -errno;
    if (code < 0)
        return err_errno(err, -code, "unpack kernel: %s", directory);
    code = run_depmod(directory, release, err);
    if (code == 0)
        code = drop_modules(to, err);
    return code == 0 ? run_depmod(directory, release, err) : code;
}

static int extract_elf(const char *directory, struct err *err)
{
    cleanup_free char *from = files_format("%s/vmlinuz", directory), *to = files_format("%s/vmlinux", directory);
    size_t size;
    cleanup_free char *image = from && to ? files_read(from, MAX_IMAGE, &size) : NULL;
    if (!image)
        return err_errno(err, errno, "unpack kernel: %s/vmlinuz", directory);
    cleanup_close int fd = open(to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
    if (fd < 0)
        return err_errno(err, errno, "unpack kernel: %s", to);
    int code = bzimage_extract(image, size, from, fd, err);
    if (code == 0 && fsync(fd) < 0)
        code = err_errno(err, errno, "unpack kernel: %s", to);
    return code;
}

static int write_release(const char *directory, const char *release)
{
    cleanup_free char *path = files_format("%s/release", directory);
    cleanup_close int fd = path ? open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644) : -1;
    if (fd < 0)
        return -errno;
    int code = files_write(fd, release, strlen(release));
    return code == 0 && fsync(fd) < 0 ? -errno : code;
}

static int unpack(const char *package_file, const char *directory, struct err *err)
{
    struct unpacking to = {.directory = directory};
    cleanup_free char *modules = files_format("%s/modules/kernel", directory);
    int code = modules ? files_make_directories(modules, 0755) : -ENOMEM;
    if (code < 0)
        return err_errno(err, -code, "unpack kernel: %s", directory);
    code = deb_read(package_file, save_member, &to, err);
    if (code == 0 && (to.release[0] == '\0' || strchr(to.release, '/')))
        code = err_set(err, EINVAL, "unpack kernel: %s: there is no boot/vmlinuz-RELEASE in it", package_file);
    if (code == 0)
        code = place_modules(directory, to.release, err);
    if (code == 0)
        code = extract_elf(directory, err);
    if (code == 0 && (code = write_release(directory, to.release)) < 0)
        err_errno(err, -code, "unpack kernel: %s", directory);
    return code;
}

/* Into a work directory, then renamed: the cache never holds half a kernel. */
static int fill_cache(const char *store, const struct apt *apt, const struct contained *contained,
                      const struct kernel *kernel, const char *directory, struct err *err)
{
    cleanup_free char *parent = files_format("%s/cache/kernel", store), *file = NULL, *unpacked = NULL;
    struct store_work work;
    int code = parent ? files_make_directories(parent, 0700) : -ENOMEM;
    if (code < 0)
        return err_errno(err, -code, "make %s/cache/kernel", store);
    code = store_work_begin(store, "kernel", &work, err);
    if (code < 0)
        return code;
    contained_progress(contained, "downloading the kernel", -1);
    code = apt_download(apt, kernel->package, work.path, &file, err);
    if (code == 0) {
        contained_progress(contained, "unpacking the kernel", -1);
        unpacked = files_format("%s/unpacked", work.path);
        code = unpacked ? unpack(file, unpacked, err) : err_errno(err, ENOMEM, "unpack kernel");
    }
    if (code == 0 && rename(unpacked, directory) < 0 && errno != EEXIST && errno != ENOTEMPTY)
        code = err_errno(err, errno, "unpack kernel: rename to %s", directory);
    store_work_end(&work);
    return code;
}

static int fill_paths(struct kernel *kernel, const char *directory, struct err *err)
{
    cleanup_free char *path = files_format("%s/release", directory);
    kernel->release = path ? files_read(path, 64, NULL) : NULL;
    kernel->image = files_format("%s/vmlinuz", directory);
    kernel->elf = files_format("%s/vmlinux", directory);
    if (kernel->release)
        kernel->modules = files_format("%s/lib/modules/%s", directory, kernel->release);
    if (!kernel->modules || !kernel->image || !kernel->elf)
        return err_errno(err, errno, "kernel: %s", directory);
    return 0;
}

int kernel_open(const char *store, const struct apt *apt, const struct contained *contained, struct kernel *kernel,
                struct err *err)
{
    *kernel = (struct kernel){0};
    int code = resolve_package(apt, kernel, err);
    if (code == 0) {
        cleanup_free char *directory = files_format("%s/cache/kernel/%s_%s", store, kernel->package, kernel->version);
        if (!directory)
            code = err_errno(err, ENOMEM, "kernel");
        else if (!files_exists(directory))
            code = fill_cache(store, apt, contained, kernel, directory, err);
        if (code == 0)
            code = fill_paths(kernel, directory, err);
    }
    if (code < 0)
        kernel_free(kernel);
    return code;
}

int kernel_open_cached(const char *store, struct kernel *kernel, struct err *err)
{
    struct names entries = {0};
    *kernel = (struct kernel){0};
    store_list_part(store, "cache/kernel", &entries);
    int code = -ENOENT;
    for (size_t i = entries.count; code < 0 && i > 0; i--) {
        cleanup_free char *directory = files_format("%s/cache/kernel/%s", store, entries.list[i - 1]);
        kernel_free(kernel);
        code = directory ? fill_paths(kernel, directory, err) : -ENOMEM;
    }
    names_free(&entries);
    if (code < 0)
        kernel_free(kernel);
    return code < 0 ? err_set(err, ENOENT, "looking into a disk needs the kernel of a build, and there is none in %s/cache; get "
                              "it with: gondolin build busybox", store) : 0;
}

void kernel_free(struct kernel *kernel)
{
    char *strings[] = {kernel->package, kernel->version, kernel->release, kernel->image, kernel->elf, kernel->modules};
    for (size_t i = 0; i < sizeof strings / sizeof *strings; i++)
        free(strings[i]);
    *kernel = (struct kernel){0};
}
