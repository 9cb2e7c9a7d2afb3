/* SPDX-License-Identifier: Apache-2.0 */
/* Between the supervisor and gondolin-vfs. The worker is started with
 *   descriptor 3: the byte stream of the port gondolin.vfs (fs/sync.h, then the FUSE wire protocol)
 *   descriptor 4: a SOCK_SEQPACKET socket to the supervisor; every message is one struct worker_message
 *   descriptor 5: a sealed memory file with one struct mount_counters for each mount
 *   descriptor 6: the sealed memory file that is shared with the guest (fs/window.h)
 * and gets: any number of MOUNT (each answered DONE), perhaps STATE and HOOK, then START (answered CONFINED, where there was
 * HOOK by HOOK, and DONE). From then on only UNMOUNT and SAVE. Anything else ends the worker; it also ends with either
 * stream. */
#ifndef GONDOLIN_FS_WORKER_PROTO_H
#define GONDOLIN_FS_WORKER_PROTO_H

#include <stdint.h>

#include "fs/mounttable.h"

enum { WORKER_STREAM_FD = 3, WORKER_CONTROL_FD = 4, WORKER_COUNTERS_FD = 5, WORKER_WINDOW_FD = 6,
       WORKER_TEXT = 3584, WORKER_TARGET = 1032 };

enum worker_type {
    WORKER_MOUNT = 1,    /* supervisor: id, slot, flags, owner, cache, size, text (fs/shadow.h), target, one descriptor */
    WORKER_UNMOUNT = 2,  /* supervisor: id */
    WORKER_START = 3,    /* supervisor: text (the stream's nonce) */
    WORKER_DONE = 4,     /* worker: what (a worker_type), id, error (errno value or 0) */
    WORKER_CONFINED = 5, /* worker: flags (enum worker_confinement) */
    WORKER_LOG = 6,      /* worker: text, one line */
    WORKER_SAVE = 7,     /* supervisor: one descriptor, of an empty file, for what another worker needs to go on with the
                            session (fs/worker_state.h); at a time when the guest has no request under way */
    WORKER_STATE = 8,    /* supervisor: such a file: the session that the guest goes on with, or else begins anew */
    WORKER_HOOK = 9,     /* supervisor: one descriptor, the socket of the hook program (fs/hook.h).
                            worker: flags (enum worker_hook_flags), or error and text when the program is dead */
};

enum worker_mount_flags {
    WORKER_MOUNT_MEMORY = 1, /* no descriptor: an empty tree in memory of at most `size` bytes */
    WORKER_MOUNT_READONLY = 2,
};

enum worker_hook_flags { WORKER_HOOK_DECIDES = 1 };

enum worker_owner { WORKER_OWNER_USER, WORKER_OWNER_RAW, WORKER_OWNER_MAPPED };
enum worker_cache { WORKER_CACHE_AUTO, WORKER_CACHE_NONE };

enum worker_confinement {
    WORKER_HAS_LANDLOCK = 1,
    WORKER_HAS_SECCOMP = 2,
    WORKER_HAS_NETNS = 4, /* a network namespace without anything in it */
};

struct worker_message {
    uint32_t type; /* enum worker_type */
    uint32_t id;   /* of the mount */
    uint32_t slot; /* of its counters */
    uint32_t flags;
    uint32_t owner, cache;
    uint32_t what;
    int32_t error;
    uint64_t size;
    uint32_t landlock_abi, reserved;
    char target[WORKER_TARGET]; /* where the mount is in the guest; NUL-terminated */
    char text[WORKER_TEXT];     /* NUL-terminated */
};

#endif
