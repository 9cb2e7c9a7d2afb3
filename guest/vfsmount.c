/* SPDX-License-Identifier: Apache-2.0 */
#include "guest/vfsmount.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "fs/sync.h"
#include "fs/wire.h"
#include "guest/log.h"
#include "guest/payload.h"
#include "guest/ports.h"
#include "guest/uevent.h"
#include "guest/vfspump.h"
#include "guest/worker.h"
#include "src/cleanup.h"
#include "src/proto.h"

#define PLACE "/run/gondolin/vfs"

enum { MOUNTS_MAX = 64, PORT_WAIT_MS = 10000, DRAIN_MS = 2000, READ_AHEAD_KB = 1024 };

struct target {
    uint32_t id;
    char *path;
    bool file, read_only, no_exec;
    bool stale; /* mounted from a session that has ended */
};

struct targets {
    struct target list[MOUNTS_MAX];
    size_t count;
};

/* All but loop-side fields belong to the worker thread, which takes one request after the other, and to the loop while it
 * has none. */
struct vfsmount {
    const struct vfsmount_ops *ops;
    void *data;
    struct worker *worker;
    char asked[SYNC_NONCE + 1]; /* loop: the session last asked for */
    unsigned requests;          /* loop: those the thread has not finished */

    int port;
    struct vfspump *pump;
    char session[SYNC_NONCE + 1]; /* the one in force; "": none */
    struct targets mounted;
};

/* ---- requests ---- */

struct request {
    struct vfsmount *v;
    char session[SYNC_NONCE + 1];
    bool hold;   /* nothing else is asked */
    bool resume; /* the session before goes on under the new number */
    struct targets wanted;
    struct json_object *answer;
};

static void clear(struct targets *targets)
{
    for (size_t i = 0; i < targets->count; i++)
        free(targets->list[i].path);
    targets->count = 0;
}

static void request_free(struct request *r)
{
    if (!r)
        return;
    clear(&r->wanted);
    json_object_put(r->answer);
    free(r);
}

static int read_target(struct json_object *object, struct target *out, struct err *err)
{
    const char *path = NULL;
    uint64_t id = 0;
    if (!json_object_is_type(object, json_type_object))
        return err_set(err, EINVAL, "mounts: not an object");
    int rc = payload_number(object, "id", UINT32_MAX, &id, err);
    rc = rc ? rc : payload_string(object, "target", &path, err);
    rc = rc ? rc : payload_bool(object, "file", &out->file, err);
    rc = rc ? rc : payload_bool(object, "ro", &out->read_only, err);
    rc = rc ? rc : payload_bool(object, "noexec", &out->no_exec, err);
    if (rc < 0)
        return rc;
    if (!path || path[0] != '/' || strlen(path) >= PATH_MAX)
        return err_set(err, EINVAL, "target: not an absolute path");
    out->id = (uint32_t)id;
    out->path = strdup(path);
    return out->path ? 0 : err_set(err, ENOMEM, "target: out of memory");
}

static int read_request(struct json_object *object, struct request *r, struct err *err)
{
    struct json_object *mounts;
    const char *session = NULL;
    int rc = payload_bool(object, "hold", &r->hold, err);
    if (rc < 0 || r->hold)
        return rc;
    rc = payload_bool(object, "resume", &r->resume, err);
    rc = rc ? rc : payload_string(object, "session", &session, err);
    if (rc < 0)
        return rc;
    if (session && strlen(session) != SYNC_NONCE)
        return err_set(err, EINVAL, "session: not %d characters", SYNC_NONCE);
    snprintf(r->session, sizeof r->session, "%s", session ? session : "");
    if (!json_object_object_get_ex(object, "mounts", &mounts) || !json_object_is_type(mounts, json_type_array) ||
        json_object_array_length(mounts) > MOUNTS_MAX)
        return err_set(err, EINVAL, "mounts: not an array of at most %d", MOUNTS_MAX);
    for (size_t i = 0; i < json_object_array_length(mounts) && rc == 0; i++) {
        rc = read_target(json_object_array_get_idx(mounts, i), &r->wanted.list[i], err);
        if (rc == 0)
            r->wanted.count++;
    }
    return rc;
}

