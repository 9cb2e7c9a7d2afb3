/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/hostwatch.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/fanotify.h>
#include <unistd.h>

#include "fs/fanevents.h"
#include "fs/hostdir_internal.h"

enum { HANDLE_BYTES = 128, FOUND_MAX = 8 };

#define NAME_EVENTS (FAN_CREATE | FAN_DELETE | FAN_MOVED_FROM | FAN_MOVED_TO)
#define CONTENT_EVENTS (FAN_MODIFY | FAN_CLOSE_WRITE)
#define ALL_EVENTS (NAME_EVENTS | CONTENT_EVENTS | FAN_ATTRIB | FAN_ONDIR | FAN_EVENT_ON_CHILD)

struct hostwatch {
    int fd;
    pthread_mutex_t lock;
    struct hash nodes; /* by handle */
};

/* The same directory has one number here, however it is reached; two with the same are both told of what happens to
 * either, which only costs time. */
static uint64_t handle_number(const struct file_handle *handle)
{
    uint64_t number = hash_mix((uint64_t)handle->handle_type, handle->handle_bytes);
    for (unsigned i = 0; i < handle->handle_bytes; i++)
        number = (number ^ handle->f_handle[i]) * UINT64_C(1099511628211);
    return hash_mix(number, 0);
}

static bool number_of(const struct vfs_node *node, uint64_t *number)
{
    union {
        struct file_handle handle;
        char room[sizeof(struct file_handle) + HANDLE_BYTES];
    } h = {.handle.handle_bytes = HANDLE_BYTES};
    int mount_id;
    if (name_to_handle_at(node->fd, "", &h.handle, &mount_id, AT_EMPTY_PATH) < 0)
        return false;
    *number = handle_number(&h.handle);
    return true;
}

bool hostwatch_add(struct hostwatch *w, struct vfs_node *node)
{
    uint64_t number;
    if (!number_of(node, &number) || fanotify_mark(w->fd, FAN_MARK_ADD | FAN_MARK_ONLYDIR, ALL_EVENTS, node->fd, ".") < 0)
        return false;
    pthread_mutex_lock(&w->lock);
    hash_add(&w->nodes, &node->by_handle, number);
    pthread_mutex_unlock(&w->lock);
    return true;
}

/* A directory that is served twice is watched for as long as one of its nodes is known. */
void hostwatch_remove(struct hostwatch *w, struct vfs_node *node)
{
    uint64_t number = node->by_handle.hash;
    pthread_mutex_lock(&w->lock);
    hash_remove(&w->nodes, &node->by_handle);
    bool last = !hash_first(&w->nodes, number);
    pthread_mutex_unlock(&w->lock);
    if (last)
        fanotify_mark(w->fd, FAN_MARK_REMOVE | FAN_MARK_ONLYDIR, ALL_EVENTS, node->fd, ".");
}

struct drain {
    struct hostwatch *watch;
    const struct hostwatch_ops *ops;
    void *data;
};

/* With a reference to each. */
static unsigned find(struct hostwatch *w, const struct file_handle *handle, struct vfs_node *found[FOUND_MAX])
{
    unsigned count = 0;
    pthread_mutex_lock(&w->lock);
    struct hash_link *link = hash_first(&w->nodes, handle_number(handle));
    for (; link && count < FOUND_MAX; link = hash_next(link)) {
        struct vfs_node *node = (struct vfs_node *)(void *)((char *)link - offsetof(struct vfs_node, by_handle));
        if (hostdir_hold(node))
            found[count++] = node;
    }
    pthread_mutex_unlock(&w->lock);
    return count;
}

static void report_child(const struct drain *d, struct vfs_node *dir, const char *name, uint64_t mask)
{
    struct vfs_node *child = hostdir_find_child(dir, name);
    if (!child)
        return;
    d->ops->inode(d->data, child, (mask & CONTENT_EVENTS) != 0);
    hostdir_forget(child->member.vfs, child);
}

static void report_to(const struct drain *d, struct vfs_node *dir, const struct fanevent *event)
{
    bool self = !event->name || strcmp(event->name, ".") == 0;
    if (event->mask & NAME_EVENTS) {
        if (!self)
            d->ops->entry(d->data, dir, event->name);
        d->ops->inode(d->data, dir, false);
    } else if (self) {
        d->ops->inode(d->data, dir, false);
    }
    /* What a new name leads to may be known by another: its number of links has changed. */
    if (!self)
        report_child(d, dir, event->name, event->mask);
}

static void report(void *data, const struct fanevent *event)
{
    const struct drain *d = data;
    struct vfs_node *found[FOUND_MAX];
    if (event->mask & FAN_Q_OVERFLOW) {
        d->ops->lost(d->data);
        return;
    }
    if (!event->directory)
        return;
    unsigned count = find(d->watch, event->directory, found);
    for (unsigned i = 0; i < count; i++) {
        report_to(d, found[i], event);
        hostdir_forget(found[i]->member.vfs, found[i]);
    }
}

void hostwatch_drain(struct hostwatch *w, const struct hostwatch_ops *ops, void *data)
{
    struct drain drain = {w, ops, data};
    fanevents_read(w->fd, report, &drain);
}

struct hostwatch *hostwatch_new(void)
{
    struct hostwatch *w = calloc(1, sizeof *w);
    if (!w)
        return NULL;
    w->fd = fanotify_init(FAN_CLASS_NOTIF | FAN_CLOEXEC | FAN_NONBLOCK | FAN_REPORT_DFID_NAME, O_RDONLY);
    if (w->fd >= 0 && hash_init(&w->nodes) == 0) {
        pthread_mutex_init(&w->lock, NULL);
        return w;
    }
    int saved = w->fd < 0 ? errno : ENOMEM;
    if (w->fd >= 0)
        close(w->fd);
    free(w);
    errno = saved;
    return NULL;
}

int hostwatch_fd(const struct hostwatch *w)
{
    return w->fd;
}

void hostwatch_free(struct hostwatch *w)
{
    if (!w)
        return;
    close(w->fd);
    hash_fini(&w->nodes);
    pthread_mutex_destroy(&w->lock);
    free(w);
}
