/* SPDX-License-Identifier: Apache-2.0 */
/* The registry of running sandboxes: how the command line finds the supervisor of a mount point, name or id.
 *
 * BASE/ID/{lock,session.json,...}, BASE being $XDG_RUNTIME_DIR/gondolin, else /run/user/UID/gondolin, else
 * /tmp/gondolin-UID (for root /run/gondolin): mode 0700 and owned by the user, or it is refused. A sandbox is alive as
 * long as its `lock` is locked (flock): process ids are reused, locks end with their holder. */
#ifndef GONDOLIN_SRC_SESSION_H
#define GONDOLIN_SRC_SESSION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "src/err.h"

enum { SESSION_ID_DIGITS = 12 };

/* Strings are malloc'd and owned by the struct; NULL where not known yet. */
struct session {
    char id[SESSION_ID_DIGITS + 1];
    char *name, *mountpoint, *image, *build_id, *state, *log;
    char *checkpoint;              /* the one that its disk lies on; NULL: none */
    pid_t pid, keeper_pid, vm_pid; /* 0: none */
    int64_t started_ms;            /* of the Unix epoch */
    uint64_t device;               /* of the mount; 0: not mounted yet */
    char *directory;               /* BASE/ID */
    int lock_fd;                   /* -1 except in the process that created the session */
    bool alive;
};

/* Makes BASE/ID with a fresh random id and takes its lock (lock_fd, close-on-exec). Every string but `directory` is
 * left NULL. Undo with session_remove. */
int session_create(struct session *out, struct err *err);

/* Writes session.json so that readers see either the old or the new one whole. Until the first call the session is not
 * listed. */
int session_publish(const struct session *session, struct err *err);

/* What the session.json in `directory` says. False when there is none (the session has not been published, or is being
 * removed). Free with session_close in any case. */
bool session_read(const char *directory, struct session *out);

/* Does its holder still live? What `pid` names is sure to be the holder only if this holds after a pidfd was opened. */
bool session_is_alive(const struct session *session);

/* Removes the directory (its files and empty subdirectories), then closes. For the lock's holder. */
void session_remove(struct session *session);

/* Frees the strings and closes lock_fd; the directory stays. */
void session_close(struct session *session);

/* Makes and opens BASE (close-on-exec). -errno with *err when it cannot be made or is not private. */
int session_base(struct err *err);

/* A path next to the sessions that does not exist, for a mount point nobody has to choose. malloc'd in *path. */
int session_scratch_path(char **path, struct err *err);

/* The sandboxes alive, oldest first, in a malloc'd array for session_list_free. What dead ones left is cleaned: their
 * directory, and a gondolin mount recorded there that no process answers any more; so are such mounts of
 * checkpoints' disks. */
int session_list(struct session **out, size_t *count, struct err *err);
void session_list_free(struct session *sessions, size_t count);

/* Finds a sandbox by name, by mount point (or any path in it), or by a prefix of its id of at least 4 digits. NULL or
 * "" stands for the only one running. Errors: ENOENT (names the nearest name), EEXIST (several fit). */
int session_find(const char *reference, struct session *out, struct err *err);

/* The same, for who only needs its files: opens the mount point (close-on-exec). A descriptor of the directory or -errno. */
int session_open_mount(const char *reference, struct err *err);

#endif
