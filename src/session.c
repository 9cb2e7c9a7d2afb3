/* SPDX-License-Identifier: Apache-2.0 */
#include "src/session.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "src/cleanup.h"
#include "src/ended.h"
#include "src/mountpoint.h"

enum { LARGEST_JSON = 64 * 1024 };

static bool is_own_directory(const char *path)
{
    struct stat st;
    return lstat(path, &st) == 0 && S_ISDIR(st.st_mode) && st.st_uid == geteuid();
}

/* The path of BASE, malloc'd; the directory need not exist yet. A runtime directory of somebody else (as `su` leaves
 * it in the environment) is passed over, one that does not exist is a mistake worth reporting. */
static int base_path(char **path, struct err *err)
{
    const char *runtime = getenv("XDG_RUNTIME_DIR");
    char own[64];
    snprintf(own, sizeof own, "/run/user/%u", (unsigned)geteuid());
    if (runtime && runtime[0] == '/' && access(runtime, F_OK) < 0)
        return err_errno(err, errno, "XDG_RUNTIME_DIR: %s", runtime);
    int rc;
    if (runtime && runtime[0] == '/' && is_own_directory(runtime))
        rc = asprintf(path, "%s/gondolin", runtime);
    else if (is_own_directory(own))
        rc = asprintf(path, "%s/gondolin", own);
    else if (geteuid() == 0)
        rc = asprintf(path, "/run/gondolin");
    else
        rc = asprintf(path, "/tmp/gondolin-%u", (unsigned)geteuid());
    return rc < 0 ? err_errno(err, ENOMEM, "session registry") : 0;
}

