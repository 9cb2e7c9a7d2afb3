/* SPDX-License-Identifier: Apache-2.0 */
/* Host directories in the guest: one FUSE mount in a private place, whose entries are bind-mounted to where they are
 * wanted. The host tells the whole of what it wants each time (CTL_MOUNTS, src/proto.h); a new session either goes on with
 * the one before, or drops all that there was, with open files getting ENOTCONN, and mounts everything anew. */
#ifndef GONDOLIN_GUEST_VFSMOUNT_H
#define GONDOLIN_GUEST_VFSMOUNT_H

#include <json-c/json.h>

#include "src/err.h"
#include "src/loop.h"

struct vfsmount;

struct vfsmount_ops {
    /* The answer to a request; `answer` is handed over. */
    void (*applied)(void *data, struct json_object *answer);
    /* Something went wrong later. Called in another thread. */
    void (*failed)(void *data, const char *why);
};

/* NULL with errno. */
struct vfsmount *vfsmount_new(struct loop *loop, const struct vfsmount_ops *ops, void *data);

/* Takes a request (borrowed) and returns at once: the work is done in a thread. 0, or -errno with *err set when the host
 * broke the protocol. */
int vfsmount_take(struct vfsmount *v, struct json_object *request, struct err *err);

/* No file of the host is used any more: waits at most that long for what is under way. The next request that begins a
 * session, or vfsmount_release, ends that. NULL is ignored by both. */
void vfsmount_hold(struct vfsmount *v, unsigned limit_ms);
void vfsmount_release(struct vfsmount *v);

/* Drops the session and everything mounted from it. Never waits for the host. NULL is ignored. */
void vfsmount_drop(struct vfsmount *v);

#endif
