/* SPDX-License-Identifier: Apache-2.0 */
#include "images/appliance.h"

#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "images/contain.h"
#include "images/files.h"
#include "images/store.h"
#include "src/cleanup.h"
#include "vmm/accel.h"

enum {
    MEMORY = 768,      /* MiB */
    SPACE = 384 << 20, /* bytes in the cache, 275 MiB with Debian 12 */
    MOST_FDS = 1024,
};

int appliance_failed(const struct appliance *appliance, const char *what, struct err *err)
{
    const char *reason = guestfs_last_error(appliance->g);
    if (!store_has_space(appliance->store, err))
        return -ENOSPC;
    if (!reason)
        reason = "failed";
    /* The first line is the reason; the others are general advice. */
    return err_set(err, EIO, "%s: libguestfs: %.*s; to see more, run it again with LIBGUESTFS_DEBUG=1", what,
                   (int)strcspn(reason, "\n"), reason);
}

/* Which kernel the appliance boots. A handle reads it when it is made. */
static int set_environment(const struct kernel *kernel, struct err *err)
{
    if (setenv("SUPERMIN_KERNEL", kernel->image, 1) < 0 ||
        setenv("SUPERMIN_KERNEL_VERSION", kernel->release, 1) < 0 ||
        setenv("SUPERMIN_MODULES", kernel->modules, 1) < 0 ||
        /* As root of a namespace with one id, tar would try to give files to the ids of who packed them. */
        setenv("TAR_OPTIONS", "--no-same-owner", 1) < 0)
        return err_errno(err, ENOMEM, "start appliance");
    if (!files_exists("/lib/modules"))
        return err_set(err, ENOENT, "start appliance: supermin needs the directory /lib/modules, even empty; make it with: "
                       "sudo mkdir /lib/modules");
    return 0;
}

/* supermin leaves half an appliance (of 300 MiB) behind when it is killed. Nobody is at it when the cache can be
 * locked; the lock, shared from then on, says that we are. A descriptor, or -1 (harmless). */
static int tidy_cache(const char *cache)
{
    cleanup_close int lock = open(cache, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    glob_t half = {0};

    if (lock >= 0 && flock(lock, LOCK_EX | LOCK_NB) == 0) {
        cleanup_free char *pattern = files_format("%s/.guestfs-*/appliance.d.*", cache);
        if (pattern && glob(pattern, 0, NULL, &half) == 0)
            for (size_t i = 0; i < half.gl_pathc; i++)
                files_remove_tree(half.gl_pathv[i]);
        globfree(&half);
    }
    if (lock >= 0)
        flock(lock, LOCK_SH);
    return steal_fd(&lock);
}

/* supermin tidies up when it runs out of space, and does not say why it failed. */
static bool has_room(const char *store, struct err *err)
{
    cleanup_free char *appliance = files_format("%s/cache/.guestfs-%u/appliance.d", store, (unsigned)geteuid());
    return (appliance && files_exists(appliance)) || store_has_room(store, SPACE, err);
}

static int configure(struct appliance *appliance, const char *work, bool kvm)
{
    cleanup_free char *cache = files_format("%s/cache", appliance->store);
    guestfs_h *g = appliance->g;

    appliance->cache_lock = cache ? tidy_cache(cache) : -1;
    if (!cache || guestfs_set_cachedir(g, cache) < 0 || guestfs_set_tmpdir(g, work) < 0)
        return -1;
    if (guestfs_set_memsize(g, MEMORY) < 0 || guestfs_set_network(g, 0) < 0)
        return -1;
    /* By default QEMU would stop the machine when the host's disk is full, and we would wait for ever. */
    if (guestfs_config(g, "-global", "scsi-hd.werror=report") < 0)
        return -1;
#if defined(__x86_64__)
    /* As for sandboxes (vmm/qemu_args.c). The last -cpu counts. */
    if (!kvm && guestfs_config(g, "-cpu", "max,cx16=off,erms=off,fsrm=off") < 0)
        return -1;
#else
    (void)kvm;
#endif
    return 0;
}

/* The appliance in the cache: "STORE/cache/.guestfs-UID/appliance.d", malloc'd. In a namespace another user id built
 * it. */
static char *find_cached(const char *store)
{
    glob_t found = {0};
    char *directory = NULL;
    cleanup_free char *pattern = files_format("%s/cache/.guestfs-*/appliance.d/root", store);
    if (pattern && glob(pattern, 0, NULL, &found) == 0)
        directory = strndup(found.gl_pathv[0], strlen(found.gl_pathv[0]) - strlen("/root"));
    globfree(&found);
    return directory;
}

/* What libguestfs takes for an appliance that is not to be built: its three files and a mark. */
static int use_cached(struct appliance *appliance, const char *work, struct err *err)
{
    static const char *const names[] = {"kernel", "initrd", "root"};
    cleanup_free char *cached = find_cached(appliance->store), *mark = files_format("%s/README.fixed", work);
    if (!cached || !mark)
        return err_set(err, ENOENT, "start appliance: there is none in %s/cache", appliance->store);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        cleanup_free char *from = files_format("%s/%s", cached, names[i]), *to = files_format("%s/%s", work, names[i]);
        if (!from || !to || symlink(from, to) < 0)
            return err_errno(err, errno, "start appliance: %s", work);
    }
    cleanup_close int fd = open(mark, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0 || guestfs_set_path(appliance->g, work) < 0)
        return err_errno(err, errno, "start appliance: %s", mark);
    return 0;
}

