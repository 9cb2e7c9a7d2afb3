/* SPDX-License-Identifier: Apache-2.0 */
#include "images/store.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "images/files.h"
#include "images/manifest.h"
#include "src/cleanup.h"

enum { MAX_NAME = 64, MIN_PREFIX = 4, MIN_SPACE = 64 << 20 };

static char *default_path(void)
{
    const char *set = getenv("GONDOLIN_STORE"), *data = getenv("XDG_DATA_HOME"), *home = getenv("HOME");

    if (set && *set)
        return *set == '/' ? strdup(set) : realpath(set, NULL);
    if (data && *data == '/')
        return files_format("%s/gondolin", data);
    if (home && *home == '/')
        return files_format("%s/.local/share/gondolin", home);
    errno = ENOENT;
    return NULL;
}

char *store_path(struct err *err)
{
    char *path = default_path();
    const char *set = getenv("GONDOLIN_STORE");
    if (!path && set && *set)
        err_errno(err, errno, "image store: GONDOLIN_STORE is %s", set);
    else if (!path)
        err_errno(err, errno, "image store: no directory for it; set GONDOLIN_STORE to one, or HOME");
    return path;
}

char *store_find(struct err *err)
{
    const char *set = getenv("GONDOLIN_STORE");
    cleanup_free char *path = store_path(err);
    if (path && set && *set && access(path, F_OK) < 0) {
        err_set(err, errno, "image store: GONDOLIN_STORE is %s: %s; build one there with: gondolin build", set,
                strerror(errno));
        return NULL;
    }
    return steal_pointer(&path);
}

char *store_open(struct err *err)
{
    static const char *const parts[] = {"images", "tags", "checkpoints", "templates", "tmp", "cache"};
    cleanup_free char *path = store_path(err);
    if (!path)
        return NULL;
    int code = files_make_directories(path, 0700);
    for (size_t i = 0; code == 0 && i < sizeof parts / sizeof *parts; i++) {
        cleanup_free char *part = files_format("%s/%s", path, parts[i]);
        code = part ? files_make_directories(part, 0700) : -ENOMEM;
    }
    if (code < 0) {
        err_errno(err, -code, "image store: make %s", path);
        return NULL;
    }
    return steal_pointer(&path);
}

bool store_has_room(const char *store, uint64_t bytes, struct err *err)
{
    uint64_t space = files_free_space(store);
    if (space >= bytes)
        return true;
    err_set(err, ENOSPC, "no space left on the file system of %s (%llu MiB free, %llu MiB needed); make room, or set "
            "GONDOLIN_STORE to a directory elsewhere", store, (unsigned long long)(space >> 20),
            (unsigned long long)(bytes >> 20));
    return false;
}

bool store_has_space(const char *store, struct err *err)
{
    return store_has_room(store, MIN_SPACE, err);
}

/* A descriptor of the directory with a flock of `operation` on it, or -errno. */
static int lock_directory(const char *path, int operation)
{
    cleanup_close int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0 || flock(fd, operation) < 0)
        return -errno;
    return steal_fd(&fd);
}

/* Held while a work directory exists that is not locked yet, and while abandoned ones are looked for. */
static int lock_tmp(const char *store)
{
    cleanup_free char *path = files_format("%s/tmp", store);
    return path ? lock_directory(path, LOCK_EX) : -ENOMEM;
}

int store_work_begin(const char *store, const char *kind, struct store_work *work, struct err *err)
{
    cleanup_close int tmp = lock_tmp(store);
    cleanup_free char *path = files_format("%s/tmp/%s.XXXXXX", store, kind);

    *work = (struct store_work){.lock = -1};
    if (tmp < 0 || !path || !mkdtemp(path))
        return err_errno(err, tmp < 0 ? -tmp : errno, "image store: make a directory in %s/tmp", store);
    work->lock = lock_directory(path, LOCK_EX | LOCK_NB);
    if (work->lock < 0) {
        rmdir(path);
        return err_errno(err, -work->lock, "image store: lock %s", path);
    }
    work->path = steal_pointer(&path);
    return 0;
}

void store_work_end(struct store_work *work)
{
    if (work->path)
        files_remove_tree(work->path);
    if (work->lock >= 0)
        close(work->lock);
    free(work->path);
    *work = (struct store_work){.lock = -1};
}

int store_list_part(const char *store, const char *part, struct names *out)
{
    cleanup_free char *path = files_format("%s/%s", store, part);
    cleanup_closedir DIR *dir = path ? opendir(path) : NULL;
    if (!dir)
        return path && errno == ENOENT ? 0 : -errno;
    for (struct dirent *entry; (entry = readdir(dir));)
        if (entry->d_name[0] != '.')
            names_add(out, entry->d_name);
    names_sort(out);
    return out->failed ? -ENOMEM : 0;
}

