/* SPDX-License-Identifier: Apache-2.0 */
/* What src/host_mounts.c (sessions) and src/host_mounts_files.c (the table, its files and verbs) share. */
#ifndef GONDOLIN_SRC_HOST_MOUNTS_INTERNAL_H
#define GONDOLIN_SRC_HOST_MOUNTS_INTERNAL_H

#include <stdarg.h>

#include "fs/sync.h"
#include "src/host_mounts.h"

enum hook_state { HOOK_NONE, HOOK_STARTING, HOOK_WATCHING, HOOK_DECIDING, HOOK_DEAD };
enum mount_state { MOUNT_WANTED, MOUNT_MOUNTED, MOUNT_FAILED, MOUNT_LEAVING };

struct host_mount {
    struct host_mounts *mounts;
    struct mount_spec spec;
    uint32_t id;   /* never used again in this sandbox */
    uint32_t slot; /* of its counters */
    enum mount_state state;
    struct control_node *dir;
    struct control_request *request; /* of the verb that waits for this mount; NULL: none */
    size_t request_len;
};

struct host_mounts {
    struct loop *loop;
    const struct host_mounts_ops *ops;
    void *data;
    struct control_node *dir;

    struct host_mount *list[MOUNTTABLE_MAX]; /* outer targets first */
    size_t count;
    uint32_t last_id;

    int stream_fd; /* -1: there is no machine */
    bool agent;    /* there is one that knows of mounts */
    bool settling; /* `settled` is to be called */
    bool answered; /* the guest has tried what there is in this session */
    char failure[512];
    char nonce[SYNC_NONCE + 1]; /* the session's; "": there has been none */

    bool resumes;        /* the agent can go on with a session */
    int state_fd;        /* what the next worker goes on with; -1: a new session */
    unsigned hold_tries; /* left, while the guest is asked to hold for a session that is to be renewed; 0: it is not */
    host_mounts_saved_fn *saved; /* NULL: nothing is being saved */
    void *saved_data;
    int save_fd;

    struct vfs_worker *worker;
    bool worker_leaves; /* it has been killed, but is not gone yet */
    bool start_wanted;  /* as soon as it is gone */
    const struct vfs_hook_spec *hook_spec; /* NULL: none */
    struct vfs_hook *hook; /* the program that runs, or has been killed and is not gone yet */
    enum hook_state hook_state;
    struct timer *restart_timer;
    uint64_t started_ms, restarts;
    uint32_t confined;
    unsigned landlock_abi;

    int counters_fd;
    int window_fd; /* of the machine; -1: nothing is shared with it */
    struct mount_counters *counters; /* one for each slot */
};

void host_mounts_say(struct host_mounts *m, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void host_mounts_tell_agent(struct host_mounts *m);
/* Calls `settled` if it is to be called and all is known. */
void host_mounts_settle(struct host_mounts *m);
/* As soon as the worker and the hook program of the session before are gone. */
void host_mounts_start_worker(struct host_mounts *m);
/* Ends the session there is and begins another, whose worker is started after a pause. state_fd (taken over): what it goes
 * on with, or -1. */
void host_mounts_begin_session(struct host_mounts *m, unsigned pause_ms, int state_fd);
/* A worker serves the guest. */
bool host_mounts_has_session(const struct host_mounts *m);
/* Ends the session there is; nothing is mounted any more. */
void host_mounts_end_session(struct host_mounts *m);

/* host_mounts_state.c: another worker goes on with the session, or with a new one where that cannot be. */
void host_mounts_renew(struct host_mounts *m);
void host_mounts_held(struct host_mounts *m, bool held);
/* The worker has answered, or is gone. `tell`: whoever waits. */
void host_mounts_saving_done(struct host_mounts *m, int code, bool tell);
void host_mounts_renumber(struct host_mounts *m, struct json_object *mounts);

/* host_mounts_hook.c */
/* Starts the program, if there is to be one, and gives its socket to the worker. False when the worker did not get it. */
bool host_mounts_give_hook(struct host_mounts *m);
void host_mounts_end_hook(struct host_mounts *m);
/* What the worker says about it, as struct vfs_worker_ops has it; `data` is the struct host_mounts. */
void host_mounts_hook_told(void *data, uint32_t flags, int code, const char *why);
void host_mounts_hook_status(const struct host_mounts *m, FILE *out);

/* host_mounts_files.c */
int host_mounts_add_directory(struct host_mounts *m, struct control *control);
/* Takes the spec over. NULL with errno. */
struct host_mount *host_mounts_add(struct host_mounts *m, struct mount_spec *spec);
void host_mounts_remove(struct host_mounts *m, struct host_mount *mount);
struct host_mount *host_mounts_find(struct host_mounts *m, uint32_t id);
/* The guest has tried to mount it, or to unmount it. */
void host_mounts_bound(struct host_mounts *m, struct host_mount *mount, int code, const char *error);
void host_mounts_unbound(struct host_mounts *m, struct host_mount *mount, int code, const char *error);
/* Answers all verbs that wait. */
void host_mounts_fail_requests(struct host_mounts *m);

#endif
