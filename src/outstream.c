/* SPDX-License-Identifier: Apache-2.0 */
#include "src/outstream.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "src/proto.h"
#include "src/readers.h"

enum {
    KEEP_IN_MEMORY = CTL_STREAM_WINDOW,
    MAX_READ = 128 * 1024,
    CREDIT_STEP = CTL_STREAM_WINDOW / 4, /* credit is given back in such pieces: a frame for each byte read would do harm */
};
#define KEEP_AT_MOST (UINT64_C(1) << 30) /* then the job waits, like one whose output nobody reads */

struct outstream {
    bool keep, ended;
    const char *spool_dir;
    void (*credit)(void *data, uint32_t n);
    void *data;
    uint8_t *ring; /* bytes [start, total) of the stream, each at its number modulo capacity; or in the spool */
    size_t capacity; /* a power of two */
    uint64_t start, total;
    uint64_t credited; /* bytes the guest may have sent in all */
    uint64_t owed;     /* credit to be given back with the next piece */
    int spool_fd;
    struct reader *readers;
};

struct outstream *outstream_new(bool keep, const char *spool_dir, void (*credit)(void *data, uint32_t n), void *data)
{
    struct outstream *s = calloc(1, sizeof *s);
    if (s)
        *s = (struct outstream){.keep = keep, .spool_dir = spool_dir, .credit = credit, .data = data,
                                .credited = CTL_STREAM_WINDOW, .spool_fd = -1};
    return s;
}

void outstream_free(struct outstream *s)
{
    if (!s)
        return;
    while (s->readers) {
        struct reader *r = s->readers;
        s->readers = r->next;
        if (r->parked)
            control_reply_error(r->parked, ESTALE, "the job has been removed");
        control_handle_set_state(r->handle, NULL);
        free(r);
    }
    if (s->spool_fd >= 0)
        close(s->spool_fd);
    free(s->ring);
    free(s);
}