/* What nobody works on is removed, or only named (`found` is not NULL). */
static int visit_abandoned(const char *store, struct names *found)
{
    struct names entries = {0};
    cleanup_close int tmp = lock_tmp(store);
    int code = tmp < 0 ? tmp : store_list_part(store, "tmp", &entries);

    for (size_t i = 0; i < entries.count; i++) {
        cleanup_free char *path = files_format("%s/tmp/%s", store, entries.list[i]);
        cleanup_close int lock = path ? lock_directory(path, LOCK_EX | LOCK_NB) : -ENOMEM;
        /* What is no directory (a tag's symlink on its way) is made and renamed under the lock of tmp. */
        if (lock < 0 && lock != -ENOTDIR && lock != -ELOOP)
            continue;
        if (found)
            names_add(found, entries.list[i]);
        int removed = found ? 0 : files_remove_tree(path);
        if (removed < 0)
            code = removed;
    }
    names_free(&entries);
    return code;
}

int store_clean(const char *store)
{
    return visit_abandoned(store, NULL);
}

int store_find_abandoned(const char *store, struct names *found)
{
    int code = visit_abandoned(store, found);
    return code == 0 && found->failed ? -ENOMEM : code;
}

int store_publish_entry(const char *store, struct store_work *work, const char *part, const char *name, struct err *err)
{
    cleanup_free char *to = files_format("%s/%s/%s", store, part, name), *parent = files_format("%s/%s", store, part);
    if (!to || !parent)
        return err_errno(err, ENOMEM, "image store: publish %s", name);
    int code = files_sync(work->path);
    if (code == 0 && rename(work->path, to) < 0)
        code = errno == ENOTEMPTY ? -EEXIST : -errno;
    if (code < 0)
        return err_errno(err, -code, "image store: publish %s", to);
    code = files_sync(parent);
    if (code < 0) {
        if (rename(to, work->path) < 0) {
            free(work->path); /* it stays, perhaps not for long */
            work->path = NULL;
        }
        return err_errno(err, -code, "image store: sync %s", parent);
    }
    free(work->path);
    work->path = NULL;
    return 0;
}

int store_publish(const char *store, struct store_work *work, const char *build_id, struct err *err)
{
    int code = store_publish_entry(store, work, "images", build_id, err);
    return code == -EEXIST ? 0 : code;
}

int store_check_name(const char *kind, const char *name, struct err *err)
{
    bool good = isalnum((unsigned char)name[0]) && strlen(name) <= MAX_NAME;
    for (const char *at = name; good && *at; at++)
        good = isalnum((unsigned char)*at) || strchr("._-", *at);
    return good ? 0 : err_set(err, EINVAL, "%s \"%.80s\": a name is 1 to %d letters, digits, '.', '_' or '-', and begins "
                              "with a letter or digit", kind, name, MAX_NAME);
}

int store_check_tag(const char *tag, struct err *err)
{
    enum { LEAST_DIGITS = 7 };
    size_t len = strlen(tag);
    int code = store_check_name("tag", tag, err);
    if (code == 0 && len >= LEAST_DIGITS && strspn(tag, "0123456789abcdef") == len)
        return err_set(err, EINVAL, "tag %s: looks like a build id, for which it would stand in the way", tag);
    return code;
}

static char *tag_path(const char *store, const char *tag)
{
    return files_format("%s/tags/%s", store, tag);
}

int store_set_tag(const char *store, const char *tag, const char *build_id, struct err *err)
{
    int code = store_check_tag(tag, err);
    if (code < 0)
        return code;
    cleanup_close int lock = lock_tmp(store);
    cleanup_free char *path = tag_path(store, tag), *target = files_format("../images/%s", build_id);
    cleanup_free char *new = files_format("%s/tmp/tag-%s", store, tag), *tags = files_format("%s/tags", store);
    if (lock < 0 || !path || !target || !new || !tags)
        return err_errno(err, lock < 0 ? -lock : ENOMEM, "image store: tag %s", tag);
    unlink(new);
    if (symlink(target, new) < 0 || rename(new, path) < 0)
        return err_errno(err, errno, "image store: tag %s", path);
    code = files_sync(tags);
    return code < 0 ? err_errno(err, -code, "image store: sync %s", tags) : 0;
}

int store_remove_tag(const char *store, const char *tag, struct err *err)
{
    cleanup_free char *path = tag_path(store, tag);
    if (!path || unlink(path) < 0)
        return err_errno(err, errno, "image store: remove tag %s", tag);
    return 0;
}

