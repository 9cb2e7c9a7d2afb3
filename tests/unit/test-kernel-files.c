/* SPDX-License-Identifier: Apache-2.0 */
/* Packages, kernels, modules and the initramfs made of them: images/{deb,bzimage,modules,initramfs}.c */
#include <archive.h>
#include <archive_entry.h>
#include <criterion/criterion.h>
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "images/bzimage.h"
#include "images/deb.h"
#include "images/digest.h"
#include "images/files.h"
#include "images/initramfs.h"
#include "images/modules.h"
#include "images/tree.h"
#include "src/cleanup.h"

static char directory[64];

static void set_up(void)
{
    strcpy(directory, "/tmp/gondolin-test-kernel.XXXXXX");
    cr_assert_not_null(mkdtemp(directory));
}

static void tear_down(void)
{
    files_remove_tree(directory);
}

TestSuite(kernel_files, .init = set_up, .fini = tear_down);

static void put(const char *name, const char *contents, size_t length)
{
    cleanup_free char *path = files_format("%s/%s", directory, name);
    cleanup_close int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644);
    cr_assert_eq(files_write(fd, contents, length), 0);
}

static void put_text(const char *name, const char *contents)
{
    put(name, contents, strlen(contents));
}

static struct modules *load(struct err *err)
{
    struct modules *modules = NULL;
    return modules_load(directory, &modules, err) == 0 ? modules : NULL;
}

static void put_sample_modules(void)
{
    put_text("modules.builtin", "kernel/fs/ext4/ext4.ko\nkernel/lib/crc16.ko\n");
    put_text("modules.dep", "kernel/virtio.ko:\n"
                            "kernel/virtio_ring.ko: kernel/virtio.ko\n"
                            "kernel/virtio-pci.ko.xz: kernel/virtio_ring.ko kernel/virtio.ko\n"
                            "kernel/virtio_blk.ko: kernel/virtio_ring.ko kernel/virtio.ko\n"
                            "kernel/needs_gone.ko: kernel/gone.ko\n"
                            "kernel/left.ko: kernel/right.ko\n"
                            "kernel/right.ko: kernel/left.ko\n");
}

Test(kernel_files, modules_come_after_what_they_need)
{
    struct names order = {0};
    struct err err = {0};
    put_sample_modules();
    struct modules *modules = load(&err);
    cr_assert_not_null(modules, "%s", err.text);
    const char *const wanted[] = {"virtio_pci", "ext4", "virtio_blk", "virtio_pci", NULL};
    cr_assert_eq(modules_resolve(modules, wanted, &order, &err), 0, "%s", err.text);
    const char *const expected[] = {"virtio", "virtio_ring", "virtio_pci", "virtio_blk"};
    cr_assert_eq(order.count, 4);
    for (size_t i = 0; i < 4; i++)
        cr_expect_str_eq(order.list[i], expected[i]);
    cr_expect_str_eq(modules_file(modules, "virtio_pci"), "kernel/virtio-pci.ko.xz");
    names_free(&order);
    modules_free(modules);
}

Test(kernel_files, modules_that_cannot_be)
{
    struct names order = {0};
    struct err err = {0};
    put_sample_modules();
    struct modules *modules = load(&err);
    cr_expect_eq(modules_resolve(modules, (const char *const[]){"nonsense", NULL}, &order, &err), -ENOENT);
    cr_expect(strstr(err.text, "nonsense"), "%s", err.text);
    cr_expect_eq(modules_resolve(modules, (const char *const[]){"needs_gone", NULL}, &order, &err), -ENOENT);
    cr_expect(strstr(err.text, "gone"), "%s", err.text);
    cr_expect_eq(modules_resolve(modules, (const char *const[]){"left", NULL}, &order, &err), -EINVAL);
    cr_expect_eq(order.count, 0);
    modules_free(modules);
}

Test(kernel_files, module_indexes_that_are_damaged)
{
    struct err err = {0};
    cr_expect_null(load(&err));
    cr_expect_eq(err.code, ENOENT);
    put_text("modules.builtin", "");
    put_text("modules.dep", "no colon\n");
    cr_expect_null(load(&err));
    cr_expect_eq(err.code, EINVAL);
    put_text("modules.dep", "kernel/directory/: x\n");
    cr_expect_null(load(&err));
    cleanup_free char *dep = files_format("%s/modules.dep", directory);
    cr_assert_eq(truncate(dep, 5 << 20), 0);
    cr_expect_null(load(&err));
    cr_expect_eq(err.code, E2BIG);
}

