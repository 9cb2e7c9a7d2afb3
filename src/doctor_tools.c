/* SPDX-License-Identifier: Apache-2.0 */
/* gondolin doctor: the programs that gondolin runs and the places it writes to. */
#include "config.h"

#include <errno.h>
#include <guestfs.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "images/image.h"
#include "src/cleanup.h"
#include "src/doctor.h"
#include "src/session.h"
#include "vmm/child.h"
#include "vmm/program.h"

enum { TIMEOUT_MS = 10000, OUTPUT_MAX = 128 * 1024 };
#define GIB ((uint64_t)1 << 30)

/* Runs a program for at most 10 s and returns its malloc'd output; NULL with *err set when it failed. */
static char *output_of(char *const *argv, struct err *err)
{
    cleanup_free char *output = malloc(OUTPUT_MAX);
    if (!output || child_run(argv, NULL, 0, TIMEOUT_MS, output, OUTPUT_MAX, err) < 0)
        return NULL;
    return steal_pointer(&output);
}

/* The first "1.2" or "1.2.3" in a program's --version. */
static bool version_of(char *program, char *version, size_t size)
{
    char *argv[] = {program, "--version", NULL};
    cleanup_free char *text = output_of(argv, NULL);
    const char *digit = text ? strpbrk(text, "0123456789") : NULL;
    if (digit)
        snprintf(version, size, "%.*s", (int)strspn(digit, "0123456789."), digit);
    return digit;
}

/* Starts QEMU as a sandbox would be, as far as the list of its devices. */
static bool qemu_starts(char *binary, struct err *err)
{
    char *argv[] = {binary, "-no-user-config", "-nodefaults", "-display", "none", "-machine", "none", "-sandbox",
                    "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny", "-device", "help", NULL};
    cleanup_free char *devices = output_of(argv, err);
    if (!devices)
        return false;
    if (strstr(devices, "\"virtio-serial-pci\"") && strstr(devices, "\"virtio-blk-pci\""))
        return true;
    err_set(err, ENODEV, "it has no virtio-serial-pci or no virtio-blk-pci device");
    return false;
}

static void check_qemu(struct doctor_item *item)
{
    struct utsname host;
    char name[96], fix[96], version[32] = "";
    struct err err = {0};
    uname(&host);
    bool arm = !strcmp(host.machine, "aarch64");
    snprintf(name, sizeof name, "qemu-system-%s", host.machine);
    snprintf(fix, sizeof fix, "sudo apt-get install %s", arm ? "qemu-system-arm" : "qemu-system-x86");
    cleanup_free char *binary = program_find(name);
    if (!binary)
        doctor_fail(item, fix, "%s was not found", name);
    else if (!qemu_starts(binary, &err))
        doctor_fail(item, fix, "%s does not work: %.200s", binary, err.text);
    else if (!version_of(binary, version, sizeof version))
        doctor_warn(item, fix, "%s does not tell its version", binary);
    else if (strverscmp(version, "7.2") < 0)
        doctor_warn(item, "use QEMU 7.2 or newer", "%s %s is older than any that gondolin was tested with", binary,
                    version);
    else
        doctor_ok(item, "%s %s%s", binary, version,
                  strncmp(version, "7.2", 3) ? "" : " (its emulated cmpxchg16b is faulty; guests are run without it)");
}

static void check_program(struct doctor_item *item, const char *name, const char *package, enum doctor_verdict missing,
                          const char *consequence)
{
    char fix[96];
    snprintf(fix, sizeof fix, "sudo apt-get install %s", package);
    cleanup_free char *path = program_find(name);
    if (path)
        doctor_ok(item, "%s", path);
    else if (missing == DOCTOR_FAIL)
        doctor_fail(item, fix, "%s was not found: %s", name, consequence);
    else
        doctor_warn(item, fix, "%s was not found: %s", name, consequence);
}

static void check_qemu_img(struct doctor_item *item)
{
    check_program(item, "qemu-img", "qemu-utils", DOCTOR_FAIL, "root disks cannot be protected from writes");
}

static bool user_allow_other(void)
{
    cleanup_fclose FILE *conf = fopen("/etc/fuse.conf", "re");
    char line[128];
    while (conf && fgets(line, sizeof line, conf)) {
        line[strcspn(line, " \t\r\n#")] = '\0';
        if (!strcmp(line, "user_allow_other"))
            return true;
    }
    return false;
}

static void check_fusermount(struct doctor_item *item)
{
    struct stat st;
    check_program(item, "fusermount3", "fuse3", geteuid() == 0 ? DOCTOR_WARN : DOCTOR_FAIL,
                  "ordinary users cannot mount sandboxes");
    cleanup_free char *path = program_find("fusermount3");
    if (!path)
        return;
    if (geteuid() == 0)
        doctor_ok(item, "%s", path);
    else if (stat(path, &st) < 0 || st.st_uid != 0 || !(st.st_mode & S_ISUID))
        doctor_fail(item, "sudo apt-get install --reinstall fuse3",
                    "%s is not setuid root: ordinary users cannot mount", path);
    else if (user_allow_other())
        doctor_ok(item, "%s; other users may be let in (user_allow_other is set in /etc/fuse.conf)", path);
    else
        doctor_ok(item, "%s; nobody else, root included, can look into a sandbox (user_allow_other is not set in "
                        "/etc/fuse.conf)", path);
}

