/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "vmm/qmp.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { READ_SIZE = 16 * 1024, NEGOTIATION_ID = 0 };

enum state { GREETING, NEGOTIATING, READY, ENDED };

struct pending {
    struct pending *next;
    int64_t id;
    char *unsent; /* the command's text while it waits for the negotiation to end */
    qmp_reply_fn *reply;
    void *data;
};

struct qmp {
    struct loop *loop;
    struct watch *watch;
    int fd;
    enum state state;
    bool in_callback, free_wanted;
    int64_t last_id;
    struct pending *pending; /* in the order of their ids */
    unsigned pending_count;
    char version[32];
    const struct qmp_ops *ops;
    void *data;

    char *rx; /* the beginning of a line whose end has not arrived */
    size_t rx_len, rx_capacity;
    char *tx; /* what the socket did not take */
    size_t tx_start, tx_len;
};

static void socket_events(void *data, uint32_t events);

struct qmp *qmp_new(struct loop *loop, int fd, const struct qmp_ops *ops, void *data)
{
    int flags = fcntl(fd, F_GETFL);
    if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0)
        return NULL;
    struct qmp *q = calloc(1, sizeof *q);
    if (!q)
        return NULL;
    *q = (struct qmp){.loop = loop, .fd = fd, .ops = ops, .data = data, .last_id = NEGOTIATION_ID};
    q->watch = loop_watch(loop, fd, EPOLLIN, socket_events, q);
    if (!q->watch) {
        int saved = errno;
        free(q);
        errno = saved;
        return NULL;
    }
    return q;
}

static void release(struct qmp *q)
{
    while (q->pending) {
        struct pending *p = q->pending;
        q->pending = p->next;
        free(p->unsent);
        free(p);
    }
    watch_del(q->watch);
    close(q->fd);
    free(q->rx);
    free(q->tx);
    free(q);
}

void qmp_free(struct qmp *q)
{
    if (!q)
        return;
    if (q->in_callback) {
        q->state = ENDED;
        q->free_wanted = true;
        return;
    }
    release(q);
}

static struct pending *take_pending(struct qmp *q, int64_t id)
{
    for (struct pending **at = &q->pending; *at; at = &(*at)->next) {
        if ((*at)->id == id) {
            struct pending *p = *at;
            *at = p->next;
            q->pending_count--;
            return p;
        }
    }
    return NULL;
}

static void answer(struct pending *p, int code, const char *sentence, struct json_object *result)
{
    qmp_reply_fn *reply = p->reply;
    void *data = p->data;
    free(p->unsent);
    free(p);
    if (reply)
        reply(data, code, sentence, result);
}

/* Called inside callbacks only, so that qmp_free by a callee is put off. */
static void end(struct qmp *q, int code, const char *sentence)
{
    if (q->state == ENDED)
        return;
    q->state = ENDED;
    watch_del(q->watch);
    q->watch = NULL;
    while (q->pending && !q->free_wanted)
        answer(take_pending(q, q->pending->id), EPIPE, "the connection to QEMU has ended", NULL);
    if (!q->free_wanted)
        q->ops->closed(q->data, code, sentence);
}

static int keep_unsent(struct qmp *q, const char *text, size_t len)
{
    if (q->tx_start) {
        memmove(q->tx, q->tx + q->tx_start, q->tx_len - q->tx_start);
        q->tx_len -= q->tx_start;
        q->tx_start = 0;
    }
    char *grown = realloc(q->tx, q->tx_len + len);
    if (!grown)
        return -ENOMEM;
    q->tx = grown;
    memcpy(q->tx + q->tx_len, text, len);
    q->tx_len += len;
    watch_events(q->watch, EPOLLIN | EPOLLOUT);
    return 0;
}

static int send_text(struct qmp *q, const char *text)
{
    size_t len = strlen(text);
    ssize_t n = 0;
    if (q->tx_len == q->tx_start) {
        /* A failure is not reported here: the loop sees the same one and ends the connection. */
        n = send(q->fd, text, len, MSG_NOSIGNAL);
        if (n < 0)
            n = 0;
    }
    return (size_t)n < len ? keep_unsent(q, text + n, len - (size_t)n) : 0;
}

