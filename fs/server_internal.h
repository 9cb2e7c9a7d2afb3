/* SPDX-License-Identifier: Apache-2.0 */
/* What the parts of fs/server share. The caller of server_receive decodes, looks up and runs a request inline; one that
 * can block goes to the pool with copies of everything it needs. Nodes and handles used by a request are pinned, so
 * FORGET and RELEASE may arrive meanwhile. */
#ifndef GONDOLIN_FS_SERVER_INTERNAL_H
#define GONDOLIN_FS_SERVER_INTERNAL_H

#include <limits.h>
#include <pthread.h>
#include <stdbool.h>

#include "fs/hash.h"
#include "fs/pool.h"
#include "fs/server.h"
#include "fs/slots.h"
#include "fs/vfs.h"
#include "fs/wire.h"

/* A provider's node that the peer knows by a number. It lives while the peer holds lookups or a request pins it. */
struct node {
    struct hash_link by_vnode;
    struct vfs_node *vnode; /* one reference; NULL: of an earlier server, and not found again */
    uint64_t id;
    uint64_t lookups;
    uint32_t pins;
    uint32_t type; /* S_IFMT bits; an inode never changes them */
};

/* An open file or directory that the peer knows by a number. */
struct handle {
    struct vfs_file *file; /* NULL: of an earlier server, and not opened again */
    uint64_t id;
    uint64_t node_id; /* the node it was opened through; requests have to name both */
    uint32_t pins;
    uint32_t access; /* O_ACCMODE */
    bool directory;
    bool released;
    int lock_fd; /* for flock; -1: none yet */
    uint32_t flock; /* F_RDLCK, F_WRLCK: what it holds; else F_UNLCK */
};

struct server {
    struct server_config config;
    struct wire_limits limits;
    struct vfs *vfs;
    server_send_fn *send;
    void *send_data;
    bool ready;   /* INIT has been answered; both only touched by the caller of server_receive */
    bool adopted; /* the peer may still begin anew */
    struct pool *pool;

    pthread_mutex_t lock; /* for all below, and for lookups, pins and released of what is in them */
    struct slots nodes;
    uint32_t ask_at; /* with so many nodes the peer is asked to forget some */
    pthread_cond_t node_gone;
    struct hash nodes_by_vnode;
    struct node root; /* id 1, never in `nodes` */
    struct slots handles;

    struct server_locks *locks; /* NULL: not served */

    struct fuse_out_header *scratch; /* the reply to the request being served inline, its body behind it */
};

/* One request on its way. */
struct call {
    struct server *server;
    struct wire_request request;
    struct node *node;       /* pinned; NULL where the op has none */
    struct handle *handle;   /* pinned; NULL where the op has none */
    struct node *node2;      /* pinned: the second node of rename, link, copy */
    void *body;              /* room for the reply's body, aligned to 8, server_body_size() bytes; a header's before it */
    bool may_wait;           /* false: answer CALL_WAITS instead of waiting for a disk */
    bool in_pool;            /* not in the thread that receives, which alone hears what the peer forgets */
};

enum {
    CALL_WAITS = INT_MIN,
    CALL_TAKEN = INT_MIN + 1, /* it has been copied, pins included, and will be answered with server_reply */
};

/* Serves one opcode: puts the reply's body at call->body and returns its length, or returns -errno, or CALL_WAITS (only
 * while !may_wait). */
typedef int call_fn(struct call *call);

/* Takes over the entry's reference, or the one of a node that is known already. -ENFILE or -ENOMEM: given back. Where the peer
 * forgets, only what has been `made` may have the last places: it would have to be removed again. */
int server_node_enter(struct server *server, const struct vfs_entry *entry, bool made, uint64_t *id);
/* Before what may enter a node: whether there will be room. -ENFILE after a while; CALL_WAITS where that may take a while. */
int server_node_room(const struct call *call);
/* Whether those that are not needed are better not entered. */
bool server_nodes_are_many(struct server *server);
/* One that an earlier server gave this id; as slots_restore. Nothing stands behind it yet. */
int server_node_restore(struct server *server, uint64_t id, uint32_t type, uint64_t lookups);
/* What stands behind it. Takes over the reference; gives it back where another id has the node, or this one has one. */
void server_node_find_again(struct server *server, uint64_t id, struct vfs_node *vnode);
/* Whoever relied on what has been lost of it finds nothing: as if it had not been found again. */
void server_node_lose(struct server *server, struct node *node);
/* The id under which the peer knows a provider's node, or 0. */
uint64_t server_node_id_of(struct server *server, const struct vfs_node *vnode);
struct node *server_node_pin(struct server *server, uint64_t id);
void server_node_unpin(struct server *server, struct node *node); /* NULL is ignored */
/* Takes back that many lookups; a claim of more than there are, on an unknown node or on the root changes nothing. */
void server_node_forget(struct server *server, uint64_t id, uint64_t lookups);
int server_nodes_init(struct server *server);  /* -errno */
int server_nodes_start(struct server *server); /* the root for a new session */
void server_nodes_clear(struct server *server); /* ends the session's nodes; nothing may be pinned */
void server_nodes_fini(struct server *server);