Test(kernel_files, initramfs_has_the_agent_and_the_modules_and_is_the_same_each_time)
{
    struct err err = {0};
    struct kernel kernel = {.modules = directory};
    char first[DIGEST_HEX_SIZE], second[DIGEST_HEX_SIZE];
    cleanup_free char *kernel_directory = files_format("%s/kernel", directory);
    mkdir(kernel_directory, 0755);
    put_text("modules.builtin", "kernel/fs/ext4/ext4.ko\nkernel/virtio_rng.ko\n");
    put_text("modules.dep", "kernel/virtio.ko:\nkernel/virtio_pci.ko: kernel/virtio.ko\nkernel/virtio_blk.ko: kernel/virtio.ko\n"
                            "kernel/virtio_console.ko:\nkernel/fuse.ko:\nkernel/overlay.ko:\n"
                            "kernel/virtio_net.ko: kernel/failover.ko kernel/virtio.ko\nkernel/failover.ko:\n");
    static const char *const names[] = {"virtio", "virtio_pci", "virtio_blk", "virtio_console", "fuse", "overlay",
                                        "virtio_net", "failover"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        cleanup_free char *name = files_format("kernel/%s.ko", names[i]);
        put_text(name, names[i]);
    }
    put_text("agent", "the agent");
    cleanup_free char *agent_path = files_format("%s/agent", directory), *path = files_format("%s/cpio", directory);
    cleanup_close int agent = open(agent_path, O_RDONLY);
    cr_assert_eq(initramfs_write(path, &kernel, agent, &err), 0, "%s", err.text);
    cleanup_close int made = open(path, O_RDONLY);
    digest_fd(made, NULL, first);
    sleep(1);
    cr_assert_eq(initramfs_write(path, &kernel, agent, &err), 0, "%s", err.text);
    digest_fd(made, NULL, second);
    cr_expect_str_eq(first, second);

    struct archive *archive = archive_read_new();
    struct archive_entry *entry;
    struct names seen = {0};
    char text[256] = "";
    archive_read_support_format_cpio(archive);
    cr_assert_eq(archive_read_open_fd(archive, made, 4096), ARCHIVE_OK);
    while (archive_read_next_header(archive, &entry) == ARCHIVE_OK) {
        names_add(&seen, archive_entry_pathname(entry));
        memset(text, 0, sizeof text);
        archive_read_data(archive, text, sizeof text - 1);
        if (strcmp(archive_entry_pathname(entry), "init") == 0) {
            cr_expect_str_eq(text, "the agent");
            cr_expect_eq(archive_entry_mode(entry), (mode_t)(S_IFREG | 0755));
        }
        if (strcmp(archive_entry_pathname(entry), "modules/order") == 0)
            cr_expect_str_eq(text, "virtio.ko\nvirtio_pci.ko\nvirtio_blk.ko\nvirtio_console.ko\nfuse.ko\n");
        if (strcmp(archive_entry_pathname(entry), "modules/extra/order") == 0)
            cr_expect_str_eq(text, "overlay.ko\nfailover.ko\nvirtio_net.ko\n");
        if (strcmp(archive_entry_pathname(entry), "dev/console") == 0)
            cr_expect(S_ISCHR(archive_entry_mode(entry)));
    }
    cr_expect(names_has(&seen, "init") && names_has(&seen, "dev/console") && names_has(&seen, "modules/virtio.ko") &&
              names_has(&seen, "modules/fuse.ko"));
    cr_expect_eq(seen.count, 3 + 6 + 6, "%zu entries", seen.count);
    archive_read_free(archive);
    names_free(&seen);
}

/* A bzImage whose payload is an "ELF kernel" of 5000 bytes, compressed by `filter`; its size in *size. */
static char *make_bzimage(int (*filter)(struct archive *), bool append_size, size_t *size)
{
    static char kernel[5000] = "\177ELF\2";
    char *image = calloc(1, 65536);
    size_t used = 0, start = 3 * 512; /* two set-up sectors */
    struct archive *archive = archive_write_new();
    struct archive_entry *entry = archive_entry_new();

    cr_assert_eq(filter(archive), ARCHIVE_OK);
    archive_write_set_format_raw(archive);
    archive_write_set_bytes_in_last_block(archive, 1);
    archive_write_open_memory(archive, image + start + 100, 60000, &used);
    archive_entry_set_pathname(entry, "kernel");
    archive_entry_set_filetype(entry, AE_IFREG);
    archive_write_header(archive, entry);
    archive_write_data(archive, kernel, sizeof kernel);
    archive_write_close(archive);
    archive_write_free(archive);
    archive_entry_free(entry);
    uint32_t unpacked = htole32(sizeof kernel), offset = htole32(100), length;
    if (append_size) {
        memcpy(image + start + 100 + used, &unpacked, 4);
        used += 4;
    }
    length = htole32((uint32_t)used);
    image[0x1f1] = 2;
    memcpy(image + 0x202, "HdrS\x0f\x02", 6);
    memcpy(image + 0x248, &offset, 4);
    memcpy(image + 0x24c, &length, 4);
    *size = start + 100 + used;
    return image;
}