static void flush_unsent(struct qmp *q)
{
    ssize_t n = send(q->fd, q->tx + q->tx_start, q->tx_len - q->tx_start, MSG_NOSIGNAL);
    if (n > 0)
        q->tx_start += (size_t)n;
    if (q->tx_start == q->tx_len) {
        q->tx_start = q->tx_len = 0;
        watch_events(q->watch, EPOLLIN);
    }
}

static char *command_text(const char *command, struct json_object *arguments, int64_t id)
{
    struct json_object *message = json_object_new_object();
    json_object_object_add(message, "execute", json_object_new_string(command));
    if (arguments)
        json_object_object_add(message, "arguments", arguments);
    json_object_object_add(message, "id", json_object_new_int64(id));
    char *text;
    if (asprintf(&text, "%s\n", json_object_to_json_string_ext(message, JSON_C_TO_STRING_PLAIN)) < 0)
        text = NULL;
    json_object_put(message);
    return text;
}

static struct pending *add_pending(struct qmp *q, qmp_reply_fn *reply, void *data)
{
    struct pending *p = calloc(1, sizeof *p);
    if (!p)
        return NULL;
    *p = (struct pending){.id = ++q->last_id, .reply = reply, .data = data};
    struct pending **at = &q->pending;
    while (*at)
        at = &(*at)->next;
    *at = p;
    q->pending_count++;
    return p;
}

int qmp_execute(struct qmp *q, const char *command, struct json_object *arguments, qmp_reply_fn *reply, void *data)
{
    int rc = q->state == ENDED ? -EPIPE : q->pending_count >= QMP_MAX_PENDING ? -EBUSY : 0;
    struct pending *p = rc == 0 ? add_pending(q, reply, data) : NULL;
    if (!p) {
        json_object_put(arguments);
        return rc ? rc : -ENOMEM;
    }
    char *text = command_text(command, arguments, p->id);
    if (text && q->state != READY) {
        p->unsent = text;
        return 0;
    }
    rc = text ? send_text(q, text) : -ENOMEM;
    free(text);
    if (rc < 0)
        free(take_pending(q, p->id));
    return rc;
}

static struct json_object *member(struct json_object *object, const char *name, enum json_type type)
{
    struct json_object *value;
    return json_object_object_get_ex(object, name, &value) && json_object_is_type(value, type) ? value : NULL;
}

static void negotiate(struct qmp *q, struct json_object *greeting)
{
    struct json_object *qmp = member(greeting, "QMP", json_type_object);
    struct json_object *version = member(qmp, "version", json_type_object);
    struct json_object *numbers = member(version, "qemu", json_type_object);
    if (!numbers) {
        end(q, EPROTO, "QEMU did not begin with a QMP greeting");
        return;
    }
    snprintf(q->version, sizeof q->version, "%d.%d.%d",
             json_object_get_int(member(numbers, "major", json_type_int)),
             json_object_get_int(member(numbers, "minor", json_type_int)),
             json_object_get_int(member(numbers, "micro", json_type_int)));
    q->state = NEGOTIATING;
    char *text = command_text("qmp_capabilities", NULL, NEGOTIATION_ID);
    if (!text || send_text(q, text) < 0)
        end(q, ENOMEM, "out of memory");
    free(text);
}

static void negotiated(struct qmp *q, bool refused)
{
    if (q->state != NEGOTIATING || refused) {
        end(q, EPROTO, "QEMU refused the QMP negotiation");
        return;
    }
    q->state = READY;
    for (struct pending *p = q->pending; p; p = p->next) {
        if (send_text(q, p->unsent) < 0) {
            end(q, ENOMEM, "out of memory");
            return;
        }
        free(p->unsent);
        p->unsent = NULL;
    }
    if (q->ops->ready)
        q->ops->ready(q->data, q->version);
}

