/* SPDX-License-Identifier: Apache-2.0 */
/* Listings of shadowed directories: what is hidden is left out, what is in memory is added. The whole listing is read when
 * it begins, and entries are numbered: the host's own offsets leave no room for those of memory. */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "fs/shadow_internal.h"

struct listed {
    char *name;
    uint64_t ino;
    uint32_t type;
};

/* An open directory of the host. (Those in memory are memory's own.) */
struct vfs_file {
    struct vfs_member member; /* first */
    struct vfs_node *dir;     /* the peer holds it for as long as the file is open */
    struct vfs_file *below;
    pthread_mutex_t lock; /* for all below */
    struct listed *list;
    size_t count, capacity;
    bool begun;
};

static struct vfs *home(const void *member)
{
    return ((const struct vfs_member *)member)->vfs;
}

static void forget_list(struct vfs_file *file)
{
    for (size_t i = 0; i < file->count; i++)
        free(file->list[i].name);
    file->count = 0;
}

int shadow_opendir(struct vfs *vfs, struct vfs_node *node, struct vfs_file **out)
{
    if (home(node) != stacked_below(vfs))
        return home(node)->ops->opendir(home(node), node, out);
    struct vfs_file *file = calloc(1, sizeof *file);
    if (!file)
        return -ENOMEM;
    file->member.vfs = vfs;
    file->dir = node;
    int rc = stacked_below(vfs)->ops->opendir(stacked_below(vfs), node, &file->below);
    if (rc < 0) {
        free(file);
        return rc;
    }
    pthread_mutex_init(&file->lock, NULL);
    *out = file;
    return 0;
}

void shadow_release(struct vfs *vfs, struct vfs_file *file)
{
    if (home(file) != vfs) {
        home(file)->ops->release(home(file), file);
        return;
    }
    stacked_below(vfs)->ops->release(stacked_below(vfs), file->below);
    forget_list(file);
    free(file->list);
    pthread_mutex_destroy(&file->lock);
    free(file);
}

int shadow_fsync(struct vfs *vfs, struct vfs_file *file, int data_only)
{
    if (home(file) != vfs)
        return home(file)->ops->fsync(home(file), file, data_only);
    return stacked_below(vfs)->ops->fsync(stacked_below(vfs), file->below, data_only);
}

struct reading {
    const struct shadow *s;
    struct vfs_file *file;
    bool upper;
    int error;
    uint64_t next;
};

static bool is_dots(const struct vfs_dirent *entry)
{
    return entry->name[0] == '.' && (entry->len == 1 || (entry->len == 2 && entry->name[1] == '.'));
}

static int keep(void *data, const struct vfs_dirent *entry)
{
    struct reading *r = data;
    struct vfs_file *file = r->file;
    char *name = strndup(entry->name, entry->len);
    r->next = entry->next;
    if (name && file->count == file->capacity) {
        size_t capacity = file->capacity ? 2 * file->capacity : 64;
        struct listed *list = reallocarray(file->list, capacity, sizeof *list);
        if (list) {
            file->list = list;
            file->capacity = capacity;
        }
    }
    if (!name || file->count == file->capacity) {
        free(name);
        r->error = -ENOMEM;
        return 1;
    }
    if (is_dots(entry) ? r->upper : !r->upper && shadow_hides(r->s, file->dir, name))
        free(name);
    else
        file->list[file->count++] = (struct listed){.name = name, .ino = entry->ino, .type = entry->type};
    return 0;
}

static int read_all(struct vfs *vfs, struct vfs_file *below, struct reading *r)
{
    uint64_t offset;
    int rc;
    r->next = 0;
    do {
        offset = r->next;
        rc = vfs->ops->readdir(vfs, below, offset, keep, r);
    } while (rc == 0 && r->error == 0 && r->next != offset);
    return rc < 0 ? rc : r->error;
}

static int add_upper(struct shadow *s, struct vfs_file *file)
{
    struct reading r = {.s = s, .file = file, .upper = true};
    struct vfs_node *upper;
    struct vfs_file *open;
    if (!s->memory || shadow_upper_of(s, file->dir, false, &upper) < 0)
        return 0;
    int rc = s->memory->ops->opendir(s->memory, upper, &open);
    if (rc == 0) {
        rc = read_all(s->memory, open, &r);
        s->memory->ops->release(s->memory, open);
    }
    shadow_upper_done(s, upper);
    return rc;
}

static int begin(struct shadow *s, struct vfs_file *file)
{
    struct reading r = {.s = s, .file = file};
    forget_list(file);
    file->begun = true;
    int rc = read_all(s->stacked.below, file->below, &r);
    return rc < 0 ? rc : add_upper(s, file);
}

int shadow_readdir(struct vfs *vfs, struct vfs_file *file, uint64_t offset, vfs_dirent_fn *emit, void *data)
{
    if (home(file) != vfs)
        return home(file)->ops->readdir(home(file), file, offset, emit, data);
    pthread_mutex_lock(&file->lock);
    int rc = offset == 0 || !file->begun ? begin((struct shadow *)vfs, file) : 0; /* it may have begun in another process */
    for (size_t i = (size_t)offset; rc == 0 && i < file->count; i++) {
        const struct listed *one = &file->list[i];
        const struct vfs_dirent entry = {
            .name = one->name, .len = strlen(one->name), .ino = one->ino, .next = i + 1, .type = one->type};
        if (emit(data, &entry))
            break;
    }
    pthread_mutex_unlock(&file->lock);
    return rc;
}