static bool exists_in(const char *directory, const char *name)
{
    cleanup_free char *path = NULL;
    if (asprintf(&path, "%s/%s", directory, name) < 0) {
        path = NULL;
        return false;
    }
    return access(path, R_OK) == 0;
}

static void check_libguestfs(struct doctor_item *item)
{
    guestfs_h *g = guestfs_create();
    cleanup_free char *path = g ? strdup(guestfs_get_path(g)) : NULL;
    if (g)
        guestfs_close(g);
    cleanup_free char *supermin = program_find("supermin");
    bool found = false, fixed = false;
    char *rest = path;
    for (char *directory; rest && (directory = strsep(&rest, ":"));) {
        found |= exists_in(directory, "supermin.d");
        fixed |= exists_in(directory, "README.fixed");
    }
    if (fixed || (found && supermin))
        doctor_ok(item,
                  "its appliance is there; it runs on the kernel of the image that is built, none in /boot is needed");
    else
        doctor_warn(item, "sudo apt-get install libguestfs0 supermin", "%s: images cannot be built",
                    found ? "supermin was not found" : "the appliance of libguestfs was not found");
}

static bool has_subuids(void)
{
    const struct passwd *user = getpwuid(geteuid());
    cleanup_fclose FILE *subuid = fopen("/etc/subuid", "re");
    char line[256];
    while (user && subuid && fgets(line, sizeof line, subuid)) {
        size_t n = strlen(user->pw_name);
        if (!strncmp(line, user->pw_name, n) && line[n] == ':')
            return true;
    }
    return false;
}

static void check_mmdebstrap(struct doctor_item *item)
{
    check_program(item, "mmdebstrap", "mmdebstrap", DOCTOR_WARN, "Debian images cannot be built");
    if (item->verdict != DOCTOR_OK || geteuid() == 0)
        return;
    cleanup_free char *newuidmap = program_find("newuidmap");
    if (!newuidmap)
        doctor_warn(item, "sudo apt-get install uidmap",
                    "newuidmap was not found: ordinary users cannot build Debian images");
    else if (!has_subuids())
        doctor_warn(item, "sudo usermod --add-subuids 100000-165535 --add-subgids 100000-165535 $USER",
                    "this user has no range in /etc/subuid, and so cannot build Debian images");
}

static void check_busybox(struct doctor_item *item)
{
    cleanup_free char *path = program_find("busybox");
    if (path)
        doctor_ok(item, "%s", path);
    else
        doctor_ok(item, "not installed; images of busybox take it from its Debian package");
}

static void check_runtime_directory(struct doctor_item *item)
{
    struct session session;
    struct err err = {0};
    if (session_create(&session, &err) < 0) {
        doctor_fail(item, "set XDG_RUNTIME_DIR to a directory of your own, mode 0700", "%s", err.text);
        return;
    }
    const char *slash = strrchr(session.directory, '/');
    doctor_ok(item, "%.*s can be written", slash ? (int)(slash - session.directory) : 0, session.directory);
    session_remove(&session);
}

/* Shortens the path of a directory to what is there of it, if the next one can be made. */
static int up_to_existing(char *path)
{
    for (int depth = 0; mkdir(path, 0700) < 0; depth++) {
        char *slash = strrchr(path, '/');
        if (errno == EEXIST)
            return depth == 0 ? 0 : -ENOENT; /* as in /proc */
        if (errno != ENOENT || !slash || slash == path)
            return -errno;
        *slash = '\0';
    }
    rmdir(path);
    char *slash = strrchr(path, '/');
    slash[slash == path] = '\0';
    return 0;
}

static void check_store(struct doctor_item *item)
{
    struct err err = {0};
    struct statvfs fs;
    cleanup_free char *store = image_store_path(&err);
    if (!store) {
        doctor_fail(item, "set GONDOLIN_STORE to a directory that you may write to", "%s", err.text);
        return;
    }
    cleanup_free char *existing = strdup(store);
    int code = existing ? up_to_existing(existing) : -ENOMEM;
    if (code == 0 && (access(existing, W_OK) < 0 || statvfs(existing, &fs) < 0))
        code = -errno;
    if (code < 0) {
        doctor_fail(item, "set GONDOLIN_STORE to a directory that you may write to", "%s: %s", store, strerror(-code));
        return;
    }
    const char *there = strcmp(existing, store) == 0 ? "" : " is not there yet and";
    uint64_t available = (uint64_t)fs.f_bavail * fs.f_frsize;
    double gib = (double)available / (double)GIB;
    if (available < 2 * GIB)
        doctor_warn(item, "free some space, or set GONDOLIN_STORE to a larger file system",
                    "%s%s has %.1f GiB free; building an image takes up to 2 GiB", store, there, gib);
    else
        doctor_ok(item, "%s%s has %.1f GiB free", store, there, gib);
}

const struct doctor_check doctor_tool_checks[] = {
    {"qemu", check_qemu},
    {"qemu-img", check_qemu_img},
    {"fusermount3", check_fusermount},
    {"libguestfs", check_libguestfs},
    {"mmdebstrap", check_mmdebstrap},
    {"busybox", check_busybox},
    {"runtime-directory", check_runtime_directory},
    {"store", check_store},
    {NULL, NULL},
};