static void handle_reply(struct qmp *q, struct json_object *message, struct json_object *result,
                         struct json_object *error)
{
    struct json_object *id = member(message, "id", json_type_int);
    int64_t number = id ? json_object_get_int64(id) : -1;
    if (number == NEGOTIATION_ID) {
        negotiated(q, error);
        return;
    }
    struct pending *p = q->state == READY ? take_pending(q, number) : NULL;
    if (!p) {
        end(q, EPROTO, "QEMU answered a QMP command that was not given");
    } else if (error) {
        struct json_object *text = member(error, "desc", json_type_string);
        answer(p, EIO, text ? json_object_get_string(text) : "QEMU refused without giving a reason", NULL);
    } else {
        answer(p, 0, "", result);
    }
}

static void handle_message(struct qmp *q, struct json_object *message)
{
    struct json_object *event = member(message, "event", json_type_string);
    struct json_object *error = member(message, "error", json_type_object);
    struct json_object *result = NULL;
    if (q->state == GREETING) {
        negotiate(q, message);
    } else if (event) {
        q->ops->event(q->data, json_object_get_string(event), member(message, "data", json_type_object));
    } else if (error || json_object_object_get_ex(message, "return", &result)) {
        handle_reply(q, message, result, error);
    } else {
        end(q, EPROTO, "QEMU sent a line that is neither an answer nor an event");
    }
}

static void handle_line(struct qmp *q, const char *line, size_t len)
{
    struct json_tokener *tokener = json_tokener_new_ex(QMP_MAX_DEPTH);
    struct json_object *message = tokener ? json_tokener_parse_ex(tokener, line, (int)len) : NULL;
    size_t used = tokener ? json_tokener_get_parse_end(tokener) : 0;
    while (used < len && (line[used] == '\r' || line[used] == ' '))
        used++;
    if (json_object_is_type(message, json_type_object) && used == len)
        handle_message(q, message);
    else
        end(q, EPROTO, "QEMU sent a line that is not a JSON object");
    json_object_put(message);
    json_tokener_free(tokener);
}

/* Handles the whole lines in rx and keeps the rest. */
static void handle_lines(struct qmp *q)
{
    size_t start = 0;
    char *newline;
    while (q->state != ENDED && (newline = memchr(q->rx + start, '\n', q->rx_len - start))) {
        size_t len = (size_t)(newline - q->rx) - start;
        handle_line(q, q->rx + start, len);
        start += len + 1;
    }
    memmove(q->rx, q->rx + start, q->rx_len - start);
    q->rx_len -= start;
    if (q->rx_len > QMP_MAX_LINE)
        end(q, EPROTO, "QEMU sent a line that is longer than 1 MiB");
}

/* False when there is nothing more to be read now. */
static bool receive(struct qmp *q)
{
    if (q->rx_capacity - q->rx_len < READ_SIZE) {
        size_t capacity = q->rx_len ? 2 * q->rx_len + READ_SIZE : READ_SIZE;
        char *grown = realloc(q->rx, capacity);
        if (!grown) {
            end(q, ENOMEM, "out of memory");
            return false;
        }
        q->rx = grown;
        q->rx_capacity = capacity;
    }
    ssize_t n = recv(q->fd, q->rx + q->rx_len, READ_SIZE, 0);
    if (n > 0) {
        q->rx_len += (size_t)n;
        handle_lines(q);
        return q->state != ENDED;
    }
    if (n < 0 && errno == EINTR)
        return true;
    if (n == 0)
        end(q, 0, "QEMU closed its QMP connection");
    else if (errno != EAGAIN)
        end(q, errno, strerror(errno));
    return false;
}

static void leave_callback(struct qmp *q)
{
    q->in_callback = false;
    if (q->free_wanted)
        release(q);
}

static void socket_events(void *data, uint32_t events)
{
    struct qmp *q = data;
    q->in_callback = true;
    if ((events & EPOLLOUT) && q->tx_len > q->tx_start)
        flush_unsent(q);
    if (events & ~(uint32_t)EPOLLOUT)
        receive(q);
    leave_callback(q);
}

void qmp_drain(struct qmp *q)
{
    if (q->state == ENDED || q->in_callback)
        return;
    q->in_callback = true;
    while (receive(q)) {
    }
    leave_callback(q);
}