/* One line of the answer, in the array `list`; the sentence may be NULL. */
static void answer_with(struct request *r, const char *list, uint32_t id, int code, const char *what)
{
    struct json_object *array, *line = json_object_new_object();
    char text[PATH_MAX + 256];
    json_object_object_get_ex(r->answer, list, &array);
    json_object_object_add(line, "id", json_object_new_uint64(id));
    json_object_object_add(line, "errno", json_object_new_int(code));
    if (code) {
        snprintf(text, sizeof text, "%s: %s", what, strerror(code));
        json_object_object_add(line, "error", json_object_new_string(text));
    }
    json_object_array_add(array, line);
}

/* ---- the session ---- */

/* Ends the connection at once, whoever waits for an answer or holds it busy. */
static void abort_connection(void)
{
    while (umount2(PLACE, MNT_FORCE | MNT_DETACH | UMOUNT_NOFOLLOW) == 0)
        ;
}

/* What is mounted stays, and answers ENOTCONN, until there is something to put in its place: nobody shall take the
 * directory below it for the one of the host. */
static void end_session(struct vfsmount *v)
{
    abort_connection();
    for (size_t i = 0; i < v->mounted.count; i++)
        v->mounted.list[i].stale = true;
    vfspump_stop(v->pump);
    v->pump = NULL;
    v->session[0] = '\0';
}

/* It may appear later than the port that the request came on. */
static int open_port(struct vfsmount *v)
{
    if (v->port >= 0)
        return 0;
    cleanup_close int uevents = uevent_open();
    uint64_t deadline = loop_now_ms() + PORT_WAIT_MS;
    while ((v->port = ports_open(PORT_VFS)) == -ENOENT)
        if (uevents < 0 || !uevent_wait(uevents, deadline))
            break;
    return v->port < 0 ? v->port : 0;
}

static void pump_ended(void *data, const char *why)
{
    const struct vfsmount *v = data;
    v->ops->failed(v->data, why);
}

static int make_place(void)
{
    if (mkdir("/run/gondolin", 0700) < 0 && errno != EEXIST)
        return -errno;
    return mkdir(PLACE, 0700) < 0 && errno != EEXIST ? -errno : 0;
}

/* Access is the business of this guest's kernel (default_permissions), with the owners that the host shows. */
static int begin_session(struct vfsmount *v, const char *session)
{
    char options[160];
    int rc = open_port(v);
    rc = rc < 0 ? rc : make_place();
    if (rc < 0)
        return rc;
    cleanup_close int fuse = open("/dev/fuse", O_RDWR | O_CLOEXEC);
    if (fuse < 0)
        return -errno;
    snprintf(options, sizeof options,
             "fd=%d,rootmode=40000,user_id=0,group_id=0,allow_other,default_permissions,max_read=%d", fuse,
             WIRE_IO_LIMIT);
    if (mount("gondolin", PLACE, "fuse.gondolin", MS_NOSUID | MS_NODEV, options) < 0)
        return -errno;
    v->pump = vfspump_start(v->port, steal_fd(&fuse), PLACE, session, pump_ended, v);
    if (!v->pump) {
        rc = -errno;
        abort_connection();
        return rc;
    }
    snprintf(v->session, sizeof v->session, "%s", session);
    return 0;
}

/* What the kernel remembers of names may be wrong by now; what it has open it asks about again. */
static void forget_names(void)
{
    cleanup_close int fd = open("/proc/sys/vm/drop_caches", O_WRONLY | O_CLOEXEC);
    if (fd < 0 || write(fd, "2", 1) != 1)
        log_line(LOG_LEVEL_WARNING, "forget names: %s", strerror(errno));
}

static int resume_session(struct vfsmount *v, const char *session)
{
    int rc = vfspump_reconnect(v->pump, session);
    if (rc < 0)
        return rc;
    snprintf(v->session, sizeof v->session, "%s", session);
    forget_names();
    return 0;
}

/* ---- targets ---- */

