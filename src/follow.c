/* SPDX-License-Identifier: Apache-2.0 */
#include "src/follow.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "src/readers.h"
#include "src/textring.h"

struct follower {
    struct reader reader; /* first: a list of these is one of those */
    char note[160]; /* about what it has missed, and how far it has read that */
    size_t note_len, note_at;
    bool in_line; /* the last byte it got was no newline */
};

struct follow {
    struct textring *ring;
    bool ended;
    const char *lost;
    struct reader *readers;
};

struct follow *follow_new(size_t capacity, const char *lost)
{
    struct follow *f = calloc(1, sizeof *f);
    if (!f)
        return NULL;
    *f = (struct follow){.ring = textring_new(capacity), .lost = lost};
    if (!f->ring) {
        free(f);
        return NULL;
    }
    return f;
}

/* A reader that was overtaken: forward to the next whole line; returns the bytes it has missed. */
static uint64_t catch_up(const struct follow *f, struct follower *r)
{
    uint64_t before = r->reader.position;
    if (before >= textring_oldest(f->ring))
        return 0;
    r->reader.position = textring_first_line(f->ring);
    return r->reader.position - before;
}

static void note_missed(const struct follow *f, struct follower *r, uint64_t missed)
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

static void serve_note(struct follower *r, size_t size, struct control_request *request)
{
    const char *from = r->note + r->note_at;
    size_t len = r->note_len - r->note_at < size ? r->note_len - r->note_at : size;
    r->note_at += len;
    control_reply_data(request, from, len);
}

static bool serve(void *data, struct reader *reader, size_t size, struct control_request *request)
{
    struct follow *f = data;
    struct follower *r = (struct follower *)reader;
    uint64_t missed = r->note_at == r->note_len ? catch_up(f, r) : 0;
    if (missed)
        note_missed(f, r, missed);
    if (r->note_at < r->note_len) {
        serve_note(r, size, request);
        return true;
    }
    uint64_t have = textring_total(f->ring) - reader->position;
    if (!have)
        return false;
    size_t len = have < size ? (size_t)have : size;
    char *copy = malloc(len);
    if (!copy) {
        control_reply_error(request, ENOMEM, "out of memory");
        return true;
    }
    textring_copy(f->ring, reader->position, copy, len);
    reader->position += len;
    r->in_line = copy[len - 1] != '\n';
    control_reply_data(request, copy, len);
    free(copy);
    return true;
}

void follow_add(struct follow *f, const void *bytes, size_t len)
{
    textring_add(f->ring, bytes, len);
    readers_wake(f->readers, serve, f);
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

void follow_free(struct follow *f)
{
    if (f)
        textring_free(f->ring);
    free(f);
}

int follow_open(struct follow *f, struct control_handle *handle)
{
    struct reader *r = readers_add(&f->readers, sizeof(struct follower), handle);
    if (!r)
        return ENOMEM;
    r->position = textring_total(f->ring);
    return 0;
}

void follow_release(struct follow *f, struct control_handle *handle)
{
    struct reader *r = readers_remove(&f->readers, handle);
    if (r && r->parked)
        control_reply_data(r->parked, NULL, 0);
    free(r);
}

void follow_read(struct follow *f, struct control_handle *handle, size_t size, struct control_request *request)
{
    struct reader *r = control_handle_state(handle);
    if (r && serve(f, r, size, request))
        return;
    if (!r || f->ended)
        control_reply_data(request, NULL, 0);
    else
        reader_park(r, size, request, "nothing new");
}

unsigned follow_poll(struct follow *f, struct control_handle *handle)
{
    const struct follower *r = control_handle_state(handle);
    bool nothing = r && r->reader.position == textring_total(f->ring) && r->note_at == r->note_len;
    if (f->ended)
        return POLLIN | POLLHUP;
    return nothing ? POLLOUT : POLLIN | POLLOUT;
}