/* Makes and opens BASE. In /tmp anybody could have made it first: nothing but our own private directory will do. */
static int open_base(char **path, struct err *err)
{
    char *base = NULL;
    int rc = base_path(&base, err);
    if (rc < 0)
        return rc;
    *path = base;
    if (mkdir(base, 0700) < 0 && errno != EEXIST)
        return err_errno(err, errno, "session registry %s", base);
    cleanup_close int fd = open(base, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    struct stat st;
    if (fd < 0 || fstat(fd, &st) < 0)
        return err_errno(err, errno, "session registry %s", base);
    if (st.st_uid != geteuid() || (st.st_mode & 077))
        return err_set(err, EPERM, "session registry %s is not a private directory of yours; remove it or set "
                       "XDG_RUNTIME_DIR", base);
    return steal_fd(&fd);
}

void session_close(struct session *s)
{
    free(s->name);
    free(s->mountpoint);
    free(s->image);
    free(s->build_id);
    free(s->state);
    free(s->log);
    free(s->checkpoint);
    free(s->directory);
    if (s->lock_fd >= 0)
        close(s->lock_fd);
    *s = (struct session){.lock_fd = -1};
}

void session_list_free(struct session *sessions, size_t count)
{
    for (size_t i = 0; i < count; i++)
        session_close(&sessions[i]);
    free(sessions);
}

static int fresh_id(char id[static SESSION_ID_DIGITS + 1])
{
    unsigned char bytes[SESSION_ID_DIGITS / 2];
    if (getrandom(bytes, sizeof bytes, 0) != sizeof bytes)
        return -EIO;
    for (size_t i = 0; i < sizeof bytes; i++)
        snprintf(id + 2 * i, 3, "%02x", bytes[i]);
    return 0;
}

static bool is_id(const char *name)
{
    return strlen(name) == SESSION_ID_DIGITS && strspn(name, "0123456789abcdef") == SESSION_ID_DIGITS;
}

/* The lock file of directory `id` with flock operation `how`; -EWOULDBLOCK when somebody holds it. */
static int open_lock(int base_fd, const char *id, int flags, int how)
{
    char name[SESSION_ID_DIGITS + sizeof "/lock"];
    snprintf(name, sizeof name, "%.*s/lock", SESSION_ID_DIGITS, id);
    cleanup_close int fd = openat(base_fd, name, flags | O_RDWR | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0 || flock(fd, how) < 0)
        return -errno;
    return steal_fd(&fd);
}

int session_create(struct session *out, struct err *err)
{
    *out = (struct session){.lock_fd = -1};
    cleanup_free char *base = NULL;
    cleanup_close int base_fd = open_base(&base, err);
    if (base_fd < 0)
        return base_fd;
    /* The registry is locked until the new directory is, or a cleaner could take it for a dead one's. */
    if (flock(base_fd, LOCK_EX) < 0)
        return err_errno(err, errno, "session registry %s", base);
    do {
        if (fresh_id(out->id) < 0)
            return err_set(err, EIO, "session registry: no random bytes");
    } while (mkdirat(base_fd, out->id, 0700) < 0 && errno == EEXIST);
    int rc = asprintf(&out->directory, "%s/%s", base, out->id);
    out->lock_fd = rc < 0 ? -ENOMEM : open_lock(base_fd, out->id, O_CREAT | O_EXCL, LOCK_EX);
    if (out->lock_fd < 0) {
        int code = -out->lock_fd;
        out->lock_fd = -1;
        unlinkat(base_fd, out->id, AT_REMOVEDIR);
        if (rc < 0)
            out->directory = NULL;
        err_errno(err, code, "session registry %s/%s", base, out->id);
        session_close(out);
        return -code;
    }
    out->alive = true;
    return 0;
}

int session_base(struct err *err)
{
    cleanup_free char *base = NULL;
    return open_base(&base, err);
}

int session_scratch_path(char **path, struct err *err)
{
    cleanup_free char *base = NULL;
    cleanup_close int base_fd = open_base(&base, err);
    char id[SESSION_ID_DIGITS + 1];
    if (base_fd < 0)
        return base_fd;
    if (fresh_id(id) < 0)
        return err_set(err, EIO, "session registry: no random bytes");
    return asprintf(path, "%s/run-%s", base, id) < 0 ? err_errno(err, ENOMEM, "session registry") : 0;
}

bool session_is_alive(const struct session *s)
{
    cleanup_close int dir_fd = open(s->directory, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    cleanup_close int fd = dir_fd < 0 ? -1 : openat(dir_fd, "lock", O_RDWR | O_NOFOLLOW | O_CLOEXEC);
    return fd >= 0 && flock(fd, LOCK_SH | LOCK_NB) < 0 && errno == EWOULDBLOCK;
}

static void add_text(struct json_object *object, const char *key, const char *value)
{
    if (value)
        json_object_object_add(object, key, json_object_new_string(value));
}

static struct json_object *to_json(const struct session *s)
{
    struct json_object *object = json_object_new_object();
    add_text(object, "id", s->id);
    add_text(object, "name", s->name);
    add_text(object, "mountpoint", s->mountpoint);
    add_text(object, "image", s->image);
    add_text(object, "build_id", s->build_id);
    add_text(object, "state", s->state);
    add_text(object, "log", s->log);
    add_text(object, "checkpoint", s->checkpoint);
    json_object_object_add(object, "pid", json_object_new_int64(s->pid));
    json_object_object_add(object, "keeper_pid", json_object_new_int64(s->keeper_pid));
    json_object_object_add(object, "vm_pid", json_object_new_int64(s->vm_pid));
    json_object_object_add(object, "started_ms", json_object_new_int64(s->started_ms));
    json_object_object_add(object, "device", json_object_new_int64((int64_t)s->device));
    return object;
}

static int write_whole(int dir_fd, const char *name, const char *text)
{
    cleanup_close int fd = openat(dir_fd, name, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0)
        return -errno;
    size_t len = strlen(text);
    ssize_t n = write(fd, text, len);
    if (n == (ssize_t)len)
        return 0;
    return n < 0 ? -errno : -ENOSPC;
}

int session_publish(const struct session *s, struct err *err)
{
    cleanup_close int dir_fd = open(s->directory, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    struct json_object *object = to_json(s);
    const char *text = json_object_to_json_string_ext(object, JSON_C_TO_STRING_PRETTY);
    int rc = dir_fd < 0 ? -errno : text ? write_whole(dir_fd, "session.json.new", text) : -ENOMEM;
    json_object_put(object);
    if (rc == 0 && renameat(dir_fd, "session.json.new", dir_fd, "session.json") < 0)
        rc = -errno;
    return rc < 0 ? err_errno(err, -rc, "session registry %s", s->directory) : 0;
}

/* Removes a directory of files and empty directories. `lock` goes with the rest: its holder keeps it locked until the
 * whole directory has gone. */
static int remove_directory(int base_fd, const char *id)
{
    int fd = openat(base_fd, id, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    cleanup_closedir DIR *dir = fdopendir(fd);
    if (!dir) {
        int code = errno;
        close(fd);
        return -code;
    }
    for (struct dirent *entry; (entry = readdir(dir));) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        if (unlinkat(fd, entry->d_name, 0) < 0 && errno == EISDIR)
            unlinkat(fd, entry->d_name, AT_REMOVEDIR);
    }
    return unlinkat(base_fd, id, AT_REMOVEDIR) < 0 ? -errno : 0;
}

void session_remove(struct session *s)
{
    struct err ignored;
    cleanup_free char *base = NULL;
    cleanup_close int base_fd = open_base(&base, &ignored);
    if (base_fd >= 0 && s->directory)
        remove_directory(base_fd, s->id);
    session_close(s);
}

static char *take_text(const struct json_object *object, const char *key)
{
    struct json_object *value;
    if (!json_object_object_get_ex(object, key, &value) || !json_object_is_type(value, json_type_string))
        return NULL;
    return strdup(json_object_get_string(value));
}

static int64_t take_number(const struct json_object *object, const char *key)
{
    struct json_object *value;
    if (!json_object_object_get_ex(object, key, &value) || !json_object_is_type(value, json_type_int))
        return 0;
    return json_object_get_int64(value);
}

static struct json_object *read_json(const char *directory)
{
    cleanup_close int dir_fd = open(directory, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    cleanup_close int fd = dir_fd < 0 ? -1 : openat(dir_fd, "session.json", O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    cleanup_free char *text = malloc(LARGEST_JSON);
    ssize_t len = fd >= 0 && text ? read(fd, text, LARGEST_JSON - 1) : -1;
    if (len < 0)
        return NULL;
    text[len] = '\0';
    return json_tokener_parse(text);
}

bool session_read(const char *directory, struct session *s)
{
    *s = (struct session){.lock_fd = -1};
    const char *slash = strrchr(directory, '/');
    struct json_object *object = slash && is_id(slash + 1) ? read_json(directory) : NULL;
    if (!object)
        return false;
    snprintf(s->id, sizeof s->id, "%s", slash + 1);
    s->name = take_text(object, "name");
    s->mountpoint = take_text(object, "mountpoint");
    s->image = take_text(object, "image");
    s->build_id = take_text(object, "build_id");
    s->state = take_text(object, "state");
    s->log = take_text(object, "log");
    s->checkpoint = take_text(object, "checkpoint");
    s->pid = (pid_t)take_number(object, "pid");
    s->keeper_pid = (pid_t)take_number(object, "keeper_pid");
    s->vm_pid = (pid_t)take_number(object, "vm_pid");
    s->started_ms = take_number(object, "started_ms");
    s->device = (uint64_t)take_number(object, "device");
    s->directory = strdup(directory);
    json_object_put(object);
    return s->name && s->mountpoint && s->directory;
}

/* A mount moves when a directory above it is renamed. */
static bool read_listed(const char *base, const char *id, struct session *s)
{
    *s = (struct session){.lock_fd = -1};
    cleanup_free char *directory = NULL;
    if (asprintf(&directory, "%s/%s", base, id) < 0)
        directory = NULL;
    if (!directory || !session_read(directory, s))
        return false;
    char *now = mountpoint_locate(s->device, s->mountpoint);
    if (now) {
        free(s->mountpoint);
        s->mountpoint = now;
    }
    return true;
}

/* Called for a directory that nobody had locked. Looks again with the registry locked, so that a session just being
 * made is never taken for a dead one. */
static void clean_dead(int base_fd, const char *base, const char *id)
{
    if (flock(base_fd, LOCK_EX) < 0)
        return;
    cleanup_close int lock = open_lock(base_fd, id, 0, LOCK_EX | LOCK_NB);
    if (lock >= 0 || lock == -ENOENT) {
        struct session dead;
        bool known = read_listed(base, id, &dead);
        if (known) {
            mountpoint_clear_dead(dead.device);
            ended_record(&dead, false, ENDED_UNEXPLAINED, NULL);
        }
        remove_directory(base_fd, id);
        session_close(&dead);
    }
    flock(base_fd, LOCK_UN);
}

static int by_age(const void *a, const void *b)
{
    const struct session *left = a, *right = b;
    return (left->started_ms > right->started_ms) - (left->started_ms < right->started_ms);
}

static int append(struct session **list, size_t *count, const struct session *s)
{
    struct session *grown = reallocarray(*list, *count + 1, sizeof *s);
    if (!grown)
        return -ENOMEM;
    *list = grown;
    grown[(*count)++] = *s;
    return 0;
}

/* Adds directory `id` to the list if it is a living, published session. */
static int visit(int base_fd, const char *base, const char *id, struct session **list, size_t *count)
{
    cleanup_close int lock = open_lock(base_fd, id, 0, LOCK_SH | LOCK_NB);
    if (lock != -EWOULDBLOCK) {
        if (lock >= 0)
            close(steal_fd(&lock));
        clean_dead(base_fd, base, id);
        return 0;
    }
    struct session s;
    if (!read_listed(base, id, &s)) {
        session_close(&s);
        return 0;
    }
    s.alive = true;
    int rc = append(list, count, &s);
    if (rc < 0)
        session_close(&s);
    return rc;
}

int session_list(struct session **out, size_t *count, struct err *err)
{
    *out = NULL;
    *count = 0;
    cleanup_free char *base = NULL;
    cleanup_close int base_fd = open_base(&base, err);
    if (base_fd < 0)
        return base_fd;
    cleanup_closedir DIR *dir = opendir(base);
    if (!dir)
        return err_errno(err, errno, "session registry %s", base);
    mountpoint_clear_offline();
    for (struct dirent *entry; (entry = readdir(dir));) {
        if (is_id(entry->d_name) && visit(base_fd, base, entry->d_name, out, count) < 0) {
            session_list_free(*out, *count);
            return err_errno(err, ENOMEM, "session registry");
        }
    }
    if (*count > 1)
        qsort(*out, *count, sizeof **out, by_age);
    return 0;
}
