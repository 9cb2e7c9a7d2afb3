/* SPDX-License-Identifier: Apache-2.0 */
/* A tree of control files on libfuse's low-level API. Handlers never block: a request that has to wait is kept (it is a
 * `struct control_request *`) and answered later, from the loop. Rules that hold for every file are kept here: direct
 * I/O, no caching, truncate and fsync accepted, create/unlink/rename refused, the sentence of a failed write readable on
 * the same descriptor and in the file `error`. What a file means is in its control_ops.
 *
 * A node lives while it is in the tree, the kernel knows its id, or a handle is open on it. */
#ifndef GONDOLIN_FS_CONTROL_H
#define GONDOLIN_FS_CONTROL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/types.h>

struct control;
struct control_node;
struct control_handle;
struct control_request;
struct fuse_lowlevel_ops;

/* Control ids have the top bit set; the root of the mount keeps its fixed id 1. */
#define CONTROL_ID_BIT (UINT64_C(1) << 63)
#define CONTROL_ROOT_ID UINT64_C(1)

/* Behaviour of a node. Every member may be NULL. `object` is what control_add was given. */
struct control_ops {
    /* Refuses or prepares an open: 0 or an errno value. */
    int (*open)(struct control_handle *handle);
    /* The last descriptor was closed. */
    void (*release)(struct control_handle *handle);
    /* Writes the file's text; rendered once per open and served from that copy. */
    void (*render)(void *object, FILE *out);
    /* Instead of render: serves a read, now or later, with one of the control_reply functions. */
    void (*read)(struct control_handle *handle, size_t size, off_t offset, struct control_request *request);
    /* Takes a write of `len` bytes (bounded by max_write), answered now or later. `data` is valid during the call. */
    void (*write)(struct control_handle *handle, const char *data, size_t len, off_t offset,
                  struct control_request *request);
    /* Truncation to nothing (O_TRUNC or ftruncate). */
    void (*truncate)(void *object);
    /* POLLIN / POLLOUT bits that hold now; control_notify tells about changes. */
    unsigned (*poll)(struct control_handle *handle);
    /* The target of a symlink, malloc'd; NULL when there is none now (the name is then absent). */
    char *(*readlink)(void *object);
    /* Before this directory is listed, or a name that it does not have is looked up in it: true when it is as it should be.
     * Otherwise the request waits until control_request_resume or a reply. */
    bool (*refresh)(void *object, struct control_request *request);
    /* mkdir in this directory: 0 after control_add of the child, or an errno value. */
    int (*mkdir)(void *object, const char *name);
    /* rmdir of this node itself: 0 after control_remove, or an errno value. */
    int (*rmdir)(void *object);
    /* Instead of mkdir and rmdir, for what takes time: to be answered with control_reply_made or control_reply_removed (after
     * control_add or control_remove), or with an error. The kernel lets nobody else use the directory meanwhile. */
    void (*mkdir_later)(void *object, const char *name, struct control_request *request);
    void (*rmdir_later)(void *object, struct control_request *request);
    /* Before anything is done with this directory: adds and removes what has changed in it, at once. */
    void (*update)(void *object);
    /* The node has been freed: drop its reference to `object`. */
    void (*freed)(void *object);
    size_t max_write; /* EMSGSIZE beyond; 0: 4096 */
    bool stream;      /* no offsets: nonseekable */
    bool sized;       /* st_size is the rendered length (values and status), otherwise 0 */
    off_t (*size)(void *object); /* or this, where `read` is positional */
};

/* The uid and gid that own the control files. The tree's root directory exists at once. NULL with errno. */
struct control *control_new(uid_t uid, gid_t gid);
/* Calls fn as soon as no handle is open: before it returns, or when the last one is closed. */
void control_when_idle(struct control *control, void (*fn)(void *data), void *data);
/* Closes every open handle, as the kernel would: for an end that the kernel does not announce. */
void control_close_handles(struct control *control);
/* Answers every parked request with ENOTCONN; their keepers must have forgotten them. */
void control_abort_requests(struct control *control);
/* No request may be parked, and the libfuse session must be gone. */
void control_free(struct control *control);

/* The operations to create the libfuse session with (user data: the struct control). */
const struct fuse_lowlevel_ops *control_fuse_ops(void);
/* The libfuse session (struct fuse_session) and the front that reads for it. */
void control_set_session(struct control *control, void *session, void *front);
void *control_front(const struct control *control);

/* Before a request is given to libfuse: who makes it. */
void control_set_arriving(struct control *control, uint64_t unique, pid_t thread);
/* The thread that made a parked request; -1: there is none of this number. */
pid_t control_caller(const struct control *control, uint64_t unique);

struct control_node *control_root(struct control *control);

/* Adds a node. `mode` has the file type (S_IFREG, S_IFDIR, S_IFLNK) and permissions. NULL with errno (EEXIST, ENOMEM). */
struct control_node *control_add(struct control_node *dir, const char *name, mode_t mode,
                                 const struct control_ops *ops, void *object);
/* Takes a node and all below it out of the tree; open handles stay valid and get ESTALE from generic operations. */
void control_remove(struct control_node *node);
/* NULL if there is none of that name. */
struct control_node *control_find(const struct control_node *dir, const char *name);
/* Calls fn with each node in the directory; fn may remove the one that it is given. */
void control_each_child(struct control_node *dir, void (*fn)(void *data, struct control_node *node), void *data);
/* A name that is served elsewhere: LOOKUP answers `id()` (0: ENOENT for now) and a directory with these attributes. */
int control_add_foreign(struct control_node *dir, const char *name, uint64_t (*id)(void *object), void *object);

const char *control_node_name(const struct control_node *node);
void *control_node_object(const struct control_node *node);
bool control_node_removed(const struct control_node *node);

/* Handles. */
void *control_handle_object(const struct control_handle *handle);
struct control_node *control_handle_node(const struct control_handle *handle);
int control_handle_flags(const struct control_handle *handle); /* O_* of the open */
void *control_handle_state(const struct control_handle *handle);
void control_handle_set_state(struct control_handle *handle, void *state);
/* What reads on this descriptor return from now on (copied), once and whatever their offset, then end of file. */
void control_handle_set_answer(struct control_handle *handle, const char *text, size_t len);
/* Something became readable or writable on this handle: wakes poll. */
void control_notify(struct control_handle *handle);

/* Requests. Each must be answered exactly once by one of the reply functions, which free it. */
/* Calls fn when the caller has given up (Ctrl-C, SIGKILL). fn must answer the request (normally EINTR). */
void control_request_on_interrupt(struct control_request *request, void (*fn)(struct control_request *, void *data),
                                  void *data);
/* Goes on with a request that `refresh` has kept; frees it. */
void control_request_resume(struct control_request *request);
void control_reply_data(struct control_request *request, const void *data, size_t len);
void control_reply_written(struct control_request *request, size_t len);
void control_reply_made(struct control_request *request, struct control_node *node);
void control_reply_removed(struct control_request *request);
/* errno value `code` with the sentence for `error` and for the descriptor's next read. */
void control_reply_error(struct control_request *request, int code, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* As control_reply_error, but the descriptor keeps what its next read returns. */
void control_reply_code(struct control_request *request, int code, const char *sentence);
/* No descriptor of this open file has been closed since the write before: the same program goes on with the same call. */
bool control_request_continues(const struct control_request *request);
/* The handle a request came in on (NULL once that handle was closed). */
struct control_handle *control_request_handle(const struct control_request *request);

/* The last failure: one sentence without newline, "" at first. What a terminal might obey is replaced. */
const char *control_last_error(const struct control *control);
void control_set_error(struct control *control, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#endif
