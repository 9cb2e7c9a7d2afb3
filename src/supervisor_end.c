/* SPDX-License-Identifier: Apache-2.0 */
/* What is told of the end of a sandbox, and of its last words. */
#include <errno.h>
#include <string.h>

#include "src/ended.h"
#include "src/printable.h"
#include "src/supervisor_internal.h"

enum { TAIL = 1024, PANIC_LOOKBACK = 16 * 1024 };

static void copy_tail(const struct supervisor *s, char *tail, size_t size)
{
    size_t n = record_tail(s->console, tail, size - 1);
    for (size_t i = 0; i < n; i++)
        if (tail[i] == '\0')
            tail[i] = ' ';
    tail[n] = '\0';
}

/* The kernel prints why it panics, and resets the machine; to the monitor that looks like a reboot. */
static bool find_panic(const struct supervisor *s, char *out, size_t size)
{
    static const char mark[] = "Kernel panic - not syncing: ";
    char tail[PANIC_LOOKBACK];
    copy_tail(s, tail, sizeof tail);
    const char *at = strstr(tail, mark);
    if (!at)
        return false;
    at += strlen(mark);
    snprintf(out, size, "guest kernel panicked: %.*s", (int)strcspn(at, "\r\n"), at);
    printable(out, strlen(out));
    return true;
}

void supervisor_explain(const struct supervisor *s, const char *reason, char *out, size_t size)
{
    bool reset = strstr(reason, "reset") || strstr(reason, "panicked");
    if (reset && find_panic(s, out, size))
        return;
    snprintf(out, size, "%s", reset && s->goodbye ? "guest was told to reboot, which ends the sandbox" : reason);
}

/* One-shot sandboxes (gondolin run) are mounted among the session directories; nobody asks later how they went. */
bool supervisor_is_one_shot(const struct supervisor *s)
{
    const char *slash = strrchr(s->session.directory, '/');
    return strncmp(s->session.mountpoint, s->session.directory, (size_t)(slash - s->session.directory) + 1) == 0;
}

void supervisor_record_end(const struct supervisor *s)
{
    char tail[TAIL];
    if (!s->session.device || (s->orderly && supervisor_is_one_shot(s)))
        return;
    copy_tail(s, tail, sizeof tail);
    ended_record(&s->session, s->orderly, s->why_ended, tail);
}

int supervisor_failure(const struct supervisor *s, struct err *err)
{
    char tail[400];
    copy_tail(s, tail, sizeof tail);
    for (char *c = tail; *c; c++)
        if (*c == '\r' || *c == '\n')
            *c = *c == '\n' ? '|' : ' ';
    printable(tail, strlen(tail));
    return err_set(err, EIO, "mount: %s: %s%s%s", s->start->mountpoint, s->why_ended,
                   *tail ? "; last console output: " : "", tail);
}