static int make_parents(char *path)
{
    for (char *slash = strchr(path + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        int rc = mkdir(path, 0755) < 0 && errno != EEXIST ? -errno : 0;
        *slash = '/';
        if (rc < 0)
            return rc;
    }
    return 0;
}

static int make_target(const struct target *t)
{
    int rc = make_parents(t->path);
    if (rc < 0)
        return rc;
    if (!t->file)
        return mkdir(t->path, 0755) < 0 && errno != EEXIST ? -errno : 0;
    int fd = open(t->path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
    if (fd >= 0)
        close(fd);
    return fd < 0 && errno != EEXIST ? -errno : 0;
}

/* `stale` is what it replaces, or NULL. Opening the source waits for the session's first answer. */
static int mount_target(const struct target *t, const struct target *stale)
{
    char source[sizeof PLACE + 16];
    unsigned long flags = MS_REMOUNT | MS_BIND | MS_NOSUID | MS_NODEV | (t->read_only ? MS_RDONLY : 0) |
                          (t->no_exec ? MS_NOEXEC : 0);
    snprintf(source, sizeof source, PLACE "/%u", t->id);
    cleanup_close int fd = open(source, O_PATH | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    if (stale)
        umount2(t->path, MNT_DETACH | UMOUNT_NOFOLLOW);
    int rc = make_target(t);
    if (rc < 0)
        return rc;
    snprintf(source, sizeof source, "/proc/self/fd/%d", fd);
    if (mount(source, t->path, NULL, MS_BIND, NULL) < 0)
        return -errno;
    if (mount(NULL, t->path, NULL, flags, NULL) == 0)
        return 0;
    rc = -errno;
    umount2(t->path, MNT_DETACH | UMOUNT_NOFOLLOW);
    return rc;
}

static struct target *find(struct targets *targets, uint32_t id)
{
    for (size_t i = 0; i < targets->count; i++)
        if (targets->list[i].id == id)
            return &targets->list[i];
    return NULL;
}

/* The innermost first. What is in use stays. */
static void unmount_unwanted(struct request *r)
{
    struct targets *mounted = &r->v->mounted;
    for (size_t i = mounted->count; i-- > 0;) {
        struct target *t = &mounted->list[i];
        if (find(&r->wanted, t->id))
            continue;
        int flags = t->stale ? MNT_DETACH | UMOUNT_NOFOLLOW : UMOUNT_NOFOLLOW;
        int code = umount2(t->path, flags) < 0 && errno != EINVAL && !t->stale ? errno : 0;
        answer_with(r, "removed", t->id, code, t->path);
        if (code)
            continue;
        free(t->path);
        memmove(t, t + 1, (--mounted->count - i) * sizeof *t);
    }
}

static bool ask_for(const char *path)
{
    struct statx st;
    return statx(AT_FDCWD, path, AT_STATX_FORCE_SYNC, STATX_TYPE, &st) == 0;
}

/* Of a session that goes on: the directory may be another one now. Asking for it by name makes the kernel look again. */
static bool is_still_there(const struct target *t)
{
    char source[sizeof PLACE + 16];
    if (ask_for(t->path))
        return true;
    snprintf(source, sizeof source, PLACE "/%u", t->id);
    ask_for(source);
    return false;
}

static void mount_wanted(struct request *r, int session_error)
{
    struct targets *mounted = &r->v->mounted;
    for (size_t i = 0; i < r->wanted.count; i++) {
        struct target *t = &r->wanted.list[i], *there = find(mounted, t->id);
        if (there && !there->stale && r->resume && !session_error) {
            there->stale = !is_still_there(there);
            if (!there->stale)
                answer_with(r, "mounts", t->id, 0, t->path);
        }
        if (there && !there->stale)
            continue;
        int rc = session_error ? session_error : mounted->count < MOUNTS_MAX ? mount_target(t, there) : -ENOSPC;
        answer_with(r, "mounts", t->id, -rc, t->path);
        if (rc < 0)
            continue;
        if (there) {
            there->stale = false;
            continue;
        }
        mounted->list[mounted->count++] = *t;
        t->path = NULL;
    }
}

/* So that several requests are under way for one who reads a file from its beginning to its end: the kernel's 128 KiB are less
 * than one.
 * Only after the session's first answer, which sets it. */
static void read_further_ahead(void)
{
    char path[64];
    struct stat st;
    if (stat(PLACE, &st) < 0)
        return;
    snprintf(path, sizeof path, "/sys/class/bdi/%u:%u/read_ahead_kb", major(st.st_dev), minor(st.st_dev));
    cleanup_close int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0 || dprintf(fd, "%d", READ_AHEAD_KB) < 0)
        log_line(LOG_LEVEL_WARNING, "%s: %s", path, strerror(errno));
}

static void apply(void *argument)
{
    struct request *r = argument;
    struct vfsmount *v = r->v;
    int rc = 0;
    if (r->hold) {
        json_object_object_add(r->answer, "held", json_object_new_boolean(v->pump && vfspump_hold(v->pump, DRAIN_MS)));
        return;
    }
    bool changes = strcmp(r->session, v->session) != 0;
    r->resume = changes && r->resume && v->pump && resume_session(v, r->session) == 0;
    bool begins = changes && !r->resume;
    if (begins) {
        end_session(v);
        rc = r->session[0] ? begin_session(v, r->session) : 0;
    }
    unmount_unwanted(r);
    mount_wanted(r, rc);
    if (r->resume)
        vfspump_settle(v->pump);
    if (begins && rc == 0 && v->pump)
        read_further_ahead();
}

static void applied(void *argument)
{
    struct request *r = argument;
    struct json_object *answer = r->answer;
    r->answer = NULL;
    r->v->requests--;
    r->v->ops->applied(r->v->data, answer);
    request_free(r);
}

static struct json_object *new_answer(const struct request *r)
{
    struct json_object *answer = json_object_new_object();
    if (r->hold)
        return answer;
    json_object_object_add(answer, "session", json_object_new_string(r->session));
    json_object_object_add(answer, "mounts", json_object_new_array());
    json_object_object_add(answer, "removed", json_object_new_array());
    return answer;
}

int vfsmount_take(struct vfsmount *v, struct json_object *object, struct err *err)
{
    struct request *r = calloc(1, sizeof *r);
    if (!r)
        return err_set(err, ENOMEM, "mounts: out of memory");
    r->v = v;
    int rc = read_request(object, r, err);
    r->answer = new_answer(r);
    /* Whatever the thread waits for comes from the old session: then that cannot go on. */
    if (rc == 0 && !r->hold && strcmp(r->session, v->asked) != 0) {
        memcpy(v->asked, r->session, sizeof v->asked);
        r->resume = r->resume && v->requests == 0;
        if (!r->resume)
            abort_connection();
    }
    if (rc == 0 && worker_submit(v->worker, apply, applied, r) < 0)
        rc = err_set(err, ENOMEM, "mounts: out of memory");
    v->requests += rc == 0;
    if (rc < 0)
        request_free(r);
    return rc;
}

struct vfsmount *vfsmount_new(struct loop *loop, const struct vfsmount_ops *ops, void *data)
{
    struct vfsmount *v = calloc(1, sizeof *v);
    if (!v)
        return NULL;
    *v = (struct vfsmount){.ops = ops, .data = data, .port = -1};
    v->worker = worker_new(loop, 1);
    if (v->worker)
        return v;
    free(v);
    return NULL;
}

void vfsmount_hold(struct vfsmount *v, unsigned limit_ms)
{
    if (v && v->requests == 0 && v->pump)
        vfspump_hold(v->pump, limit_ms);
}

void vfsmount_release(struct vfsmount *v)
{
    if (v && v->requests == 0 && v->pump)
        vfspump_release(v->pump);
}

void vfsmount_drop(struct vfsmount *v)
{
    if (!v)
        return;
    abort_connection();
    worker_free(v->worker);
    end_session(v);
    for (size_t i = 0; i < v->mounted.count; i++) /* what is mounted below another goes with it */
        umount2(v->mounted.list[i].path, MNT_DETACH | UMOUNT_NOFOLLOW);
    clear(&v->mounted);
    if (v->port >= 0)
        close(v->port);
    free(v);
}
