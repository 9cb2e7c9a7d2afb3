/* SPDX-License-Identifier: Apache-2.0 */
/* The lines that gondolin-vfs and a hook program exchange, one JSON object each; gondolin-vfs-hook(7) is their
 * description. What the program says has a fixed, flat shape and is taken apart here, strictly: the confined process that
 * does it is to hold little, and a member that is misspelt must not pass for one that was left out. */
#ifndef GONDOLIN_FS_HOOK_LINE_H
#define GONDOLIN_FS_HOOK_LINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    HOOK_LINE_LIMIT = 4096,       /* bytes of a line of the program, newline included */
    HOOK_WHY = 128,               /* bytes of a reason, NUL included */
    HOOK_TIMEOUT_MS = 5000,       /* for the hello, and for a decision unless the hello says otherwise */
    HOOK_LONGEST_TIMEOUT_MS = 60000,
};

enum hook_op {
    HOOK_CREATE,
    HOOK_OPEN,
    HOOK_OPENDIR,
    HOOK_READ,
    HOOK_WRITE,
    HOOK_SETATTR,
    HOOK_FALLOCATE,
    HOOK_COPY,
    HOOK_MKNOD,
    HOOK_MKDIR,
    HOOK_SYMLINK,
    HOOK_LINK,
    HOOK_UNLINK,
    HOOK_RMDIR,
    HOOK_RENAME,
    HOOK_SETXATTR,
    HOOK_REMOVEXATTR,
    HOOK_OPS,
};

/* "create" and so on. */
const char *hook_op_name(enum hook_op op);

/* ---- from the program ---- */

struct hook_hello {
    bool decides;        /* it is asked before each operation; otherwise it is told afterwards */
    unsigned timeout_ms; /* 1 to HOOK_LONGEST_TIMEOUT_MS */
    uint32_t ops;        /* bit N: it wants to hear of enum hook_op N */
};

struct hook_answer {
    uint64_t id;
    int error; /* errno value; 0: allowed */
};

/* Both take a line of `len` bytes without its newline. 0, or -EPROTO with the reason in `why`. */
int hook_read_hello(const char *line, size_t len, struct hook_hello *out, char why[HOOK_WHY]);
int hook_read_answer(const char *line, size_t len, struct hook_answer *out, char why[HOOK_WHY]);

/* ---- to the program ---- */

/* The numbers that an event may carry. */
enum hook_number { HOOK_OFFSET, HOOK_SIZE, HOOK_MODE, HOOK_UID, HOOK_GID, HOOK_NUMBERS };

struct hook_event {
    enum hook_op op;
    const char *mount;      /* the path in the guest */
    const char *path, *to;  /* below it; `to` is NULL where there is none */
    const char *access;     /* "r", "w" or "rw"; NULL: none */
    const char *target;     /* of a symbolic link; NULL: none */
    const char *name;       /* of an extended attribute; NULL: none */
    bool truncate, times;
    uint32_t has;           /* bit N: there is an enum hook_number N */
    uint64_t numbers[HOOK_NUMBERS];
};

static inline void hook_event_number(struct hook_event *event, enum hook_number which, uint64_t value)
{
    event->has |= UINT32_C(1) << which;
    event->numbers[which] = value;
}

/* A line with its newline, malloc'd; NULL with errno ENOMEM. `result` (NULL: not known yet) is a count or -errno.
 * Strings may hold any bytes: valid UTF-8 stays what it is, each other byte XX becomes \udcXX. */
char *hook_event_line(uint64_t id, const struct hook_event *event, const int64_t *result);
char *hook_result_line(uint64_t id, int64_t result);

#endif
