/* SPDX-License-Identifier: Apache-2.0 */
#include "guest/session.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "config.h"
#include "guest/payload.h"
#include "guest/programs.h"
#include "guest/worker.h"
#include "src/channel.h"
#include "src/proto.h"

enum { LOG_LINE_MAX = 1024, LOG_QUEUE_MAX = 64 * 1024, PING_MAX = 4096, HOSTNAME_LEN_MAX = 64 };

static const uint64_t MAX_GRACE_MS = 3600 * 1000;

struct session {
    struct loop *loop;
    struct channel *channel;
    struct jobs *jobs;
    struct worker *worker;
    bool notices;
    uint64_t notices_sent; /* when it became quiet */
    bool root_writable, configured, frozen, broken, quiet;
    const struct session_ops *ops;
    void *data;
};

static void send_frame(struct session *s, enum ctl_type type, const void *payload, size_t len)
{
    struct ctl_header header;
    ctl_header_init(&header, type, 0, 0, len);
    struct iovec iov[2] = {{&header, sizeof header}, {(void *)(uintptr_t)payload, len}};
    channel_send(s->channel, iov, len > 0 ? 2 : 1);
}

/* Takes over the object. */
static void send_json(struct session *s, enum ctl_type type, struct json_object *object)
{
    size_t len;
    const char *text = json_object_to_json_string_length(object, JSON_C_TO_STRING_PLAIN, &len);
    if (text)
        send_frame(s, type, text, len);
    json_object_put(object);
}

static void add_number(struct json_object *object, const char *name, uint64_t value)
{
    json_object_object_add(object, name, json_object_new_uint64(value));
}

static void add_string(struct json_object *object, const char *name, const char *value)
{
    json_object_object_add(object, name, json_object_new_string(value));
}

static void send_hello(struct session *s, const struct boot_times *times)
{
    struct utsname uts;
    struct json_object *hello = json_object_new_object(), *boot = json_object_new_object();
    uname(&uts);
    add_number(hello, "version", CTL_VERSION);
    add_string(hello, "agent", PACKAGE_VERSION);
    add_string(hello, "arch", uts.machine);
    add_number(boot, "init", times->init);
    add_number(boot, "modules", times->modules);
    add_number(boot, "root", times->root);
    add_number(boot, "ports", times->ports);
    json_object_object_add(hello, "boot_us", boot);
    send_json(s, CTL_HELLO, hello);
}