int appliance_open(const char *store, const char *work, const struct kernel *kernel, struct appliance *out, struct err *err)
{
    struct accel_verdict verdict;
    *out = (struct appliance){.store = store, .cache_lock = -1};
    /* It may be out of sight here, for which libguestfs would give up all else that the environment says. */
    const char *runtime = getenv("XDG_RUNTIME_DIR");
    if (runtime && access(runtime, F_OK) < 0)
        unsetenv("XDG_RUNTIME_DIR");
    accel_decide(&verdict);
    accel_apply_to_libguestfs(&verdict);
    int code = kernel ? set_environment(kernel, err) : 0;
    if (code == 0 && !has_room(store, err))
        code = -ENOSPC;
    if (code < 0)
        return code;
    out->g = guestfs_create();
    if (!out->g)
        return err_errno(err, ENOMEM, "start appliance");
    guestfs_set_error_handler(out->g, NULL, NULL);
    if (configure(out, work, verdict.kvm) < 0)
        code = appliance_failed(out, "configure appliance", err);
    if (code == 0 && !kernel)
        code = use_cached(out, work, err);
    if (code < 0)
        appliance_close(out);
    return code;
}

void appliance_close(struct appliance *appliance)
{
    if (appliance->g)
        guestfs_close(appliance->g);
    if (appliance->cache_lock >= 0)
        close(appliance->cache_lock);
    *appliance = (struct appliance){.cache_lock = -1};
}

/* The daemon in the appliance has called libguestfs by a socket in a directory of its own in /tmp or XDG_RUNTIME_DIR, which
 * would stay there if we were killed. */
static void remove_socket(void)
{
    static const char end[] = "/guestfsd.sock";
    struct sockaddr_un address;
    for (int fd = 0; fd < MOST_FDS; fd++) {
        socklen_t size = sizeof address;
        memset(&address, 0, sizeof address);
        if (getsockname(fd, (struct sockaddr *)&address, &size) < 0 || address.sun_family != AF_UNIX)
            continue;
        size_t length = strnlen(address.sun_path, sizeof address.sun_path - 1);
        address.sun_path[length] = '\0';
        if (length < sizeof end || strcmp(address.sun_path + length + 1 - sizeof end, end) != 0)
            continue;
        unlink(address.sun_path);
        address.sun_path[length + 1 - sizeof end] = '\0';
        rmdir(address.sun_path);
    }
}

int appliance_launch(const struct appliance *appliance, struct err *err)
{
    if (guestfs_launch(appliance->g) < 0)
        return appliance_failed(appliance, "start appliance", err);
    remove_socket();
    return 0;
}

struct preparation {
    const char *store, *work;
    const struct kernel *kernel;
};

static int build_contained(void *data, struct contained *contained, struct err *err)
{
    const struct preparation *p = data;
    struct appliance appliance;
    (void)contained;
    int code = appliance_open(p->store, p->work, p->kernel, &appliance, err);
    if (code < 0)
        return code;
    if (guestfs_add_drive_scratch(appliance.g, 1 << 20, -1) < 0)
        code = appliance_failed(&appliance, "start appliance", err);
    else
        code = appliance_launch(&appliance, err);
    appliance_close(&appliance);
    return code;
}

int appliance_prepare(const char *store, struct err *err)
{
    cleanup_free char *cached = find_cached(store);
    struct kernel kernel;
    struct store_work work;
    if (cached)
        return 0;
    int code = kernel_open_cached(store, &kernel, err);
    if (code < 0)
        return code;
    code = store_work_begin(store, "appliance", &work, err);
    if (code == 0) {
        struct preparation p = {.store = store, .work = work.path, .kernel = &kernel};
        code = contain_run(&(struct contain){.work = build_contained, .data = &p, .keep = store}, err);
        store_work_end(&work);
    }
    kernel_free(&kernel);
    return code;
}
