/* SPDX-License-Identifier: Apache-2.0 */
/* Listing, describing and removing checkpoints. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "images/checkpoint_internal.h"
#include "images/files.h"
#include "src/cleanup.h"
#include "src/session.h"

bool checkpoint_exists(const char *store, const char *name)
{
    if (checkpoint_check_name(name, NULL) < 0)
        return false;
    cleanup_free char *path = files_format("%s/" CHECKPOINT_PART "/%s", store, name);
    struct stat st;
    return path && lstat(path, &st) == 0;
}

int checkpoint_list(const char *store, struct names *names, struct err *err)
{
    struct names entries = {0};
    int code = store_list_part(store, CHECKPOINT_PART, &entries);
    for (size_t i = 0; i < entries.count; i++)
        if (checkpoint_check_name(entries.list[i], NULL) == 0)
            names_add(names, entries.list[i]);
    names_free(&entries);
    if (names->failed)
        code = -ENOMEM;
    return code < 0 ? err_errno(err, -code, "image store: list %s/" CHECKPOINT_PART, store) : 0;
}

/* The names of the checkpoints whose manifest fits. One that cannot be read cannot be used either: it needs nothing. */
static int find(const char *store, bool (*fits)(const struct checkpoint_manifest *, const char *), const char *what,
                struct names *found, struct err *err)
{
    struct names all = {0};
    int code = checkpoint_list(store, &all, err);
    for (size_t i = 0; code == 0 && i < all.count; i++) {
        struct checkpoint_manifest manifest;
        if (checkpoint_read_manifest(store, all.list[i], &manifest, NULL) < 0)
            continue;
        if (fits(&manifest, what))
            names_add(found, all.list[i]);
        checkpoint_manifest_free(&manifest);
    }
    names_free(&all);
    return code == 0 && found->failed ? err_errno(err, ENOMEM, "list checkpoints") : code;
}

static bool has_parent(const struct checkpoint_manifest *manifest, const char *name)
{
    return manifest->parent && strcmp(manifest->parent, name) == 0;
}

static bool has_image(const struct checkpoint_manifest *manifest, const char *build_id)
{
    return !manifest->image && strcmp(manifest->build_id, build_id) == 0;
}

int checkpoint_children(const char *store, const char *name, struct names *children, struct err *err)
{
    return find(store, has_parent, name, children, err);
}

int checkpoint_users_of_image(const char *store, const char *build_id, struct names *users, struct err *err)
{
    return find(store, has_image, build_id, users, err);
}

static int no_children(const char *store, const char *name, struct err *err)
{
    struct names children = {0};
    int code = checkpoint_children(store, name, &children, err);
    if (code == 0 && children.count > 0) {
        cleanup_free char *list = names_join(&children);
        code = err_set(err, EBUSY, "others lie on it: %.400s; remove those first", list ? list : "some");
    }
    names_free(&children);
    return code;
}

/* Who has it open, as far as the registry tells. */
static int in_use(const char *name, struct err *err)
{
    struct session *sessions;
    size_t count;
    struct names users = {0};
    if (session_list(&sessions, &count, NULL) == 0) {
        for (size_t i = 0; i < count; i++)
            if (sessions[i].checkpoint && strcmp(sessions[i].checkpoint, name) == 0)
                names_addf(&users, "%s (%s)", sessions[i].name, sessions[i].mountpoint);
        session_list_free(sessions, count);
    }
    cleanup_free char *list = users.count ? names_join(&users) : NULL;
    names_free(&users);
    if (list)
        return err_set(err, EBUSY, "sandboxes lie on it: %.500s; end them first (gondolin umount)", list);
    return err_set(err, EBUSY, "another gondolin command is using it; see: gondolin list");
}

int checkpoint_remove(const char *store, const char *name, struct err *err)
{
    struct err own = {0};
    int code = checkpoint_require(store, name, err);
    if (code < 0)
        return code;
    code = no_children(store, name, &own); /* the better reason, where there are both */
    if (code == 0)
        code = store_remove_entry(store, CHECKPOINT_PART, name, no_children, &own);
    if (code == -EBUSY && strstr(own.text, "lie on it") == NULL)
        code = in_use(name, &own);
    return code < 0 ? err_set(err, -code, "checkpoint %s: %s", name, own.text) : 0;
}

char *checkpoint_description(const char *store, const char *name)
{
    cleanup_free char *path = files_format("%s/" CHECKPOINT_PART "/%s/" CHECKPOINT_DESCRIPTION, store, name);
    char *text = path && checkpoint_exists(store, name) ? files_read(path, CHECKPOINT_DESCRIPTION_MAX, NULL) : NULL;
    return text ? text : strdup("");
}

static int write_description(const char *path, const char *text)
{
    cleanup_close int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    int code = fd < 0 ? -errno : files_write(fd, text, strlen(text));
    return code == 0 && fsync(fd) < 0 ? -errno : code;
}

int checkpoint_set_description(const char *store, const char *name, const char *text, struct err *err)
{
    int code = checkpoint_require(store, name, err);
    if (code < 0)
        return code;
    if (strlen(text) > CHECKPOINT_DESCRIPTION_MAX)
        return err_set(err, EMSGSIZE, "checkpoint %s: a description has at most %d bytes", name, CHECKPOINT_DESCRIPTION_MAX);
    struct store_work work;
    code = store_work_begin(store, "description", &work, err);
    if (code < 0)
        return code;
    cleanup_free char *new = files_format("%s/" CHECKPOINT_DESCRIPTION, work.path);
    cleanup_free char *path = files_format("%s/" CHECKPOINT_PART "/%s/" CHECKPOINT_DESCRIPTION, store, name);
    code = new && path ? write_description(new, text) : -ENOMEM;
    if (code == 0 && rename(new, path) < 0)
        code = -errno;
    store_work_end(&work);
    return code < 0 ? err_errno(err, -code, "checkpoint %s: write its description", name) : 0;
}