static int extract(const char *image, size_t size, struct err *err)
{
    cleanup_free char *path = files_format("%s/vmlinux", directory);
    cleanup_close int fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);
    struct stat st;
    int code = bzimage_extract(image, size, "test", fd, err);
    fstat(fd, &st);
    return code < 0 ? code : (int)st.st_size;
}

Test(kernel_files, kernels_are_unpacked)
{
    size_t size;
    struct err err = {0};
    static const struct {
        int (*filter)(struct archive *);
        bool append_size; /* gzip's last four bytes are the size anyway */
    } kinds[] = {{archive_write_add_filter_gzip, false}, {archive_write_add_filter_xz, true},
                 {archive_write_add_filter_zstd, true}, {archive_write_add_filter_lz4, true},
                 {archive_write_add_filter_bzip2, true}};
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        cleanup_free char *image = make_bzimage(kinds[i].filter, kinds[i].append_size, &size);
        cr_expect_eq(extract(image, size, &err), 5000, "kind %zu: %s", i, err.text);
    }
}

Test(kernel_files, kernels_that_are_none)
{
    size_t size;
    struct err err = {0};
    cleanup_free char *image = make_bzimage(archive_write_add_filter_zstd, true, &size);
    for (size_t cut = 0; cut < size; cut += 97)
        cr_expect_lt(extract(image, cut, &err), 0, "cut to %zu", cut);
    uint32_t huge = htole32(0x7fffffff), last;
    memcpy(&last, image + size - 4, 4);
    memcpy(image + size - 4, &huge, 4);
    cr_expect_eq(extract(image, size, &err), -E2BIG);
    last = htole32(4999);
    memcpy(image + size - 4, &last, 4);
    cr_expect_eq(extract(image, size, &err), -EINVAL, "longer than it says");
    last = htole32(5001);
    memcpy(image + size - 4, &last, 4);
    cr_expect_eq(extract(image, size, &err), -EINVAL, "shorter than it says");
    memcpy(image + 0x248, &huge, 4);
    cr_expect_eq(extract(image, size, &err), -EINVAL);
    image[0x202] = 'x';
    cr_expect_eq(extract(image, size, &err), -EINVAL);
}

/* An archive in memory with one file. */
static size_t pack(char *to, size_t room, bool ar, int (*filter)(struct archive *), const char *path, const void *data,
                   size_t length)
{
    size_t used = 0;
    struct archive *archive = archive_write_new();
    struct tree tree = {.archive = archive};
    if (ar)
        archive_write_set_format_ar_svr4(archive);
    else
        archive_write_set_format_ustar(archive);
    if (filter)
        filter(archive);
    archive_write_set_bytes_in_last_block(archive, 1);
    archive_write_open_memory(archive, to, room, &used);
    tree_file(&tree, path, 0644, data, length);
    cr_assert_eq(archive_write_close(archive), ARCHIVE_OK);
    cr_assert_eq(tree.err.code, 0, "%s", tree.err.text);
    archive_write_free(archive);
    return used;
}

static int save(void *data, const char *path, struct archive *archive, struct archive_entry *entry, struct err *err)
{
    cr_expect_str_eq(path, "lib/module.ko");
    return deb_save(archive, entry, data, err);
}

Test(kernel_files, packages_are_read)
{
    char inner[20000], outer[20000];
    struct err err = {0};
    cleanup_free char *package = files_format("%s/x.deb", directory), *to = files_format("%s/module.ko", directory);
    size_t length = pack(inner, sizeof inner, false, archive_write_add_filter_xz, "./lib/module.ko", "contents", 8);
    length = pack(outer, sizeof outer, true, NULL, "data.tar.xz", inner, length);
    put("x.deb", outer, length);
    cr_assert_eq(deb_read(package, save, to, &err), 0, "%s", err.text);
    cleanup_free char *text = files_read(to, 100, NULL);
    cr_expect_str_eq(text, "contents");
    cr_expect_eq(deb_read(package, save, to, &err), -EEXIST, "an existing file is not overwritten: %s", err.text);
    for (size_t cut = 0; cut < length; cut += 31) {
        unlink(to);
        cr_assert_eq(truncate(package, (off_t)(length - 1 - cut)), 0);
        cr_expect_lt(deb_read(package, save, to, &err), 0, "cut by %zu", cut);
    }
    cr_expect_eq(deb_read("/nonexistent", save, to, &err), -ENOENT);
}
