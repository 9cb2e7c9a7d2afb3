/* SPDX-License-Identifier: Apache-2.0 */
#include "src/offline.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "images/checkpoint.h"
#include "images/checkpoint_view.h"
#include "images/files.h"
#include "src/cleanup.h"
#include "src/mountpoint.h"
#include "src/options.h"

struct offline {
    const char *mountpoint;
    char *store;
    struct checkpoint checkpoint;
    struct store_work work;
    struct appliance appliance;
};

/* Only the end of the mount ends it: a signal would leave a dead one. */
static void ignore_signals(void)
{
    static const int numbers[] = {SIGINT, SIGTERM, SIGHUP, SIGPIPE};
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        signal(numbers[i], SIG_IGN);
}

/* The work directory, which is locked as long as we live, as where the mount comes from: see mountpoint_clear_offline.
 * malloc'd. */
static char *mount_options(const struct offline *o)
{
    char *options = NULL;
    size_t size;
    FILE *out = open_memstream(&options, &size);
    if (!out)
        return NULL;
    fputs("subtype=" MOUNT_OFFLINE_SUBTYPE ",fsname=", out);
    for (const char *at = o->work.path; *at; at++)
        fprintf(out, *at == ',' || *at == '\\' ? "\\%c" : "%c", *at);
    return fclose(out) == 0 ? options : NULL;
}

static int show(struct offline *o, struct err *err)
{
    cleanup_free char *options = mount_options(o);
    cleanup_free char *disk = files_format("%s/" CHECKPOINT_DISK, o->checkpoint.directory);
    const char *const disks[] = {disk};
    if (!disk || !options)
        return err_errno(err, ENOMEM, "%s", o->mountpoint);
    int code = checkpoint_view_open(o->store, o->work.path, disks, 1, &o->appliance, err);
    if (code < 0)
        return code;
    if (guestfs_mount_local(o->appliance.g, o->mountpoint, GUESTFS_MOUNT_LOCAL_READONLY, 1, GUESTFS_MOUNT_LOCAL_OPTIONS,
                            options, -1) < 0)
        return appliance_failed(&o->appliance, o->mountpoint, err);
    return 0;
}

static int begin(struct offline *o, const char *name, struct err *err)
{
    o->store = store_open(err);
    int code = o->store ? checkpoint_open(o->store, name, false, &o->checkpoint, err) : -err->code;
    if (code == 0)
        code = appliance_prepare(o->store, err);
    return code == 0 ? store_work_begin(o->store, "offline", &o->work, err) : code;
}

static void end(struct offline *o)
{
    appliance_close(&o->appliance);
    store_work_end(&o->work);
    checkpoint_close(&o->checkpoint);
    free(o->store);
}

/* Says in `fd` that it is ready by an empty line, or why not; with -1 on standard output that it is. */
static int serve(struct offline *o, int fd, struct err *err)
{
    int code = show(o, err);
    if (fd >= 0) {
        dprintf(fd, "%s\n", code < 0 ? err->text : "");
        close(fd);
    } else if (code == 0) {
        printf("%s %s\n", o->mountpoint, o->checkpoint.name);
        fflush(stdout);
    }
    if (code == 0 && guestfs_mount_local_run(o->appliance.g) < 0)
        code = appliance_failed(&o->appliance, o->mountpoint, err);
    return code;
}

static void run_daemon(struct offline *o, int fd, bool made)
{
    struct err err = {0};
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    setsid();
    ignore_signals();
    for (int i = 0; i <= 2 && null >= 0; i++)
        dup2(null, i);
    int code = chdir("/") < 0 ? -errno : serve(o, fd, &err);
    end(o);
    if (code == 0 && made)
        rmdir(o->mountpoint);
    _exit(code < 0);
}

/* Waits for what the daemon says. */
static int wait_for(int fd, pid_t daemon, struct err *err)
{
    cleanup_fclose FILE *in = fdopen(fd, "r");
    char text[sizeof err->text] = "";
    if (in && fgets(text, sizeof text, in) && text[0] == '\n')
        return 0;
    text[strcspn(text, "\n")] = '\0';
    waitpid(daemon, NULL, 0);
    return err_set(err, EIO, "%s", *text ? text : "the process that shows the disk died");
}

static int start(struct offline *o, bool made, struct err *err)
{
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) < 0)
        return err_errno(err, errno, "pipe");
    fflush(NULL);
    pid_t pid = fork();
    if (pid == 0) {
        close(ends[0]);
        run_daemon(o, ends[1], made);
    }
    int reason = errno;
    close(ends[1]);
    if (pid > 0)
        return wait_for(ends[0], pid, err);
    close(ends[0]);
    return err_errno(err, reason, "fork");
}

/* The lock on the work directory and on the checkpoint are the daemon's too: closing ours lets go of nothing. */
static void let_go(struct offline *o)
{
    if (o->work.lock >= 0)
        close(o->work.lock);
    free(o->work.path);
    checkpoint_close(&o->checkpoint);
    free(o->store);
}

int offline_mount(const char *checkpoint, const char *mountpoint, bool made, bool foreground)
{
    struct offline o = {.mountpoint = mountpoint, .checkpoint = {.lock_fd = -1}, .work = {.lock = -1},
                        .appliance = {.cache_lock = -1}};
    struct err err = {0};
    int code = begin(&o, checkpoint, &err);
    if (code == 0 && foreground) {
        ignore_signals();
        code = serve(&o, -1, &err);
    } else if (code == 0) {
        code = start(&o, made, &err);
    }
    if (code == 0 && !foreground) {
        printf("%s %s\n", mountpoint, checkpoint);
        let_go(&o);
        return 0;
    }
    end(&o);
    if (code == 0 && made)
        rmdir(mountpoint);
    return code < 0 ? verb_failed("mount", &err) : 0;
}
