/* SPDX-License-Identifier: Apache-2.0 */
/* The host's side of a control session, for tests: speaks to a guest session in the same process over a socketpair. */
#ifndef GONDOLIN_TESTS_GUESTHOST_H
#define GONDOLIN_TESTS_GUESTHOST_H

#include <json-c/json.h>
#include <stdbool.h>

#include "guest/session.h"
#include "src/channel.h"
#include "src/loop.h"
#include "src/proto.h"

struct hostjob {
    uint32_t id;
    char *out[CTL_STREAMS]; /* what came, NUL-terminated */
    size_t len[CTL_STREAMS];
    bool eof[CTL_STREAMS];
    uint32_t granted; /* credit for stdin that came back */
    int pid;          /* from JOB_STARTED */
    struct json_object *exit;
    bool eof_before_exit;
};

enum { HOSTJOBS_MAX = 1100 };

struct guesthost {
    struct loop *loop;
    struct session *session;
    struct channel *channel;
    struct account_files accounts;
    bool credit; /* give back credit for all that comes (default) */
    bool expired;
    struct hostjob jobs[HOSTJOBS_MAX];
    size_t job_count;
    unsigned counts[64]; /* frames that came, by type */
    char last[CTL_MAX_FRAME + 1]; /* payload of the last frame that was about no job */
    struct session_config configured;
    char hostname[65];
    uint64_t grace_ms;
    bool standing_still;
    int stand_still_result;
    uint64_t realtime_ns; /* of the last set_clock */
    int freeze_result;
    struct err broken;
    int signal_fd;
};

/* Session up, HELLO received, not configured yet. */
struct guesthost *guesthost_new(void);
void guesthost_configure(struct guesthost *host, const char *json);
void guesthost_free(struct guesthost *host);

void guesthost_send(struct guesthost *host, enum ctl_type type, uint16_t flags, uint32_t id, const void *payload,
                    size_t len);
/* Starts a job from JSON. */
struct hostjob *guesthost_start(struct guesthost *host, const char *json);
/* Starts it, closes its stdin, and waits for its exit and the end of its streams. */
struct hostjob *guesthost_run(struct guesthost *host, const char *json);

/* Turns the loop until done(host, argument) or for `ms`; returns whether done. */
bool guesthost_until(struct guesthost *host, bool (*done)(struct guesthost *host, void *argument), void *argument,
                     unsigned ms);
bool guesthost_ended(struct guesthost *host, void *hostjob);
bool guesthost_broken(struct guesthost *host, void *unused);

/* A number of JOB_EXIT, or -1 where there is none. */
int hostjob_number(const struct hostjob *job, const char *name);
const char *hostjob_string(const struct hostjob *job, const char *name);

#endif
