/* SPDX-License-Identifier: Apache-2.0 */
/* A tiny root: one static busybox and the few files that make it feel like a system. */
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "images/command.h"
#include "images/deb.h"
#include "images/elf_static.h"
#include "images/files.h"
#include "images/source.h"
#include "src/cleanup.h"

/* Changes whenever the tree made from the same busybox does. */
#define LAYOUT "busybox layout 1"
#define PACKAGE "busybox-static"

static bool is_static_program(const char *path)
{
    cleanup_close int fd = open(path, O_RDONLY | O_CLOEXEC);
    return fd >= 0 && elf_check_static(fd) == 0;
}

/* The path of a static busybox on PATH, or NULL. */
static char *find_installed(void)
{
    cleanup_free char *path = strdup(getenv("PATH") ? getenv("PATH") : "/usr/bin:/bin");
    char *rest = path;
    for (char *directory; rest && (directory = strsep(&rest, ":"));) {
        cleanup_free char *candidate = files_format("%s/busybox", directory);
        if (candidate && is_static_program(candidate))
            return steal_pointer(&candidate);
    }
    return NULL;
}

static int save_busybox(void *data, const char *path, struct archive *archive, struct archive_entry *entry,
                        struct err *err)
{
    const char *to = data;
    if (strcmp(path, "bin/busybox") != 0 && strcmp(path, "usr/bin/busybox") != 0)
        return 0;
    return deb_save(archive, entry, to, err);
}

/* Takes it out of the distribution's package, once for each build. */
static int download(const struct source_job *job, const char *to, struct err *err)
{
    cleanup_free char *package = NULL;
    int code = apt_download(job->apt, PACKAGE, job->work, &package, err);
    if (code == 0)
        code = deb_read(package, save_busybox, (void *)to, err);
    if (code < 0)
        return code;
    if (!is_static_program(to) || chmod(to, 0755) < 0)
        return err_set(err, ENOENT, "busybox: the package %s has no static busybox in it", PACKAGE);
    return 0;
}

/* The path of a static busybox, malloc'd; NULL with *err set. */
static char *find_busybox(const struct source_job *job, struct err *err)
{
    char *installed = find_installed();
    if (installed)
        return installed;
    cleanup_free char *to = files_format("%s/busybox", job->work);
    if (!to)
        err_errno(err, ENOMEM, "busybox");
    return to && (files_exists(to) || download(job, to, err) == 0) ? steal_pointer(&to) : NULL;
}

static int add_inputs(const struct source_job *job, struct digest *inputs, struct err *err)
{
    char hex[DIGEST_HEX_SIZE];
    cleanup_free char *path = find_busybox(job, err);
    if (!path)
        return -err->code;
    cleanup_close int fd = open(path, O_RDONLY | O_CLOEXEC);
    int code = fd < 0 ? -errno : digest_fd(fd, NULL, hex);
    if (code < 0)
        return err_errno(err, -code, "read %s", path);
    digest_add_string(inputs, LAYOUT);
    digest_add_string(inputs, hex);
    return 0;
}

static void add_directories(struct tree *tree)
{
    static const struct {
        const char *path;
        mode_t mode;
    } directories[] = {{".", 0755},        {"bin", 0755},     {"boot", 0755},    {"dev", 0755}, {"etc", 0755},
                       {"home", 0755},     {"lib", 0755},     {"media", 0755},   {"mnt", 0755}, {"opt", 0755},
                       {"proc", 0555},     {"root", 0700},    {"run", 0755},     {"srv", 0755}, {"sys", 0555},
                       {"tmp", 01777},     {"usr", 0755},     {"usr/lib", 0755}, {"usr/local", 0755},
                       {"usr/local/bin", 0755}, {"usr/share", 0755}, {"var", 0755}, {"var/cache", 0755},
                       {"var/lib", 0755},  {"var/log", 0755}, {"var/tmp", 01777}};
    for (size_t i = 0; i < sizeof directories / sizeof *directories; i++)
        tree_directory(tree, directories[i].path, directories[i].mode);
    tree_symlink(tree, "sbin", "bin");
    tree_symlink(tree, "usr/bin", "../bin");
    tree_symlink(tree, "usr/sbin", "../bin");
    tree_symlink(tree, "var/run", "../run");
    tree_directory_of(tree, "home/user", 0755, 1000, 1000);
}

static void add_settings(struct tree *tree)
{
    tree_text(tree, "etc/passwd", 0644,
              "root:x:0:0:root:/root:/bin/sh\n"
              "daemon:x:1:1:daemon:/:/bin/false\n"
              "user:x:1000:1000:user:/home/user:/bin/sh\n"
              "nobody:x:65534:65534:nobody:/nonexistent:/bin/false\n");
    tree_text(tree, "etc/group", 0644, "root:x:0:\ndaemon:x:1:\ntty:x:5:\nuser:x:1000:\nnogroup:x:65534:\n");
    tree_text(tree, "etc/shadow", 0600, "root:*:::::::\ndaemon:*:::::::\nuser:*:::::::\nnobody:*:::::::\n");
    tree_text(tree, "etc/shells", 0644, "/bin/sh\n/bin/ash\n");
    tree_text(tree, "etc/hostname", 0644, "gondolin\n");
    tree_text(tree, "etc/hosts", 0644, "127.0.0.1 localhost gondolin\n::1 localhost gondolin\n");
    tree_text(tree, "etc/resolv.conf", 0644, "");
    tree_text(tree, "etc/os-release", 0644, "ID=busybox\nNAME=BusyBox\nPRETTY_NAME=\"BusyBox (gondolin)\"\n");
    tree_text(tree, "etc/profile", 0644,
              "export PATH=/usr/local/bin:/bin:/usr/bin:/sbin:/usr/sbin\n"
              "export PS1='\\u@\\h:\\w\\$ '\n"
              "umask 022\n");
}

/* One link for each applet, as the binary itself lists them. */
static int add_applets(struct tree *tree, const char *busybox, struct err *err)
{
    const char *const argv[] = {busybox, "--list", NULL};
    cleanup_free char *names = NULL;
    int code = command_run(&(struct command){.argv = argv}, &names, err);
    char *rest = names;
    for (char *name; rest && (name = strsep(&rest, "\n"));) {
        if (*name == '\0' || strcmp(name, "busybox") == 0 || strchr(name, '/'))
            continue;
        cleanup_free char *path = files_format("bin/%s", name);
        if (path)
            tree_symlink(tree, path, "busybox");
    }
    return code;
}

static int write_tree(const struct source_job *job, struct tree *tree, struct err *err)
{
    cleanup_free char *busybox = find_busybox(job, err);
    if (!busybox)
        return -err->code;
    add_directories(tree);
    add_settings(tree);
    tree_file_from_path(tree, "bin/busybox", 0755, busybox);
    return add_applets(tree, busybox, err);
}

const struct image_source source_busybox = {
    .name = "busybox",
    .summary = "a tiny root with busybox, made in seconds",
    .disk_size = 1ULL << 30,
    .add_inputs = add_inputs,
    .write_tree = write_tree,
};
