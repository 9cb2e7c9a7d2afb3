/* SPDX-License-Identifier: Apache-2.0 */
/* The supervisor's end of the port gondolin.ctl: the greeting, liveness, and frames to and from the guest's agent.
 * Everything received is untrusted; an impossible frame ends the link with a reason. */
#ifndef GONDOLIN_SRC_AGENT_LINK_H
#define GONDOLIN_SRC_AGENT_LINK_H

#include <json-c/json.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "src/loop.h"
#include "src/proto.h"

struct agent_link;

struct agent_link_ops {
    /* Fill what CONFIG adds to clock and entropy ("hostname", "env", ...). `hello` is borrowed and has been checked; NULL:
     * the guest goes on from a saved state and does not greet. */
    void (*hello)(void *data, struct json_object *hello, struct json_object *config);
    /* `ready` is borrowed; NULL when the frame carried no JSON object. */
    void (*ready)(void *data, struct json_object *ready);
    /* The guest has sent that many cache notices on gondolin.root: what comes next must not overtake them. */
    void (*notices)(void *data, uint64_t count);
    /* The guest is quiet, see agent_link_quiesce; it has sent that many cache notices. Or it cannot be: an errno value. */
    void (*quiet)(void *data, uint64_t notices, int code);
    /* The answer to the last agent_link_freeze; earlier ones have been answered, too. 0 or an errno value. */
    void (*frozen)(void *data, int code);
    /* A frame about a job (types 16 to 31). 0, or -errno when it is impossible (ends the link). */
    int (*job_frame)(void *data, const struct ctl_header *header, const uint8_t *payload, size_t len);
    /* The answer to CTL_MOUNTS, borrowed; NULL when it was no object. 0, or -errno when it is impossible. */
    int (*mounts)(void *data, struct json_object *answer);
    void (*log_line)(void *data, const char *line);
    void (*goodbye)(void *data);
    /* A piece of the answer to CTL_PROGRAMS. 0, or -errno when it is impossible (ends the link). */
    int (*programs)(void *data, const uint8_t *payload, size_t len);
    /* The link is over: `why` is a sentence. Called once. */
    void (*closed)(void *data, const char *why);
};

/* Takes ownership of fd. `resumed`: the guest was saved while it was quiet, and is told at once who it is now. NULL with
 * errno. */
struct agent_link *agent_link_new(struct loop *loop, int fd, bool resumed, const struct agent_link_ops *ops, void *data);
void agent_link_free(struct agent_link *link);

/* Sends one frame; false when the link has ended or memory is short. */
bool agent_link_send(struct agent_link *link, enum ctl_type type, uint16_t flags, uint32_t id, const void *payload,
                     size_t len);
/* Sends a JSON frame; takes ownership of `object`. False also when the text exceeds a frame. */
bool agent_link_send_json(struct agent_link *link, enum ctl_type type, uint32_t id, struct json_object *object);

/* Has the guest stand still (CTL_QUIESCE), which `quiet` tells; what is sent meanwhile waits for agent_link_go_on. */
void agent_link_quiesce(struct agent_link *link);
void agent_link_go_on(struct agent_link *link);

/* Has the guest freeze or thaw its file systems (CTL_FREEZE). */
void agent_link_freeze(struct agent_link *link, bool frozen);
/* Whether an answer to that is outstanding. */
bool agent_link_freezing(const struct agent_link *link);

/* Stops or resumes taking frames. */
void agent_link_pause(struct agent_link *link, bool paused);

bool agent_link_ready(const struct agent_link *link);

/* Parses a payload as a JSON object: bounded depth, nothing behind it. NULL when it is not one. Owned by the caller. */
struct json_object *agent_link_parse(const uint8_t *payload, size_t len);
/* The same for an array. */
struct json_object *agent_link_parse_array(const uint8_t *payload, size_t len);

#endif
