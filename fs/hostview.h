/* SPDX-License-Identifier: Apache-2.0 */
/* What stands between the host's kernel and the guest's file server, message by message: node ids carry the session's
 * epoch, owners are mapped, symlinks are jailed, and what need not travel is answered here. Knows nothing of channels
 * or of time; fs/pump.h does. */
#ifndef GONDOLIN_FS_HOSTVIEW_H
#define GONDOLIN_FS_HOSTVIEW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "fs/wire.h"

struct hostview;

struct hostview_config {
    uid_t uid; /* the mounting user: owner of everything, unless raw_owner */
    gid_t gid;
    bool raw_owner; /* --owner guest: ids pass both ways */
    bool exec;      /* --exec: programs under root/ may run on the host */
    uint32_t entry_timeout_ms, attr_timeout_ms;
};

/* Host node ids: bits 48 to 62 the epoch (never 0), below it the number fs/nodes.h gives. */
enum { HOSTVIEW_EPOCH_SHIFT = 48 };
#define HOSTVIEW_NODE_MASK ((UINT64_C(1) << HOSTVIEW_EPOCH_SHIFT) - 1)

/* What the guest does not learn of a request: its nodes as the host knows them, needed again for the reply (0: none), and
 * the thread that waits for it (0: none, or not visible from here). */
struct hostview_origin {
    uint64_t node, other;
    pid_t caller;
};

/* NULL on ENOMEM. */
struct hostview *hostview_new(const struct hostview_config *config);
void hostview_free(struct hostview *view);

/* A new session with the guest's server: ids handed out before answer ESTALE from now on. Returns 0 or -ENOMEM. */
int hostview_new_epoch(struct hostview *view);
/* The id of the guest's root directory for the host, or 0 before the first epoch. */
uint64_t hostview_root_id(const struct hostview *view);

/* Makes a request of the host's kernel fit for the guest, in place, and sets *origin. Returns 1: send it; 0: answer it with
 * success and no body; -errno: answer it with that error. Never called for FORGET, BATCH_FORGET and INTERRUPT. */
int hostview_request(struct hostview *view, const struct wire_op *op, uint8_t *message, size_t len,
                     struct hostview_origin *origin);

/* Makes the guest's reply (already passed by wire_reply_check) fit for the host's kernel. `request` is the message as it
 * was sent, of which header, argument and component names have to be there. In place, but a READLINK body may get another
 * length: `*reply` then points to memory of the view, valid until the next call. Returns 0, or -errno to answer with
 * instead; the reply is then unchanged and the references in it are to be given back. */
int hostview_reply(struct hostview *view, const struct wire_op *op, const struct hostview_origin *origin,
                   const uint8_t *request, uint8_t **reply, size_t *len);

/* A reply that will not reach the kernel: calls `forget` for every reference in it and `release` for every handle.
 * `shown`: it has been through hostview_reply; otherwise it is as the guest sent it. */
struct hostview_refunds {
    void (*forget)(void *data, uint64_t guest_id, uint64_t count);
    void (*release)(void *data, const struct wire_op *op, uint64_t guest_id, uint64_t handle);
};
void hostview_give_back(struct hostview *view, const struct wire_op *op, const uint8_t *request, const uint8_t *reply,
                        size_t len, bool shown, const struct hostview_refunds *refunds, void *data);

/* The kernel drops references to a host id: returns the guest id to send FORGET for and limits *count to what is owed,
 * or 0 when nothing has to be sent (an id of an earlier epoch). */
uint64_t hostview_forget(struct hostview *view, uint64_t host_id, uint64_t *count);

/* Checks a notification of the guest (INVAL_INODE, INVAL_ENTRY). Its id is the first member of its body: to be replaced
 * by each of the host's ids that hostview_each_of gives for *guest_id. *guest_id 0: it stands for all nodes, see
 * hostview_each. 0 or -EPROTO. */
int hostview_notification(uint8_t *message, size_t len, uint64_t *guest_id);
/* Calls fn with the host's id of every node that the host's kernel knows; or of those that are this one of the guest. */
void hostview_each(struct hostview *view, void (*fn)(void *data, uint64_t host_id), void *data);
void hostview_each_of(struct hostview *view, uint64_t guest_id, void (*fn)(void *data, uint64_t host_id), void *data);
/* From now on replies say that attributes and entries may be cached that long. */
void hostview_set_timeouts(struct hostview *view, uint32_t entry_ms, uint32_t attr_ms);

#endif
