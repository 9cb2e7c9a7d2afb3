/* SPDX-License-Identifier: Apache-2.0 */
/* What the host shows in the guest: the table of mounts, the worker process that serves them (src/vfs_worker.h), and what
 * the guest's agent is told about them (CTL_MOUNTS).
 *
 * A session is one worker process and one FUSE connection of the guest, with a number that both know. It ends when the
 * worker dies; then a new one begins with the same mounts, and what the guest has open from the old one answers ENOTCONN.
 * When a directory comes in that the worker may not see, or the machine is replaced by one that was saved, another worker
 * goes on with what the one before has left (src/host_mounts_state.c). There is no worker while there are no mounts. */
#ifndef GONDOLIN_SRC_HOST_MOUNTS_H
#define GONDOLIN_SRC_HOST_MOUNTS_H

#include <json-c/json.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "fs/control.h"
#include "src/err.h"
#include "src/loop.h"
#include "src/mount_spec.h"
#include "src/vfs_hook.h"

struct host_mounts;

struct host_mounts_ops {
    void (*log)(void *data, const char *line);
    /* `details` is handed over. */
    void (*event)(void *data, const char *name, struct json_object *details);
    /* Sends a frame CTL_MOUNTS; takes the object over. False when there is no agent. */
    bool (*tell_agent)(void *data, struct json_object *request);
    /* The guest has what was asked for since host_mounts_agent; or, once, why not (a sentence). */
    void (*settled)(void *data, const char *failure);
};

/* Takes over the mounts of `specs` (emptied) and adds the directory mounts/. NULL with errno. */
struct host_mounts *host_mounts_new(struct loop *loop, struct control *control, struct mount_specs *specs,
                                    const struct host_mounts_ops *ops, void *data);

/* Every session has this program watch or decide. Borrowed for good; before anything is connected. */
void host_mounts_use_hook(struct host_mounts *mounts, const struct vfs_hook_spec *spec);

/* The host's end of a new machine's port gondolin.vfs; taken over. `window_fd` is what is shared with it (borrowed; -1:
 * nothing). A session on an earlier one ends. For a machine that was saved with one: what host_mounts_describe said then
 * (borrowed), and what was saved (taken over); else NULL and -1. */
void host_mounts_connect(struct host_mounts *mounts, int stream_fd, int window_fd, struct json_object *described,
                         int state_fd);

/* An agent has taken its configuration: begins a session if there is something to mount. `able`: it knows CTL_MOUNTS;
 * `resumes`: and how to go on with a session. Returns whether `settled` will be called. Again for a machine that was
 * replaced. */
bool host_mounts_agent(struct host_mounts *mounts, bool able, bool resumes);

/* Has what another session needs to go on with this one written to a file, when the guest has no request under way. `saved`
 * gets its descriptor, to be closed, or -1 when there is nothing to save or that fails; perhaps at once, and not after
 * host_mounts_stop_saving with the same data. */
typedef void host_mounts_saved_fn(void *data, int fd);
void host_mounts_save(struct host_mounts *mounts, host_mounts_saved_fn *saved, void *data);
void host_mounts_stop_saving(struct host_mounts *mounts, const void *data);
/* What is mounted, for host_mounts_connect at another time. A JSON array. */
struct json_object *host_mounts_describe(const struct host_mounts *mounts);

/* The agent's frame CTL_MOUNTS (borrowed; NULL: it was no object). 0, or -EPROTO when no agent sends such a thing. */
int host_mounts_answer(struct host_mounts *mounts, struct json_object *answer);

/* The verbs `bind` and `unbind`: answer the request when the guest has done it. */
void host_mounts_bind(struct host_mounts *mounts, struct mount_spec *spec, struct control_request *request, size_t len);
void host_mounts_unbind(struct host_mounts *mounts, const char *target, struct control_request *request, size_t len);

/* Are there any? */
bool host_mounts_any(const struct host_mounts *mounts);

/* Lines for `status`. */
void host_mounts_status(const struct host_mounts *mounts, FILE *out);

/* The machine is over: requests that wait are answered, the worker is ended. */
void host_mounts_disconnect(struct host_mounts *mounts);
/* NULL is ignored. */
void host_mounts_free(struct host_mounts *mounts);

#endif
