/* SPDX-License-Identifier: Apache-2.0 */
/* What fs/control.c (the tree) and fs/control_fuse.c (libfuse's side of it) share. */
#ifndef GONDOLIN_FS_CONTROL_INTERNAL_H
#define GONDOLIN_FS_CONTROL_INTERNAL_H

#include <time.h>

#include "fs/control.h"

enum { CONTROL_BUCKETS = 1024, CONTROL_DEFAULT_MAX_WRITE = 4096 };

struct fuse_req;
struct fuse_pollhandle;
struct fuse_session;

struct control {
    uid_t uid;
    gid_t gid;
    uint64_t last_id;
    struct control_node *root;
    struct control_node *nodes[CONTROL_BUCKETS]; /* every node the kernel may name, by id */
    struct control_request *requests;            /* parked ones */
    uint64_t arriving_unique;                    /* the request that libfuse is working on, and its caller */
    pid_t arriving_thread;
    struct control_handle *handles;              /* open ones */
    struct listing *listings;                    /* open directories */
    struct fuse_session *session;
    void *front;
    void (*when_idle)(void *data); /* waiting for the last handle's end; may be NULL */
    void *when_idle_data;
    char error[768];
};

struct control_node {
    struct control *control;
    struct control_node *parent, *children, *next_sibling;
    struct control_node *next_known;
    uint64_t id;
    char *name;
    mode_t mode;
    const struct control_ops *ops;
    void *object;
    uint64_t (*foreign_id)(void *object);
    struct timespec mtime;
    uint64_t lookups; /* the kernel's count */
    unsigned handles;
    bool in_tree;
};

struct control_handle {
    struct control_handle *next, **link; /* in control->handles */
    struct control_node *node;
    int flags;
    bool flushed; /* since the last write */
    void *state;
    char *text; /* rendered at open, or set by the file's own code */
    size_t text_len;
    bool text_is_stale; /* something was written since: to be rendered anew by a read from the beginning */
    /* Served front to back, whatever the offset, then end of file: text of the file's own (clone's name of its job), or,
     * before anything else and until the next write, why a write failed. */
    struct control_answer {
        char *text;
        size_t len, taken;
    } answer, failure;
    struct fuse_pollhandle *poll;
};

struct control_request {
    struct control *control;
    struct fuse_req *fuse;
    struct control_handle *handle;
    struct control_request *next, **link; /* in control->requests */
    uint64_t unique;
    pid_t thread;
    bool writes, continues;
    uint64_t dir; /* a LOOKUP or OPENDIR that waits for its directory: in which, of what (NULL: OPENDIR) */
    char *name;
    void (*on_interrupt)(struct control_request *, void *data);
    void *on_interrupt_data;
};

void control_answer_set(struct control_answer *answer, const char *text, size_t len);
struct control_node *control_node_by_id(struct control *control, uint64_t id);
/* The same, with its children as they are now. */
struct control_node *control_directory(struct control *control, uint64_t id);
void control_node_maybe_free(struct control_node *node);
/* Not there just now, although it is in the tree. */
bool control_node_absent(const struct control_node *node);
/* Tells who waits for it that no handle is open, if so. */
void control_call_if_idle(struct control *control);
/* Parks a request (NULL on ENOMEM); ends that again, unanswered. */
struct control_request *control_request_new(struct fuse_req *req, struct control_handle *handle);
void control_request_free(struct control_request *request);
/* True when the directory's owner has been asked to bring it up to date and will go on with the request. */
bool control_waits_for_dir(struct fuse_req *req, struct control_node *dir, const char *name);
/* Releases and frees a handle; its parked requests lose it. */
void control_handle_close(struct control_handle *handle);

#endif
