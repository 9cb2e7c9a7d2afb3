/* SPDX-License-Identifier: Apache-2.0 */
#include "images/initramfs.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include <archive.h>

#include "images/files.h"
#include "images/modules.h"
#include "images/names.h"
#include "images/tree.h"
#include "src/cleanup.h"

/* What the agent needs to reach the root disk and the host, and to show the host's files. ext4 is here for kernels that do not have it
 * built in. */
static const char *const boot_modules[] = {"virtio_pci", "virtio_blk", "virtio_console", "ext4", "virtio_rng", "fuse",
                                           NULL};

static const char *const extra_modules[] = {"overlay", "virtio_net", NULL};

/* Adds the files of order->list[from...] and the file that lists them. */
static void add_modules(struct tree *tree, const struct kernel *kernel, const struct modules *modules,
                        const struct names *order, size_t from, const char *directory)
{
    struct names sorted = {0};
    for (size_t i = from; i < order->count; i++)
        names_add(&sorted, order->list[i]);
    names_sort(&sorted);
    if (sorted.failed)
        err_errno(&tree->err, ENOMEM, "list modules");

    tree_directory(tree, directory, 0755);
    for (size_t i = 0; i < sorted.count; i++) {
        cleanup_free char *to = files_format("%s/%s.ko", directory, sorted.list[i]);
        cleanup_free char *file = files_format("%s/%s", kernel->modules, modules_file(modules, sorted.list[i]));
        if (to && file)
            tree_file_from_path(tree, to, 0644, file);
        else
            err_errno(&tree->err, ENOMEM, "add module");
    }

    char text[2048];
    size_t length = 0;
    for (size_t i = from; i < order->count && length < sizeof text; i++)
        length += (size_t)snprintf(text + length, sizeof text - length, "%s.ko\n", order->list[i]);
    if (length >= sizeof text)
        err_set(&tree->err, E2BIG, "too many kernel modules");
    cleanup_free char *path = files_format("%s/order", directory);
    if (path)
        tree_file(tree, path, 0644, text, length);
    else
        err_errno(&tree->err, ENOMEM, "add module order");
    names_free(&sorted);
}

static void add_entries(struct tree *tree, const struct kernel *kernel, const struct modules *modules, int agent)
{
    struct names order = {0};

    tree_directory(tree, "dev", 0755);
    tree_character_device(tree, "dev/console", 0600, 5, 1);
    tree_file_from_fd(tree, "init", 0755, agent);
    if (!tree->err.code && modules_resolve(modules, boot_modules, &order, &tree->err) == 0)
        add_modules(tree, kernel, modules, &order, 0, "modules");
    size_t booted = order.count;
    if (!tree->err.code && modules_resolve(modules, extra_modules, &order, &tree->err) == 0)
        add_modules(tree, kernel, modules, &order, booted, "modules/extra");
    names_free(&order);
}

static int write_cpio(const char *path, const struct kernel *kernel, const struct modules *modules, int agent,
                      struct err *err)
{
    struct archive *archive = archive_write_new();
    if (!archive)
        return err_errno(err, ENOMEM, "write initramfs: %s", path);

    struct tree tree = {.archive = archive};
    archive_write_set_format_cpio_newc(archive);
    if (archive_write_open_filename(archive, path) != ARCHIVE_OK)
        err_errno(&tree.err, archive_errno(archive), "open");
    else
        add_entries(&tree, kernel, modules, agent);
    if (!tree.err.code && archive_write_close(archive) != ARCHIVE_OK)
        err_errno(&tree.err, archive_errno(archive), "close");
    archive_write_free(archive);
    return tree.err.code ? err_set(err, tree.err.code, "write initramfs: %s: %s", path, tree.err.text) : 0;
}

int initramfs_write(const char *path, const struct kernel *kernel, int agent, struct err *err)
{
    struct modules *modules;
    int code = modules_load(kernel->modules, &modules, err);
    if (code < 0)
        return code;
    code = write_cpio(path, kernel, modules, agent, err);
    modules_free(modules);
    return code;
}
