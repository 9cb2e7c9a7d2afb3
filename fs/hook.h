/* SPDX-License-Identifier: Apache-2.0 */
/* The conversation with a hook program over a stream socket; fs/hook_line.h has the lines, gondolin-vfs-hook(7) the rules.
 * Several threads may ask at once, and no answer waits for another one. A program that ends, says what is not in the
 * protocol, or does not answer or read in time is dead from then on: whatever would have to be asked fails with EIO. */
#ifndef GONDOLIN_FS_HOOK_H
#define GONDOLIN_FS_HOOK_H

#include <stdbool.h>
#include <stdint.h>

#include "fs/hook_line.h"

struct hook;

/* Called once, by any thread, with a sentence about why the program is dead. Must not call the hook. */
typedef void hook_dead_fn(void *data, const char *why);

/* Takes the socket over and waits for the program's hello, at most HOOK_TIMEOUT_MS; when it does not come the hook is
 * dead. NULL with errno (ENOMEM, EMFILE, EAGAIN: no thread); the socket is then closed. */
struct hook *hook_new(int fd, hook_dead_fn *dead, void *data);

bool hook_is_dead(struct hook *hook);
/* What the program has said of itself; means nothing if it was dead before that. */
struct hook_hello hook_hello(const struct hook *hook);

/* Before an operation: 0 when it may be done, then *id is for hook_end; -EIO when the hook is dead; or the -errno with
 * which the program refuses (it then has been told that result). Waits as long as the hello allows. */
int hook_begin(struct hook *hook, const struct hook_event *event, uint64_t *id);
/* After it: tells the program the result, a count or -errno. */
void hook_end(struct hook *hook, const struct hook_event *event, uint64_t id, int64_t result);

/* One thread at a time, for as long as it makes files under the umask of its request: a process has only one. */
void hook_lock_making(struct hook *hook);
void hook_unlock_making(struct hook *hook);

/* Hangs up. Nobody may be asking. NULL is ignored. */
void hook_free(struct hook *hook);

#endif
