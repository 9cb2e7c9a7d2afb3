/* SPDX-License-Identifier: Apache-2.0 */
#include "src/follow.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

struct reader {
    struct reader *next;
    struct control_handle *handle;
    struct control_request *parked;
    size_t parked_size;
    uint64_t position;
    char note[160]; /* about what it has missed, and how far it has read that */
    size_t note_len, note_at;
    bool in_line; /* the last byte it got was no newline */
};

struct follow {
    size_t capacity;
    bool from_now, ended;
    const char *lost;
    uint64_t total;
    struct reader *readers;
    char ring[];
};

struct follow *follow_new(size_t capacity, bool from_now, const char *lost)
{
    struct follow *f = calloc(1, sizeof *f + capacity);
    if (!f)
        return NULL;
    f->capacity = capacity;
    f->from_now = from_now;
    f->lost = lost;
    return f;
}

static uint64_t oldest(const struct follow *f)
{
    return f->total > f->capacity ? f->total - f->capacity : 0;
}

static void copy_out(const struct follow *f, uint64_t from, char *out, size_t len)
{
    size_t at = (size_t)(from % f->capacity);
    size_t first = f->capacity - at < len ? f->capacity - at : len;
    memcpy(out, f->ring + at, first);
    memcpy(out + first, f->ring, len - first);
}

static char byte_at(const struct follow *f, uint64_t position)
{
    return f->ring[position % f->capacity];
}

/* A reader that was overtaken: forward to the next whole line; returns the bytes it has missed. */
static uint64_t catch_up(const struct follow *f, struct reader *r)
{
    uint64_t before = r->position;
    if (before >= oldest(f))
        return 0;
    r->position = oldest(f);
    while (r->position < f->total && byte_at(f, r->position) != '\n')
        r->position++;
    if (r->position < f->total)
        r->position++;
    return r->position - before;
}

static void note_missed(const struct follow *f, struct reader *r, uint64_t missed)
{
    size_t head = 0;
    if (r->in_line)
        r->note[head++] = '\n';
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
    int n = snprintf(r->note + head, sizeof r->note - head, f->lost, (unsigned long long)missed);
#pragma GCC diagnostic pop
    r->note_len = head + (size_t)n;
    r->note_at = 0;
    r->in_line = false;
}

static void serve_note(struct reader *r, size_t size, struct control_request *request)
{
    const char *from = r->note + r->note_at;
    size_t len = r->note_len - r->note_at < size ? r->note_len - r->note_at : size;
    r->note_at += len;
    control_reply_data(request, from, len);
}

static bool serve(struct follow *f, struct reader *r, size_t size, struct control_request *request)
{
    uint64_t missed = r->note_at == r->note_len ? catch_up(f, r) : 0;
    if (missed)
        note_missed(f, r, missed);
    if (r->note_at < r->note_len) {
        serve_note(r, size, request);
        return true;
    }
    uint64_t have = f->total - r->position;
    if (!have)
        return false;
    size_t len = have < size ? (size_t)have : size;
    char *copy = malloc(len);
    if (!copy) {
        control_reply_error(request, ENOMEM, "out of memory");
        return true;
    }
    copy_out(f, r->position, copy, len);
    r->position += len;
    r->in_line = copy[len - 1] != '\n';
    control_reply_data(request, copy, len);
    free(copy);
    return true;
}

void follow_add(struct follow *f, const void *bytes, size_t len)
{
    const char *from = bytes;
    for (size_t i = 0; i < len;) {
        size_t at = (size_t)((f->total + i) % f->capacity);
        size_t piece = f->capacity - at < len - i ? f->capacity - at : len - i;
        memcpy(f->ring + at, from + i, piece);
        i += piece;
    }
    f->total += len;
    for (struct reader *r = f->readers; r; r = r->next) {
        struct control_request *parked = r->parked;
        if (parked) {
            r->parked = NULL;
            if (!serve(f, r, r->parked_size, parked))
                r->parked = parked;
        }
        control_notify(r->handle);
    }
}

void follow_end(struct follow *f)
{
    f->ended = true;
    for (struct reader *r = f->readers; r; r = r->next) {
        if (r->parked)
            control_reply_data(r->parked, NULL, 0);
        r->parked = NULL;
        control_notify(r->handle);
    }
}

size_t follow_tail(const struct follow *f, char *out, size_t size)
{
    uint64_t kept = f->total - oldest(f);
    size_t len = kept < size ? (size_t)kept : size;
    copy_out(f, f->total - len, out, len);
    return len;
}

void follow_free(struct follow *f)
{
    free(f);
}

int follow_open(struct follow *f, struct control_handle *handle)
{
    if ((control_handle_flags(handle) & O_ACCMODE) == O_WRONLY)
        return 0;
    struct reader *r = calloc(1, sizeof *r);
    if (!r)
        return ENOMEM;
    *r = (struct reader){.next = f->readers, .handle = handle, .position = f->from_now ? f->total : oldest(f)};
    f->readers = r;
    control_handle_set_state(handle, r);
    return 0;
}

void follow_release(struct follow *f, struct control_handle *handle)
{
    for (struct reader **at = &f->readers; *at; at = &(*at)->next) {
        if ((*at)->handle == handle) {
            struct reader *r = *at;
            *at = r->next;
            if (r->parked)
                control_reply_data(r->parked, NULL, 0);
            free(r);
            return;
        }
    }
}

static void interrupted(struct control_request *request, void *data)
{
    struct reader *r = data;
    r->parked = NULL;
    control_reply_error(request, EINTR, "interrupted");
}

void follow_read(struct follow *f, struct control_handle *handle, size_t size, struct control_request *request)
{
    struct reader *r = control_handle_state(handle);
    if (r && serve(f, r, size, request))
        return;
    if (!r || f->ended)
        control_reply_data(request, NULL, 0);
    else if (control_handle_flags(handle) & O_NONBLOCK)
        control_reply_error(request, EAGAIN, "nothing new");
    else if (r->parked)
        control_reply_error(request, EBUSY, "another read of this descriptor is waiting");
    else {
        r->parked = request;
        r->parked_size = size;
        control_request_on_interrupt(request, interrupted, r);
    }
}

unsigned follow_poll(struct follow *f, struct control_handle *handle)
{
    const struct reader *r = control_handle_state(handle);
    bool nothing = r && r->position == f->total && r->note_at == r->note_len;
    if (f->ended)
        return POLLIN | POLLHUP;
    return nothing ? POLLOUT : POLLIN | POLLOUT;
}
