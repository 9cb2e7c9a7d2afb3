/* SPDX-License-Identifier: Apache-2.0 */
#include "src/agent_link.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include "src/channel.h"
#include "src/printable.h"

enum { JSON_DEPTH = 8, ENTROPY_BYTES = 32, LOG_LINE_MAX = 1024, PING_MAX = 4096, GO_ON_MAX = 80 };

struct agent_link {
    struct channel *channel;
    const struct agent_link_ops *ops;
    void *data;
    bool greeted, ready, closed;
    bool quiet;       /* the guest has been asked to be, and nothing is sent */
    unsigned answers; /* to such requests that are still to come */
    unsigned freezes; /* the same for CTL_FREEZE */
    bool resumed;
    size_t max_frame; /* that the guest takes */
};

/* Since 1970. */
static int64_t realtime_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return now.tv_sec * INT64_C(1000000000) + now.tv_nsec;
}

static struct json_object *parse(const uint8_t *payload, size_t len, json_type type)
{
    struct json_tokener *tokener = json_tokener_new_ex(JSON_DEPTH);
    if (!tokener)
        return NULL;
    json_tokener_set_flags(tokener, JSON_TOKENER_STRICT);
    struct json_object *object = json_tokener_parse_ex(tokener, (const char *)payload, (int)len);
    bool whole = json_tokener_get_error(tokener) == json_tokener_success &&
                 json_tokener_get_parse_end(tokener) == len && json_object_is_type(object, type);
    json_tokener_free(tokener);
    if (!whole) {
        json_object_put(object);
        return NULL;
    }
    return object;
}

struct json_object *agent_link_parse(const uint8_t *payload, size_t len)
{
    return parse(payload, len, json_type_object);
}

struct json_object *agent_link_parse_array(const uint8_t *payload, size_t len)
{
    return parse(payload, len, json_type_array);
}

static void close_link(struct agent_link *link, const char *why)
{
    if (link->closed)
        return;
    link->closed = true;
    link->ready = false;
    link->ops->closed(link->data, why);
}

bool agent_link_send(struct agent_link *link, enum ctl_type type, uint16_t flags, uint32_t id, const void *payload,
                     size_t len)
{
    if (link->closed || len > link->max_frame - sizeof(struct ctl_header))
        return false;
    struct ctl_header header;
    ctl_header_init(&header, type, flags, id, len);
    struct iovec iov[2] = {{&header, sizeof header}, {(void *)(uintptr_t)payload, len}};
    return channel_send(link->channel, iov, len ? 2 : 1) == 0;
}

bool agent_link_send_json(struct agent_link *link, enum ctl_type type, uint32_t id, struct json_object *object)
{
    size_t len;
    const char *text = json_object_to_json_string_length(object, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE,
                                                         &len);
    bool ok = text && agent_link_send(link, type, 0, id, text, len);
    json_object_put(object);
    return ok;
}

static void add_entropy(struct json_object *config)
{
    uint8_t bytes[ENTROPY_BYTES];
    char hex[2 * ENTROPY_BYTES + 1];
    if (getrandom(bytes, sizeof bytes, 0) != (ssize_t)sizeof bytes)
        return;
    for (size_t i = 0; i < sizeof bytes; i++)
        snprintf(hex + 2 * i, 3, "%02x", bytes[i]);
    json_object_object_add(config, "entropy", json_object_new_string(hex));
}

/* `hello`: NULL for a guest that goes on from a saved state. */
static void configure(struct agent_link *link, struct json_object *hello)
{
    link->greeted = true;
    struct json_object *config = json_object_new_object();
    json_object_object_add(config, "version", json_object_new_int(CTL_VERSION));
    json_object_object_add(config, "realtime_ns", json_object_new_int64(realtime_ns()));
    add_entropy(config);
    link->ops->hello(link->data, hello, config);
    agent_link_send_json(link, CTL_CONFIG, 0, config);
}

static void handle_hello(struct agent_link *link, const uint8_t *payload, size_t len)
{
    struct json_object *hello = agent_link_parse(payload, len), *version;
    if (link->greeted || !hello || !json_object_object_get_ex(hello, "version", &version) ||
        !json_object_is_type(version, json_type_int)) {
        close_link(link, "the guest agent sent a malformed greeting");
    } else if (json_object_get_int(version) != CTL_VERSION) {
        char why[128];
        snprintf(why, sizeof why, "the guest agent speaks protocol %d, this gondolin speaks %d; build the image again with gondolin build",
                 json_object_get_int(version), CTL_VERSION);
        close_link(link, why);
    } else {
        configure(link, hello);
    }
    json_object_put(hello);
}

