/* SPDX-License-Identifier: Apache-2.0 */
/* A client of QMP, QEMU's control protocol: one JSON object a line in both directions (docs/interop/qmp-spec of the
 * QEMU project). QEMU runs the guest, so what it says may have been forged: lines are at most QMP_MAX_LINE bytes long,
 * nest at most QMP_MAX_DEPTH deep, and whatever is not QMP ends the connection. */
#ifndef GONDOLIN_VMM_QMP_H
#define GONDOLIN_VMM_QMP_H

#include <json-c/json.h>

#include "src/loop.h"

enum { QMP_MAX_LINE = 1024 * 1024, QMP_MAX_DEPTH = 32, QMP_MAX_PENDING = 64 };

struct qmp;

struct qmp_ops {
    /* Capabilities are negotiated; `version` is QEMU's, e.g. "7.2.22". */
    void (*ready)(void *data, const char *version);
    /* `details` (borrowed) may be NULL. */
    void (*event)(void *data, const char *name, struct json_object *details);
    /* The peer closed the connection (code 0), it failed (errno), or broke the protocol (EPROTO). Called once, after
     * every pending command has got its answer (EPIPE); nothing follows. The callee may free the client. */
    void (*closed)(void *data, int code, const char *sentence);
};

/* The answer to a command: code 0 and `result` (borrowed), or an errno and a sentence: EIO with QEMU's own words when
 * it refused, EPIPE when the connection ended first. */
typedef void qmp_reply_fn(void *data, int code, const char *sentence, struct json_object *result);

/* Takes ownership of fd, a connected socket (made non-blocking). NULL with errno on failure (fd then stays open). */
struct qmp *qmp_new(struct loop *loop, int fd, const struct qmp_ops *ops, void *data);

/* Sends a command, or keeps it until capabilities are negotiated. `arguments` (NULL: none) is taken over, also on
 * failure. `reply` (NULL: the answer is ignored) is called exactly once from the loop, unless qmp_free comes first.
 * Returns 0, -EPIPE after the end of the connection, -EBUSY with QMP_MAX_PENDING commands unanswered, -ENOMEM. */
int qmp_execute(struct qmp *qmp, const char *command, struct json_object *arguments, qmp_reply_fn *reply, void *data);

/* Handles at once everything that has already arrived: to be called when the peer is known to have ended, so that its
 * last events are not missed. */
void qmp_drain(struct qmp *qmp);

/* Closes the connection; no callback follows. May be called from any callback. NULL is ignored. */
void qmp_free(struct qmp *qmp);

#endif
