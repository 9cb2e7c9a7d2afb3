/* SPDX-License-Identifier: Apache-2.0 */
/* The agent's end of the control protocol (src/proto.h): greets, takes the configuration, then serves jobs, liveness,
 * freezing and the shutdown request. What changes the machine itself is behind callbacks, so that it also runs in unit
 * tests.
 *
 * States: HELLO sent -> first CONFIG -> READY sent, jobs served (<-> quiet) -> GOODBYE sent. A CONFIG may come again at
 * any time (to a clone) and is answered with READY again. */
#ifndef GONDOLIN_GUEST_SESSION_H
#define GONDOLIN_GUEST_SESSION_H

#include <json-c/json.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "guest/accounts.h"
#include "guest/job.h"
#include "src/err.h"
#include "src/loop.h"

enum { SESSION_MAX_ENTROPY = 512 };

/* What CONFIG asks for, besides the environment, which the session keeps. */
struct session_config {
    const char *hostname;   /* NULL: leave */
    const char *machine_id; /* 32 lower-case hex digits; NULL: leave */
    uint64_t realtime_ns;   /* since 1970; 0: leave */
    uint8_t entropy[SESSION_MAX_ENTROPY];
    size_t entropy_len;
    bool frozen; /* the root is frozen: writing to it would block for ever */
    bool cloned; /* the machine was saved since stand_still and this is what became of it: to be applied before others run */
    uint64_t notices; /* cloned: what stand_still returned */
    bool keep_mounts; /* cloned: the host will go on with what is mounted from it */
};

/* CLOCK_BOOTTIME at the end of each phase of the boot, in microseconds. */
struct boot_times {
    uint64_t init, modules, root, ports;
};

struct session_ops {
    /* Applies the configuration as far as that works. */
    void (*configure)(void *data, const struct session_config *config);
    /* From now on nothing is sent on other ports and no other process runs. Tells how many cache notices have been sent. 0, or
     * -errno when others may run all the same. In any case ended by go_on, or by a configuration that has `cloned` set. */
    int (*stand_still)(void *data, uint64_t *notices);
    void (*go_on)(void *data);
    /* Nanoseconds since 1970. */
    void (*set_clock)(void *data, uint64_t realtime_ns);
    /* Freezes or thaws. Called in a thread of its own. Returns 0 or -errno. */
    int (*freeze)(void *data, bool frozen);
    void (*shutdown)(void *data, uint64_t grace_ms);
    /* What is to be mounted from the host (CTL_MOUNTS); `request` is borrowed. Answered later with session_answer_mounts.
     * 0, or -errno with *err set. */
    int (*mounts)(void *data, struct json_object *request, struct err *err);
    /* The host broke the protocol, or the port failed: nothing more is read. */
    void (*broken)(void *data, const struct err *err);
};

struct session;

/* Takes ownership of fd and sends HELLO. ops, data and accounts are borrowed. NULL with errno on failure (fd is closed
 * then). */
struct session *session_new(struct loop *loop, int fd, const struct account_files *accounts, bool root_writable,
                            const struct boot_times *times, const struct session_ops *ops, void *data);
void session_free(struct session *session);

/* Whether the host may trust notices about changed files (told in READY; false at first). */
void session_set_notices(struct session *session, bool sent);

struct jobs *session_jobs(struct session *session);

/* A line for the host's log, cut at 1024 bytes; dropped while more than 64 KiB wait to be sent. */
void session_log(struct session *session, const char *line);

/* `answer` is handed over. */
void session_answer_mounts(struct session *session, struct json_object *answer);

void session_goodbye(struct session *session);

/* Bytes on their way to the host. */
size_t session_queued(const struct session *session);

#endif
