/* SPDX-License-Identifier: Apache-2.0 */
/* Why past sandboxes ended: their mounts are gone, and with them the files that would tell.
 *
 * $XDG_STATE_HOME/gondolin/ended, else ~/.local/state/gondolin/ended: a line of JSON for each, the newest last, mode 0600.
 * Written by the supervisor at its end, by the keeper where that was killed, and by who cleans up behind both. */
#ifndef GONDOLIN_SRC_ENDED_H
#define GONDOLIN_SRC_ENDED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "src/session.h"

enum { ENDED_KEPT = 50 };

/* The reason given by whoever finds a sandbox without its supervisor. */
#define ENDED_UNEXPLAINED "its supervisor was killed, or crashed"

/* Strings are malloc'd and owned by the struct; none is NULL. Those of the guest are printable (src/printable.h),
 * with newlines in `console`. */
struct ended {
    char *id, *name, *mountpoint, *image;
    char *reason;  /* a sentence */
    char *console; /* the last lines of the guest, "" where nobody knows them */
    bool orderly;  /* somebody wanted it to end */
    int64_t started_ms, ended_ms; /* of the Unix epoch */
};

/* Adds a sandbox that ends now, and drops the oldest beyond ENDED_KEPT. `console` may be NULL. Best effort: an end that
 * cannot be recorded is an end all the same. */
void ended_record(const struct session *session, bool orderly, const char *reason, const char *console);

/* All that are known, newest first, in a malloc'd array for ended_list_free. Lines that make no sense are skipped.
 * -ENOMEM, or -errno of a file that exists and cannot be read; no file at all is an empty list. */
int ended_list(struct ended **out, size_t *count, struct err *err);
void ended_list_free(struct ended *list, size_t count);

/* The newest one with this mount point, name or id; NULL or "" stands for any. Freed with ended_close. */
bool ended_find(const char *reference, struct ended *out);
void ended_close(struct ended *ended);

/* "45s", "12m", "3h05m", "2d04h": the time since then. */
void ended_format_age(int64_t since_ms, char *to, size_t size);

#endif
