/* SPDX-License-Identifier: Apache-2.0 */
/* What the guest's own processes change on the root file system, as fanotify reports it: the source of the notices that
 * keep the host's caches right. Changes made by this process (on the host's behalf) are left out: the host knows them.
 * Stores into shared mappings make no event; their file's last close does. */
#ifndef GONDOLIN_GUEST_FANWATCH_H
#define GONDOLIN_GUEST_FANWATCH_H

#include <stdint.h>

struct fanwatch_ops {
    /* The contents and attributes of a file, or only the attributes of a file or directory, have changed. */
    void (*inode)(void *data, uint64_t ino, int contents);
    /* A name in a directory no longer means what it did. */
    void (*entry)(void *data, uint64_t directory_ino, const char *name);
    /* Events were lost: anything may have changed. */
    void (*lost)(void *data);
};

/* Watches the file system that "/" is on. Returns a non-blocking descriptor (close-on-exec, readable when there are
 * events), or -errno: ENOSYS or EOPNOTSUPP where kernel or file system lack it. */
int fanwatch_open(void);

/* Takes all events there are. Not for two threads at once. */
void fanwatch_drain(int fd, const struct fanwatch_ops *ops, void *data);

#endif