int store_read_tag(const char *store, const char *tag, char build_id[DIGEST_HEX_SIZE])
{
    static const char prefix[] = "../images/";
    char target[sizeof prefix + DIGEST_HEX_SIZE];
    if (store_check_name("tag", tag, NULL) < 0)
        return -ENOENT;
    cleanup_free char *path = tag_path(store, tag);
    ssize_t n = path ? readlink(path, target, sizeof target) : -1;
    if (n < 0)
        return path ? -errno : -ENOMEM;
    if ((size_t)n >= sizeof target)
        return -ENOENT;
    target[n] = '\0';
    if (strncmp(target, prefix, sizeof prefix - 1) != 0 || !digest_is_hex(target + sizeof prefix - 1))
        return -ENOENT;
    memcpy(build_id, target + sizeof prefix - 1, DIGEST_HEX_SIZE);
    return 0;
}

int store_list_images(const char *store, struct names *build_ids, struct err *err)
{
    struct names entries = {0};
    int code = store_list_part(store, "images", &entries);
    for (size_t i = 0; i < entries.count; i++)
        if (digest_is_hex(entries.list[i]))
            names_add(build_ids, entries.list[i]);
    names_free(&entries);
    if (build_ids->failed)
        code = -ENOMEM;
    return code < 0 ? err_errno(err, -code, "image store: list %s/images", store) : 0;
}

int store_list_tags(const char *store, struct names *tags, struct err *err)
{
    int code = store_list_part(store, "tags", tags);
    return code < 0 ? err_errno(err, -code, "image store: list %s/tags", store) : 0;
}

int store_find_prefix(const char *store, const char *prefix, char build_id[DIGEST_HEX_SIZE])
{
    struct names ids = {0};
    size_t length = strlen(prefix), found = 0;
    if (length < MIN_PREFIX || strspn(prefix, "0123456789abcdef") != length)
        return -ENOENT;
    int code = store_list_images(store, &ids, NULL);
    for (size_t i = 0; code == 0 && i < ids.count; i++) {
        if (strncmp(ids.list[i], prefix, length) != 0)
            continue;
        memcpy(build_id, ids.list[i], DIGEST_HEX_SIZE);
        found++;
    }
    names_free(&ids);
    if (code < 0)
        return code;
    return found == 1 ? 0 : found ? -EEXIST : -ENOENT;
}

/* Is the file that fd has open still the one that path names? */
static bool is_same_file(int fd, const char *path)
{
    struct stat opened, named;
    return fstat(fd, &opened) == 0 && stat(path, &named) == 0 && opened.st_dev == named.st_dev &&
           opened.st_ino == named.st_ino;
}

static int lock_manifest(const char *directory, int operation)
{
    cleanup_free char *path = files_format("%s/%s", directory, MANIFEST_NAME);
    cleanup_close int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    if (fd < 0)
        return -errno;
    while (flock(fd, operation) < 0)
        if (errno != EINTR)
            return -errno;
    /* Between open and flock it may have been moved away for removal. */
    return is_same_file(fd, path) ? steal_fd(&fd) : -ENOENT;
}

/* Who locks it exclusively never waits for anything: a removal that is refused does not turn users away. */
int store_lock_manifest(const char *directory)
{
    return lock_manifest(directory, LOCK_SH);
}

bool store_is_locked(const char *directory)
{
    cleanup_close int lock = lock_manifest(directory, LOCK_EX | LOCK_NB);
    return lock == -EWOULDBLOCK;
}

bool store_is_lock_of(const char *directory, int lock)
{
    cleanup_free char *path = files_format("%s/%s", directory, MANIFEST_NAME);
    return path && is_same_file(lock, path);
}

static int move_away(const char *store, const char *path, const char *name, struct err *err)
{
    struct store_work trash;
    int code = store_work_begin(store, "removed", &trash, err);
    if (code < 0)
        return code;
    cleanup_free char *to = files_format("%s/%s", trash.path, name);
    if (!to || rename(path, to) < 0)
        code = err_errno(err, errno, "remove %s", path);
    store_work_end(&trash);
    return code;
}

int store_remove_entry(const char *store, const char *part, const char *name, store_may_go_fn *may_go, struct err *err)
{
    cleanup_free char *path = files_format("%s/%s/%s", store, part, name);
    if (!path)
        return err_errno(err, ENOMEM, "remove %s", name);
    cleanup_close int lock = lock_manifest(path, LOCK_EX | LOCK_NB);
    if (lock == -EWOULDBLOCK)
        return err_set(err, EBUSY, "remove %.64s: a sandbox or another gondolin command is using it; see: gondolin list",
                       name);
    /* No manifest: damaged beyond use, nobody can have it open. */
    if (lock < 0 && lock != -ENOENT)
        return err_errno(err, -lock, "remove %s", path);
    int code = may_go ? may_go(store, name, err) : 0;
    return code < 0 ? code : move_away(store, path, name, err);
}

int store_drop_entry(const char *store, const char *part, const char *name, struct err *err)
{
    cleanup_free char *path = files_format("%s/%s/%s", store, part, name);
    return path ? move_away(store, path, name, err) : err_errno(err, ENOMEM, "remove %s", name);
}
