/* SPDX-License-Identifier: Apache-2.0 */
/* Control files without a kernel: a libfuse session whose messages are made and read here; and, for jobs, a fake guest agent
 * at the other end of a socketpair. */
#ifndef GONDOLIN_TESTS_UNIT_CONTROLBENCH_H
#define GONDOLIN_TESTS_UNIT_CONTROLBENCH_H

#include <json-c/json.h>
#include <stdbool.h>
#include <string.h>
#include <sys/types.h>

#include "fs/control.h"
#include "src/agent_link.h"
#include "src/bin_dir.h"
#include "src/job.h"

enum { CB_REPLIES = 4096, CB_HANDLES = 64, CB_PENDING = 1, CB_READ_MAX = 256 * 1024 };

struct cb_handle {
    uint64_t node, fh;
    unsigned notified; /* poll */
};

struct controlbench {
    struct loop *loop;
    struct control *control;
    struct fuse_session *session;
    uint64_t unique; /* of the last request */
    struct cb_reply {
        uint64_t unique;
        int error;
        size_t len;
        uint8_t *body;
    } replies[CB_REPLIES];
    size_t reply_count;
    struct cb_handle handles[CB_HANDLES];
    int handle_count;

    /* jobs */
    struct jobs *jobs;
    struct bin_dir *bin;
    struct agent_link *link;
    int agent; /* the guest's end, non-blocking */
    bool link_closed, ready, goodbye;
    char why[256], last_log[2048], last_event[512];
    unsigned logs, events;
    uint64_t notices;
    struct ctl_header frame; /* what cb_agent_take returned */
    uint8_t payload[CTL_MAX_HOST_FRAME];
    size_t payload_len;
};

struct controlbench *cb_new(void);
void cb_free(struct controlbench *b);
void cb_turn(struct controlbench *b);
void cb_wait(struct controlbench *b, unsigned ms);

/* Any request; returns its error (0 or negative), or CB_PENDING when it is not answered yet. */
int cb_ask(struct controlbench *b, uint32_t opcode, uint64_t node, const void *body, size_t len);
/* The same for a request made before. */
int cb_result(const struct controlbench *b, uint64_t unique);
const struct cb_reply *cb_reply(const struct controlbench *b, uint64_t unique);

/* 0 when there is no such path. Each component counts one reference. */
uint64_t cb_lookup(struct controlbench *b, const char *path);
/* An index for the functions below, or a negative error. */
int cb_open(struct controlbench *b, const char *path, int flags);
int cb_release(struct controlbench *b, int h);
/* Bytes, a negative error, or CB_PENDING - then cb_took gives the bytes later. `out` gets a terminating NUL. */
ssize_t cb_read(struct controlbench *b, int h, char *out, size_t size);
ssize_t cb_read_at(struct controlbench *b, int h, char *out, size_t size, off_t offset, int flags);
const char *cb_took(const struct controlbench *b, uint64_t unique);
/* 0: all was written; the number of bytes when it was less; a negative error; or CB_PENDING_WRITE. */
ssize_t cb_write(struct controlbench *b, int h, const void *data, size_t len);
ssize_t cb_write_at(struct controlbench *b, int h, const void *data, size_t len, off_t offset, int flags);
#define CB_PENDING_WRITE ((ssize_t)-100000)
/* Opens, writes, closes; and opens, reads all, closes (a static string). */
ssize_t cb_put(struct controlbench *b, const char *path, const char *text);
const char *cb_get(struct controlbench *b, const char *path);
int cb_interrupt(struct controlbench *b, uint64_t unique);
unsigned cb_poll(struct controlbench *b, int h);
int cb_mkdir(struct controlbench *b, const char *dir, const char *name);
int cb_rmdir(struct controlbench *b, const char *dir, const char *name);

/* Jobs with a link to the fake agent, which has greeted and is ready. */
struct controlbench *cb_new_jobs(void);
/* The same, but nothing has been said yet. */
struct controlbench *cb_new_jobs_silent(void);
void cb_agent_send(struct controlbench *b, uint16_t type, uint16_t flags, uint32_t id, const void *payload, size_t len);
void cb_agent_json(struct controlbench *b, uint16_t type, uint32_t id, const char *json);
void cb_agent_bytes(struct controlbench *b, const void *bytes, size_t len);
/* The next frame the agent got: b->frame and b->payload (NUL-terminated); false: none. cb_agent_find skips to a type. */
bool cb_agent_take(struct controlbench *b);
bool cb_agent_find(struct controlbench *b, uint16_t type);
/* Starts jobs/NAME, which has a command; the agent says it runs. Returns its id. */
uint32_t cb_start(struct controlbench *b, const char *name);

#endif