/* Takes over the file, opened for `access`; it is released when there is no room (-ENFILE, -ENOMEM). */
int server_handle_enter(struct server *server, struct vfs_file *file, uint64_t node_id, bool directory, uint32_t access,
                        uint64_t *id);
/* One that an earlier server gave this number; as slots_restore. `file` NULL: what is asked of it is ESTALE. */
int server_handle_restore(struct server *server, uint64_t id, uint64_t node_id, bool directory, uint32_t access,
                          struct vfs_file *file);
/* NULL unless that handle is open, of that type and was opened through that node. */
struct handle *server_handle_pin(struct server *server, uint64_t id, uint64_t node_id, bool directory);
void server_handle_unpin(struct server *server, struct handle *handle); /* NULL is ignored */
/* The number means nothing from now on; the file is released with the last pin. */
void server_handle_release(struct server *server, struct handle *handle);
void server_handles_clear(struct server *server);

/* Bytes at call->body. */
size_t server_body_size(const struct server *server);

/* Puts an entry into a reply: enters its node, fills *out. What another thread than the receiving one answers may come after
 * the news that makes it wrong, and is not to be kept. -ENFILE or -ENOMEM. */
int server_put_entry(const struct call *call, const struct vfs_entry *entry, struct fuse_entry_out *out);
/* Whether requests with this opcode make something that gets a node. */
bool server_makes_node(uint32_t opcode);
/* What a FUSE reply says about how long something stays valid. */
void server_put_timeout(double seconds, uint64_t *out_sec, uint32_t *out_nsec);

/* fs/server.c. Ends the session: nothing the peer has ever named means anything afterwards. */
void server_end_session(struct server *server);
/* `result` is what a call_fn returns. */
void server_reply(struct call *call, int result);
void server_call_unpin(struct call *call);

/* fs/server_locks.c */
call_fn server_getlk, server_setlk, server_setlkw;
int server_locks_init(struct server *server);
void server_locks_flush(struct server *server, uint64_t node_id, uint64_t owner);
/* Whether the request of that number waited for a lock; it then has been answered. */
bool server_locks_interrupt(struct server *server, uint64_t unique);
void server_locks_end(struct server *server); /* of the session: nobody waits, nothing is locked */
void server_locks_fini(struct server *server);

/* A POSIX lock that is held; type F_UNLCK: nobody knows what this owner holds. */
struct server_lock {
    uint64_t node_id, owner;
    uint64_t start, end; /* both of it */
    uint32_t type;
    uint32_t reserved;
};
typedef void server_lock_fn(void *data, const struct server_lock *lock);
/* All, with the server's lock held. */
void server_locks_each(const struct server *server, server_lock_fn *fn, void *data);
/* Takes one that an earlier server held, or the flock of a handle. -EAGAIN: somebody else has it now; -errno. */
int server_locks_take(struct server *server, const struct node *node, const struct server_lock *lock);
int server_locks_take_file(struct server *server, const struct node *node, struct handle *handle, uint32_t type);

/* fs/server_init.c */
call_fn server_init;

/* fs/server_meta.c */
call_fn server_lookup, server_getattr, server_setattr, server_readlink, server_statfs;
call_fn server_setxattr, server_getxattr, server_listxattr, server_removexattr;

/* fs/server_names.c */
call_fn server_mknod, server_mkdir, server_symlink, server_link, server_unlink, server_rmdir, server_rename,
    server_rename2;

/* fs/server_io.c */
call_fn server_open, server_create, server_opendir, server_release, server_flush, server_read, server_write, server_fsync,
    server_fallocate, server_lseek, server_copy, server_ioctl, server_poll;

/* fs/server_readdir.c */
call_fn server_readdir, server_readdirplus;

#endif