void agent_link_quiesce(struct agent_link *link)
{
    struct json_object *request = json_object_new_object();
    json_object_object_add(request, "quiet", json_object_new_boolean(true));
    if (link->quiet || !agent_link_send_json(link, CTL_QUIESCE, 0, request))
        return;
    link->quiet = true;
    link->answers++;
    channel_hold(link->channel);
}

/* With the time: the guest's clock stood still, too. */
void agent_link_go_on(struct agent_link *link)
{
    struct ctl_header header;
    uint8_t frame[sizeof header + GO_ON_MAX];
    if (!link->quiet || link->closed)
        return;
    link->quiet = false;
    int len = snprintf((char *)frame + sizeof header, GO_ON_MAX, "{\"quiet\":false,\"realtime_ns\":%" PRId64 "}", realtime_ns());
    ctl_header_init(&header, CTL_QUIESCE, 0, 0, (size_t)len);
    memcpy(frame, &header, sizeof header);
    channel_release(link->channel, frame, sizeof header + (size_t)len);
}

void agent_link_freeze(struct agent_link *link, bool frozen)
{
    struct json_object *request = json_object_new_object();
    json_object_object_add(request, "frozen", json_object_new_boolean(frozen));
    if (agent_link_send_json(link, CTL_FREEZE, 0, request))
        link->freezes++;
}

bool agent_link_freezing(const struct agent_link *link)
{
    return link->freezes > 0;
}

/* The clock that CONFIG has set is behind by as long as the monitor took to load the machine. */
static void set_clock(struct agent_link *link)
{
    struct json_object *request = json_object_new_object();
    json_object_object_add(request, "realtime_ns", json_object_new_int64(realtime_ns()));
    agent_link_send_json(link, CTL_QUIESCE, 0, request);
}

/* 0 where there is none. */
static int read_errno(struct json_object *answer)
{
    struct json_object *code;
    return json_object_object_get_ex(answer, "errno", &code) && json_object_is_type(code, json_type_int)
               ? json_object_get_int(code) & 0xfff
               : 0;
}

/* One that comes after agent_link_go_on is of no interest any more. */
static int handle_quiet(struct agent_link *link, const uint8_t *payload, size_t len)
{
    struct json_object *answer = agent_link_parse(payload, len), *notices;
    bool good = link->answers && answer && json_object_object_get_ex(answer, "notices", &notices) &&
                json_object_is_type(notices, json_type_int);
    uint64_t count = good ? json_object_get_uint64(notices) : 0;
    int failed = good ? read_errno(answer) : 0;
    json_object_put(answer);
    if (!good)
        return -EPROTO;
    if (--link->answers == 0 && link->quiet)
        link->ops->quiet(link->data, count, failed);
    return 0;
}

static int handle_frozen(struct agent_link *link, const uint8_t *payload, size_t len)
{
    struct json_object *answer = agent_link_parse(payload, len);
    int number = answer ? read_errno(answer) : 0;
    bool good = answer != NULL;
    json_object_put(answer);
    /* A machine that was saved may still answer what it was asked before. */
    if (good && link->freezes > 0 && --link->freezes == 0)
        link->ops->frozen(link->data, number);
    return good ? 0 : -EPROTO;
}

static void handle_log(struct agent_link *link, const uint8_t *payload, size_t len)
{
    char line[LOG_LINE_MAX + 1];
    printable_copy(line, sizeof line, payload, len);
    link->ops->log_line(link->data, line);
}

/* A guest that asks and does not read the answers gets no more of them. */
static int handle_ping(struct agent_link *link, uint32_t id, const uint8_t *payload, size_t len)
{
    if (len > PING_MAX)
        return -EPROTO;
    if (channel_queued(link->channel) <= CHANNEL_LOW_WATER)
        agent_link_send(link, CTL_PONG, 0, id, payload, len);
    return 0;
}

/* Agents of before take CTL_MAX_FRAME, and do not say so. */
static size_t read_max_frame(struct json_object *ready)
{
    struct json_object *number;
    if (!json_object_object_get_ex(ready, "max_frame", &number) || !json_object_is_type(number, json_type_int))
        return CTL_MAX_FRAME;
    int64_t most = json_object_get_int64(number);
    return most < CTL_MAX_FRAME ? CTL_MAX_FRAME : most > CTL_MAX_HOST_FRAME ? CTL_MAX_HOST_FRAME : (size_t)most;
}