/* An unlinked file where the job's output goes that is too long for memory. */
static int open_spool(const struct outstream *s)
{
    int fd = open(s->spool_dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (fd < 0 && (errno == EOPNOTSUPP || errno == EISDIR || errno == ENOENT))
        fd = memfd_create("gondolin-output", MFD_CLOEXEC);
    return fd;
}

static int spool(struct outstream *s, const uint8_t *bytes, size_t len)
{
    uint64_t at = s->total;
    while (len) {
        ssize_t n = pwrite(s->spool_fd, bytes, len, (off_t)at);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        bytes += n;
        len -= (size_t)n;
        at += (uint64_t)n;
    }
    return 0;
}

static int move_to_spool(struct outstream *s)
{
    s->spool_fd = open_spool(s);
    if (s->spool_fd < 0)
        return -errno;
    uint64_t total = s->total;
    s->total = 0;
    int rc = spool(s, s->ring, (size_t)total); /* a kept stream begins at 0 and has not gone round */
    s->total = total;
    free(s->ring);
    s->ring = NULL;
    s->capacity = 0;
    return rc;
}

static void copy_out(const struct outstream *s, uint64_t from, uint8_t *out, size_t len)
{
    size_t at = (size_t)from & (s->capacity - 1);
    size_t first = s->capacity - at < len ? s->capacity - at : len;
    memcpy(out, s->ring + at, first);
    memcpy(out + first, s->ring, len - first);
}

static int make_room(struct outstream *s, size_t len)
{
    size_t held = (size_t)(s->total - s->start), capacity = s->capacity ? s->capacity : 4096;
    while (capacity < held + len)
        capacity *= 2;
    if (capacity == s->capacity)
        return 0;
    struct outstream bigger = {.capacity = capacity, .ring = malloc(capacity)};
    if (!bigger.ring)
        return -ENOMEM;
    for (uint64_t at = s->start; at < s->total;) {
        size_t to = (size_t)at & (capacity - 1);
        size_t piece = capacity - to < s->total - at ? capacity - to : (size_t)(s->total - at);
        copy_out(s, at, bigger.ring + to, piece);
        at += piece;
    }
    free(s->ring);
    s->ring = bigger.ring;
    s->capacity = capacity;
    return 0;
}

static int store_in_memory(struct outstream *s, const uint8_t *bytes, size_t len)
{
    int rc = make_room(s, len);
    if (rc < 0)
        return rc;
    size_t at = (size_t)s->total & (s->capacity - 1);
    size_t first = s->capacity - at < len ? s->capacity - at : len;
    memcpy(s->ring + at, bytes, first);
    memcpy(s->ring, bytes + first, len - first);
    return 0;
}

static void give_credit(struct outstream *s, size_t len)
{
    s->owed += len;
    if (s->owed < CREDIT_STEP || (s->keep && s->credited + s->owed > KEEP_AT_MOST))
        return;
    s->credited += s->owed;
    s->credit(s->data, (uint32_t)s->owed);
    s->owed = 0;
}

static uint64_t available(const struct outstream *s, const struct reader *r)
{
    uint64_t from = s->keep ? r->position : s->start;
    return s->total - from;
}

int64_t outstream_copy(struct outstream *s, uint64_t offset, void *out, size_t size)
{
    if (offset >= s->total)
        return 0;
    if (s->total - offset < size)
        size = (size_t)(s->total - offset);
    if (s->spool_fd >= 0) {
        ssize_t n = pread(s->spool_fd, out, size, (off_t)offset);
        return n < 0 ? -errno : n;
    }
    copy_out(s, offset, out, size);
    return (int64_t)size;
}

static void consume(struct outstream *s, size_t len)
{
    s->start += len;
    give_credit(s, len);
}

/* Answers a read when there is something to answer; false: it has to wait. */
static bool serve(void *data, struct reader *r, size_t size, struct control_request *request)
{
    struct outstream *s = data;
    uint64_t have = available(s, r);
    if (!have && !s->ended)
        return false;
    uint8_t *copy = NULL;
    size_t len = have < size ? (size_t)have : size;
    if (len > MAX_READ)
        len = MAX_READ;
    int64_t n = 0;
    if (len) {
        copy = malloc(len);
        n = copy ? outstream_copy(s, s->keep ? r->position : s->start, copy, len) : -ENOMEM;
    }
    if (n < 0) {
        control_reply_error(request, (int)-n, "output: %s", strerror((int)-n));
    } else {
        r->position += (uint64_t)n;
        control_reply_data(request, copy, (size_t)n);
        if (!s->keep && n)
            consume(s, (size_t)n);
    }
    free(copy);
    return true;
}

int outstream_append(struct outstream *s, const uint8_t *bytes, size_t len)
{
    if (s->ended || len > s->credited - s->total)
        return -EPROTO;
    int rc = 0;
    if (s->keep && s->spool_fd < 0 && s->total + len > KEEP_IN_MEMORY)
        rc = move_to_spool(s);
    if (!rc)
        rc = s->spool_fd >= 0 ? spool(s, bytes, len) : store_in_memory(s, bytes, len);
    if (rc < 0)
        return rc;
    s->total += len;
    if (s->keep)
        give_credit(s, len);
    readers_wake(s->readers, serve, s);
    return 0;
}

void outstream_end(struct outstream *s)
{
    if (s->ended)
        return;
    s->ended = true;
    readers_wake(s->readers, serve, s);
}

bool outstream_ended(const struct outstream *s)
{
    return s->ended;
}

uint64_t outstream_total(const struct outstream *s)
{
    return s->total;
}

int outstream_open(struct outstream *s, struct control_handle *handle)
{
    if (!s->keep && s->readers)
        return EBUSY;
    return readers_add(&s->readers, sizeof(struct reader), handle) ? 0 : ENOMEM;
}

void outstream_release(struct outstream *s, struct control_handle *handle)
{
    struct reader *r = readers_remove(&s->readers, handle);
    if (r && r->parked)
        control_reply_error(r->parked, EBADF, "closed");
    free(r);
}

void outstream_read(struct outstream *s, struct control_handle *handle, size_t size, struct control_request *request)
{
    struct reader *r = control_handle_state(handle);
    if (!r)
        control_reply_error(request, ESTALE, "the job has been removed");
    else if (!serve(s, r, size, request))
        reader_park(r, size, request, "nothing to read yet");
}

unsigned outstream_poll(struct outstream *s, struct control_handle *handle)
{
    struct reader *r = control_handle_state(handle);
    if (!r)
        return POLLERR;
    unsigned ready = 0;
    if (available(s, r))
        ready |= POLLIN;
    if (s->ended)
        ready |= POLLIN | POLLHUP;
    return ready;
}

void outstream_record(const struct outstream *s, struct outstream_record *record, FILE *output)
{
    *record = (struct outstream_record){.total = s->total, .promised = s->credited - s->total, .owed = s->owed,
                                        .ended = s->ended};
    if (s->spool_fd >= 0)
        return;
    record->held_len = (size_t)(s->total - s->start);
    char piece[4096];
    for (uint64_t at = s->start; at < s->total;) {
        size_t len = s->total - at < sizeof piece ? (size_t)(s->total - at) : sizeof piece;
        copy_out(s, at, (uint8_t *)piece, len);
        fwrite(piece, 1, len, output);
        at += len;
    }
}

/* A kept stream still has what it had then. */
static bool can_rewind(const struct outstream *s, const struct outstream_record *record)
{
    return s->keep && record->total <= s->total;
}

static int refill(struct outstream *s, const struct outstream_record *record)
{
    if (s->spool_fd >= 0)
        close(s->spool_fd);
    s->spool_fd = -1;
    s->start = s->total = 0;
    int rc = record->held_len ? store_in_memory(s, (const uint8_t *)record->held, record->held_len) : 0;
    if (rc == 0)
        s->total = record->held_len;
    return rc;
}

int outstream_restore(struct outstream *s, const struct outstream_record *record)
{
    int rc = 0;
    if (can_rewind(s, record))
        s->total = record->total;
    else
        rc = refill(s, record);
    s->credited = s->total + record->promised;
    s->owed = record->owed;
    s->ended = record->ended;
    for (struct reader *r = s->readers; r; r = r->next)
        r->position = r->position < s->total ? r->position : s->total;
    readers_wake(s->readers, serve, s);
    return rc;
}
