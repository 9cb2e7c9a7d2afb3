/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "fs/server_internal.h"

int server_handle_enter(struct server *server, struct vfs_file *file, uint64_t node_id, bool directory, uint32_t access,
                        uint64_t *id)
{
    struct handle *handle = calloc(1, sizeof *handle);
    int rc = handle ? 0 : -ENOMEM;
    if (handle) {
        *handle = (struct handle){
            .file = file, .node_id = node_id, .directory = directory, .access = access, .lock_fd = -1, .flock = F_UNLCK};
        pthread_mutex_lock(&server->lock);
        rc = slots_add(&server->handles, handle, &handle->id);
        pthread_mutex_unlock(&server->lock);
    }
    if (rc < 0) {
        free(handle);
        server->vfs->ops->release(server->vfs, file);
        return rc;
    }
    *id = handle->id;
    return 0;
}

int server_handle_restore(struct server *server, uint64_t id, uint64_t node_id, bool directory, uint32_t access,
                          struct vfs_file *file)
{
    struct handle *handle = calloc(1, sizeof *handle);
    if (!handle)
        return -ENOMEM;
    *handle = (struct handle){
        .file = file, .id = id, .node_id = node_id, .directory = directory, .access = access, .lock_fd = -1, .flock = F_UNLCK};
    int rc = slots_restore(&server->handles, handle, id);
    if (rc < 0)
        free(handle);
    return rc;
}

struct handle *server_handle_pin(struct server *server, uint64_t id, uint64_t node_id, bool directory)
{
    pthread_mutex_lock(&server->lock);
    struct handle *handle = slots_get(&server->handles, id);
    if (handle && (handle->directory != directory || handle->node_id != node_id))
        handle = NULL;
    if (handle)
        handle->pins++;
    pthread_mutex_unlock(&server->lock);
    return handle;
}

static void drop(struct server *server, struct handle *handle)
{
    if (handle->file)
        server->vfs->ops->release(server->vfs, handle->file);
    if (handle->lock_fd >= 0)
        close(handle->lock_fd);
    free(handle);
}

void server_handle_unpin(struct server *server, struct handle *handle)
{
    if (!handle)
        return;
    pthread_mutex_lock(&server->lock);
    bool unused = --handle->pins == 0 && handle->released;
    pthread_mutex_unlock(&server->lock);
    if (unused)
        drop(server, handle);
}

void server_handle_release(struct server *server, struct handle *handle)
{
    pthread_mutex_lock(&server->lock);
    slots_del(&server->handles, handle->id);
    handle->released = true;
    pthread_mutex_unlock(&server->lock);
}

void server_handles_clear(struct server *server)
{
    uint32_t cursor = 0;
    struct handle *handle;
    while ((handle = slots_any(&server->handles, &cursor))) {
        slots_del(&server->handles, handle->id);
        drop(server, handle);
    }
}