static void handle_ready(struct agent_link *link, const uint8_t *payload, size_t len)
{
    if (link->ready)
        return;
    link->ready = true;
    struct json_object *object = agent_link_parse(payload, len), *clock;
    if (link->resumed && object && json_object_object_get_ex(object, "clock", &clock) && json_object_get_boolean(clock))
        set_clock(link);
    link->max_frame = read_max_frame(object);
    link->ops->ready(link->data, object);
    json_object_put(object);
}

static int handle_notices(struct agent_link *link, const uint8_t *payload, size_t len)
{
    uint64_t count;
    if (len != sizeof count)
        return -EPROTO;
    memcpy(&count, payload, sizeof count);
    link->ops->notices(link->data, count);
    return 0;
}

static int handle_mounts(struct agent_link *link, const uint8_t *payload, size_t len)
{
    struct json_object *object = agent_link_parse(payload, len);
    int rc = link->ops->mounts(link->data, object);
    json_object_put(object);
    return rc;
}

/* 0, or -EPROTO for what no agent sends. */
static int dispatch(struct agent_link *link, const struct ctl_header *header, const uint8_t *payload, size_t len)
{
    switch (header->type) {
    case CTL_HELLO:
        handle_hello(link, payload, len);
        return 0;
    case CTL_READY:
        handle_ready(link, payload, len);
        return 0;
    case CTL_NOTICES:
        return handle_notices(link, payload, len);
    case CTL_MOUNTS:
        return handle_mounts(link, payload, len);
    case CTL_LOG:
        handle_log(link, payload, len);
        return 0;
    case CTL_GOODBYE:
        link->ops->goodbye(link->data);
        return 0;
    case CTL_PING:
        return handle_ping(link, header->id, payload, len);
    case CTL_PONG:
        return 0;
    case CTL_QUIESCE:
        return handle_quiet(link, payload, len);
    case CTL_FREEZE:
        return handle_frozen(link, payload, len);
    case CTL_PROGRAMS:
        return link->ops->programs(link->data, payload, len);
    default:
        if (header->type < CTL_JOB_START || header->type > CTL_JOB_CLOSE)
            return -EPROTO;
        return link->ops->job_frame(link->data, header, payload, len);
    }
}

static void handle_frame(void *data, uint8_t *msg, size_t len)
{
    struct agent_link *link = data;
    struct ctl_header header;
    memcpy(&header, msg, sizeof header);
    if (link->closed)
        return;
    if (!link->greeted && header.type != CTL_HELLO) {
        close_link(link, "the guest agent did not greet first");
    } else if (dispatch(link, &header, msg + sizeof header, len - sizeof header) < 0) {
        char why[96];
        snprintf(why, sizeof why, "the guest agent sent an impossible frame (type %u, %zu bytes)", header.type,
                 len - sizeof header);
        close_link(link, why);
    }
}

static void handle_close(void *data, int code)
{
    char why[128];
    if (code == EPROTO)
        snprintf(why, sizeof why, "the guest agent sent a frame of an impossible length");
    else
        snprintf(why, sizeof why, "the connection to the guest agent ended%s%s", code ? ": " : "",
                 code ? strerror(code) : "");
    close_link(data, why);
}

struct agent_link *agent_link_new(struct loop *loop, int fd, bool resumed, const struct agent_link_ops *ops, void *data)
{
    static const struct channel_ops channel_ops = {.message = handle_frame, .closed = handle_close};
    struct agent_link *link = calloc(1, sizeof *link);
    if (!link)
        return NULL;
    link->ops = ops;
    link->data = data;
    link->max_frame = CTL_MAX_FRAME;
    link->channel = channel_new(loop, fd, sizeof(struct ctl_header), CTL_MAX_FRAME, false, &channel_ops, link);
    if (!link->channel) {
        free(link);
        return NULL;
    }
    link->resumed = resumed;
    if (resumed)
        configure(link, NULL);
    return link;
}

void agent_link_free(struct agent_link *link)
{
    if (!link)
        return;
    link->closed = true;
    channel_free(link->channel);
    free(link);
}

void agent_link_pause(struct agent_link *link, bool paused)
{
    channel_pause(link->channel, paused);
}

bool agent_link_ready(const struct agent_link *link)
{
    return link && link->ready;
}