static void send_ready(struct session *s)
{
    struct utsname uts;
    struct json_object *ready = json_object_new_object();
    uname(&uts);
    add_string(ready, "kernel", uts.release);
    json_object_object_add(ready, "clock", json_object_new_boolean(true)); /* QUIESCE with realtime_ns alone */
    json_object_object_add(ready, "mounts", json_object_new_boolean(true));
    json_object_object_add(ready, "mounts_resume", json_object_new_boolean(true));
    add_number(ready, "max_frame", CTL_MAX_HOST_FRAME);
    add_string(ready, "root", s->root_writable ? "rw" : "ro");
    json_object_object_add(ready, "notices", json_object_new_boolean(s->notices));
    send_json(s, CTL_READY, ready);
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static int read_entropy(const char *hex, struct session_config *config, struct err *err)
{
    size_t len = strlen(hex);
    if (len % 2 || len / 2 > sizeof config->entropy)
        return err_set(err, EINVAL, "entropy: %zu digits; an even number of at most %zu is expected", len,
                       2 * sizeof config->entropy);
    for (size_t i = 0; i < len; i += 2) {
        int high = hex_digit(hex[i]), low = hex_digit(hex[i + 1]);
        if (high < 0 || low < 0)
            return err_set(err, EINVAL, "entropy: not lower-case hex digits");
        config->entropy[i / 2] = (uint8_t)(high << 4 | low);
    }
    config->entropy_len = len / 2;
    return 0;
}

static int check_names(const struct session_config *config, struct err *err)
{
    if (config->hostname && strlen(config->hostname) > HOSTNAME_LEN_MAX)
        return err_set(err, EINVAL, "hostname: longer than %d bytes", HOSTNAME_LEN_MAX);
    if (config->machine_id &&
        (strlen(config->machine_id) != 32 || strspn(config->machine_id, "0123456789abcdef") != 32))
        return err_set(err, EINVAL, "machine_id: not 32 lower-case hex digits");
    return 0;
}

static int read_config(struct json_object *object, struct session_config *config, struct envlist *env, struct err *err)
{
    const char *entropy = NULL;
    uint64_t version = 0;
    int rc = payload_number(object, "version", UINT32_MAX, &version, err);
    if (rc == 0 && version != CTL_VERSION)
        rc = err_set(err, EINVAL, "version: the host speaks %llu, this agent %d; build the image again",
                     (unsigned long long)version, CTL_VERSION);
    if (rc == 0)
        rc = payload_string(object, "hostname", &config->hostname, err);
    if (rc == 0)
        rc = payload_string(object, "machine_id", &config->machine_id, err);
    if (rc == 0)
        rc = payload_number(object, "realtime_ns", INT64_MAX, &config->realtime_ns, err);
    if (rc == 0)
        rc = payload_bool(object, "keep_mounts", &config->keep_mounts, err);
    if (rc == 0)
        rc = payload_string(object, "entropy", &entropy, err);
    if (rc == 0 && entropy)
        rc = read_entropy(entropy, config, err);
    if (rc == 0)
        rc = check_names(config, err);
    if (rc == 0)
        rc = payload_env(object, "env", env, err);
    return rc;
}

static void set_quiet(struct session *s, bool quiet)
{
    s->quiet = quiet;
    channel_alone(s->channel, quiet);
}

static int take_config(struct session *s, const uint8_t *payload, size_t len, struct err *err)
{
    struct json_object *object = payload_parse(payload, len, err);
    struct session_config config = {.frozen = s->frozen, .cloned = s->quiet, .notices = s->notices_sent};
    struct envlist env = {0};
    int rc = object ? read_config(object, &config, &env, err) : -err->code;
    if (rc == 0) {
        set_quiet(s, false);
        if (config.cloned)
            jobs_forget_notices(s->jobs);
        s->ops->configure(s->data, &config);
        jobs_set_env(s->jobs, &env);
        s->configured = true;
        send_ready(s);
    }
    explicit_bzero(config.entropy, sizeof config.entropy);
    envlist_clear(&env);
    json_object_put(object);
    return rc;
}

static void stand_still(struct session *s)
{
    struct json_object *answer = json_object_new_object();
    int rc = s->ops->stand_still(s->data, &s->notices_sent);
    add_number(answer, "notices", s->notices_sent);
    add_number(answer, "errno", (uint64_t)-rc);
    send_json(s, CTL_QUIESCE, answer);
}

static int take_quiesce(struct session *s, const uint8_t *payload, size_t len, struct err *err)
{
    struct json_object *object = payload_parse(payload, len, err);
    bool quiet = false, asked = object && json_object_object_get_ex(object, "quiet", NULL);
    uint64_t realtime_ns = 0;
    int rc = object ? payload_bool(object, "quiet", &quiet, err) : -err->code;
    rc = rc ? rc : payload_number(object, "realtime_ns", INT64_MAX, &realtime_ns, err);
    json_object_put(object);
    if (rc == 0 && asked && quiet == s->quiet)
        rc = err_set(err, EPROTO, "quiesce: it is so already");
    if (rc < 0)
        return rc;
    if (realtime_ns)
        s->ops->set_clock(s->data, realtime_ns);
    if (asked)
        set_quiet(s, quiet);
    if (asked && quiet)
        stand_still(s);
    else if (asked)
        s->ops->go_on(s->data);
    return 0;
}

struct freeze {
    struct session *session;
    bool frozen;
    int result;
};

static void run_freeze(void *data)
{
    struct freeze *f = data;
    f->result = f->session->ops->freeze(f->session->data, f->frozen);
}

static void done_freeze(void *data)
{
    struct freeze *f = data;
    bool unchanged = f->result == -EBUSY || f->result == -EINVAL; /* frozen already; thawed already */
    if (f->result == 0)
        f->session->frozen = f->frozen;
    else if (f->frozen && !unchanged)
        f->session->frozen = false;
    struct json_object *answer = json_object_new_object();
    add_number(answer, "errno", (uint64_t)-f->result);
    send_json(f->session, CTL_FREEZE, answer);
    free(f);
}

static int take_freeze(struct session *s, const uint8_t *payload, size_t len, struct err *err)
{
    struct json_object *object = payload_parse(payload, len, err);
    bool frozen = false;
    int rc = object ? payload_bool(object, "frozen", &frozen, err) : -err->code;
    json_object_put(object);
    if (rc < 0)
        return rc;
    struct freeze *f = malloc(sizeof *f);
    if (!f)
        return err_set(err, ENOMEM, "freeze: out of memory");
    *f = (struct freeze){.session = s, .frozen = frozen};
    /* From the request on, not from its completion: a CONFIG in between must not write either. */
    s->frozen = s->frozen || frozen;
    rc = worker_submit(s->worker, run_freeze, done_freeze, f);
    if (rc < 0) {
        free(f);
        return err_set(err, ENOMEM, "freeze: out of memory");
    }
    return 0;
}

struct listing {
    struct session *session;
    struct programs programs;
};

static void run_listing(void *data)
{
    struct listing *l = data;
    programs_list(PROGRAMS_DEFAULT_PATH, &l->programs);
}

/* Pieces that surely fit a frame: a name has at most 255 bytes, and JSON makes of a byte at most six. */
static void done_listing(void *data)
{
    enum { NAMES_IN_PIECE = CTL_MAX_PAYLOAD / (6 * 256) };
    struct listing *l = data;
    for (size_t i = 0; i < l->programs.count;) {
        struct json_object *piece = json_object_new_array();
        for (size_t n = 0; n < NAMES_IN_PIECE && i < l->programs.count; n++, i++)
            json_object_array_add(piece, json_object_new_string(l->programs.names[i]));
        send_json(l->session, CTL_PROGRAMS, piece);
    }
    send_json(l->session, CTL_PROGRAMS, json_object_new_array());
    programs_clear(&l->programs);
    free(l);
}

static int take_programs(struct session *s, struct err *err)
{
    struct listing *l = calloc(1, sizeof *l);
    if (l)
        l->session = s;
    if (!l || worker_submit(s->worker, run_listing, done_listing, l) < 0) {
        free(l);
        return err_set(err, ENOMEM, "list programs: out of memory");
    }
    return 0;
}

static int take_shutdown(struct session *s, const uint8_t *payload, size_t len, struct err *err)
{
    uint64_t grace_ms = 0;
    struct json_object *object = payload_parse(payload, len, err);
    int rc = object ? payload_number(object, "grace_ms", MAX_GRACE_MS, &grace_ms, err) : -err->code;
    json_object_put(object);
    if (rc == 0)
        s->ops->shutdown(s->data, grace_ms);
    return rc;
}

static int take_mounts(struct session *s, const uint8_t *payload, size_t len, struct err *err)
{
    struct json_object *object = payload_parse(payload, len, err);
    int rc = object ? s->ops->mounts(s->data, object, err) : -err->code;
    json_object_put(object);
    return rc;
}

static int take_ping(struct session *s, const uint8_t *payload, size_t len, struct err *err)
{
    if (len > PING_MAX)
        return err_set(err, EPROTO, "ping: a payload of %zu bytes", len);
    send_frame(s, CTL_PONG, payload, len);
    return 0;
}

static int session_frame(struct session *s, const struct ctl_header *header, const uint8_t *payload, size_t len,
                         struct err *err)
{
    switch (header->type) {
    case CTL_CONFIG:
        return take_config(s, payload, len, err);
    case CTL_PING:
        return take_ping(s, payload, len, err);
    case CTL_PONG:
        return 0;
    case CTL_SHUTDOWN:
        return take_shutdown(s, payload, len, err);
    case CTL_PROGRAMS:
        return take_programs(s, err);
    case CTL_QUIESCE:
        return take_quiesce(s, payload, len, err);
    case CTL_FREEZE:
        return take_freeze(s, payload, len, err);
    case CTL_MOUNTS:
        return take_mounts(s, payload, len, err);
    default:
        return err_set(err, EPROTO, "a type that the host never sends");
    }
}

static bool is_job_frame(uint16_t type)
{
    return type >= CTL_JOB_START && type <= CTL_JOB_CLOSE;
}

static int dispatch(struct session *s, const struct ctl_header *header, const uint8_t *payload, size_t len,
                    struct err *err)
{
    if (is_job_frame(header->type)) {
        if (!s->configured)
            return err_set(err, EPROTO, "frame of type %u: a job before the configuration", header->type);
        return jobs_frame(s->jobs, header, payload, len, err);
    }
    int rc = session_frame(s, header, payload, len, err);
    return rc < 0 ? err_wrap(err, "frame of type %u", header->type) : 0;
}

static void break_off(struct session *s, const struct err *err)
{
    if (s->broken)
        return;
    s->broken = true;
    s->ops->broken(s->data, err);
}

static void message(void *data, uint8_t *msg, size_t len)
{
    struct session *s = data;
    struct ctl_header header;
    struct err err = {0};
    memcpy(&header, msg, sizeof header);
    if (!s->broken && dispatch(s, &header, msg + sizeof header, len - sizeof header, &err) < 0)
        break_off(s, &err);
}

static void writable(void *data)
{
    struct session *s = data;
    jobs_resume(s->jobs);
}

static void closed(void *data, int code)
{
    struct session *s = data;
    struct err err = {0};
    if (code == 0)
        err_set(&err, EPIPE, "control channel: closed by the host");
    else
        err_errno(&err, code, "control channel");
    break_off(s, &err);
}

static const struct channel_ops channel_ops = {.message = message, .writable = writable, .closed = closed};

struct session *session_new(struct loop *loop, int fd, const struct account_files *accounts, bool root_writable,
                            const struct boot_times *times, const struct session_ops *ops, void *data)
{
    struct session *s = calloc(1, sizeof *s);
    if (s) {
        *s = (struct session){.loop = loop, .root_writable = root_writable, .ops = ops, .data = data};
        s->channel = channel_new(loop, fd, sizeof(struct ctl_header), CTL_MAX_HOST_FRAME, 1, &channel_ops, s);
    }
    if (!s || !s->channel) {
        int saved = errno;
        close(fd);
        free(s);
        errno = saved;
        return NULL;
    }
    s->jobs = jobs_new(loop, s->channel, accounts);
    s->worker = s->jobs ? worker_new(loop, 1) : NULL;
    if (!s->worker) {
        int saved = errno;
        session_free(s);
        errno = saved;
        return NULL;
    }
    send_hello(s, times);
    return s;
}

void session_free(struct session *s)
{
    if (!s)
        return;
    worker_free(s->worker);
    jobs_free(s->jobs);
    channel_free(s->channel);
    free(s);
}

void session_set_notices(struct session *s, bool sent)
{
    s->notices = sent;
}

struct jobs *session_jobs(struct session *s)
{
    return s->jobs;
}

void session_log(struct session *s, const char *line)
{
    if (channel_queued(s->channel) <= LOG_QUEUE_MAX)
        send_frame(s, CTL_LOG, line, strnlen(line, LOG_LINE_MAX));
}

void session_answer_mounts(struct session *s, struct json_object *answer)
{
    send_json(s, CTL_MOUNTS, answer);
}

void session_goodbye(struct session *s)
{
    send_frame(s, CTL_GOODBYE, NULL, 0);
}

size_t session_queued(const struct session *s)
{
    return channel_queued(s->channel);
}
