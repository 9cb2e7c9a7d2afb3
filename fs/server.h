/* SPDX-License-Identifier: Apache-2.0 */
/* Serves the FUSE wire protocol from a provider (fs/vfs.h). The same code serves the guest's file system to the host
 * (in the agent) and host directories to the guest (in gondolin-vfs), so it trusts neither side: every request passes
 * fs/wire first, node ids and handles are index + generation in tables. */
#ifndef GONDOLIN_FS_SERVER_H
#define GONDOLIN_FS_SERVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

struct server;
struct vfs;
struct vfs_node;

/* Sends one whole reply or notification (a fuse_out_header and what it announces, in one piece: a long body would
 * otherwise be copied behind its header). Called from several threads, one message each; the callee serialises. */
typedef void server_send_fn(void *data, const void *message, size_t len);

struct server_config {
    uint32_t max_write;   /* and max_read; at most WIRE_IO_LIMIT */
    uint8_t *window;      /* what both sides have (fs/window.h); NULL: nothing */
    uint32_t max_nodes;   /* live node ids; ENFILE beyond */
    bool forgets;         /* the peer can be asked to forget nodes (server_invalidate_all), and is, before that */
    uint32_t max_handles; /* open files and directories; ENFILE beyond */
    bool locks;           /* serve locks (else the peer's kernel keeps its own); takes SIGUSR1 for itself */
    unsigned workers;     /* threads for requests that can block (fsync, locks, ...); the rest runs in the caller */
    bool slow;            /* whatever opens, reads or changes something can block, too: it waits for somebody's consent */
    double attr_timeout, entry_timeout; /* seconds, put into replies */
    double keep_timeout; /* the same for what the provider says will be announced (VFS_KEEP_ATTR, VFS_KEEP_NAME) */
};

/* For max_nodes: as many nodes, each of which holds a descriptor, as RLIMIT_NOFILE leaves beside max_handles open files (at
 * most a quarter of the limit) and `spare` descriptors of the process itself; at most `most`. */
uint32_t server_node_budget(uint32_t max_handles, uint32_t spare, uint32_t most);

/* Node ids handed out are below 2^48 (24 bits of index, 24 of generation); 1 is the root. NULL with errno on failure.
 * The provider is borrowed. */
struct server *server_new(const struct server_config *config, struct vfs *root, server_send_fn *send, void *data);

/* Takes one message of exactly `len` bytes (it may be modified). Returns 0, or -EPROTO when the peer broke the protocol
 * so badly that the session has to end (header that lies about its length, anything before INIT, a second INIT). */
int server_receive(struct server *server, uint8_t *message, size_t len);

/* Somebody else has changed a file: tells the peer to forget its attributes and, with `data`, its contents. May be called
 * from any thread. False when the peer does not know the node, so that nothing was sent. */
bool server_invalidate_inode(struct server *server, struct vfs_node *vnode, bool data);
/* The same for a name in a directory (`name`: a component, NUL-terminated). */
bool server_invalidate_entry(struct server *server, struct vfs_node *directory, const char *name);

/* Nobody knows what has changed: a notice for each node that the peer knows. (Names it keeps until their time is over.) */
void server_invalidate_known(struct server *server);

/* Nobody knows what has changed: one notice that stands for all nodes. The same notice asks a peer that `forgets` to send FORGET
 * for what it does not use: when three quarters of max_nodes are there, and then again for each sixteenth more. From then on
 * listings have no nodes in them, and with all of them taken requests that may need one wait for a FORGET. */
bool server_invalidate_all(struct server *server);

/* What the peer knows by number (nodes and open files), for another server that goes on with this one's session: in
 * another process, or for a peer that comes back from an earlier time. No request may be under way. 0, or -errno when
 * memory or `out` fails. */
int server_save(struct server *server, FILE *out);
/* On a new server, whose provider finds its nodes by path. What is not there any more, or not the same, or may not be
 * opened, or was locked and cannot be now, answers ESTALE from now on. The peer either goes on, and then has to forget what it
 * cached (server_invalidate_known), or begins anew with INIT, and nothing has happened. -EPROTO: that is no such state, or it has
 * more in it than fits; the server is as before. */
int server_adopt(struct server *server, const uint8_t *state, size_t len);

/* Waits for requests being worked on, forgets all nodes and closes all handles. NULL is ignored. */
void server_free(struct server *server);

#endif
