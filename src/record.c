/* SPDX-License-Identifier: Apache-2.0 */
#include "src/record.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "src/textring.h"

/* Offsets as this reader sees them are places in the text, until it reads into what is no longer kept: there a note is put,
 * and behind it the text goes on where it is kept. */
struct reader {
    struct reader *next;
    struct control_handle *handle;
    uint64_t next_offset;                      /* behind the last read */
    uint64_t seen;                             /* the place of the text up to which it has read */
    uint64_t note_from, behind_note, resume_at; /* offsets of the note; the place behind it. 0, 0, 0: no note */
    char note[160];
    bool in_line; /* the last byte it got was no newline */
};

struct record {
    struct textring *ring;
    const char *lost;
    bool ended;
    struct reader *readers;
};

struct record *record_new(size_t capacity, const char *lost)
{
    struct record *record = calloc(1, sizeof *record);
    if (!record)
        return NULL;
    *record = (struct record){.ring = textring_new(capacity), .lost = lost};
    if (!record->ring) {
        free(record);
        return NULL;
    }
    return record;
}

void record_free(struct record *record)
{
    if (record)
        textring_free(record->ring);
    free(record);
}

static void wake(struct record *record)
{
    for (struct reader *r = record->readers; r; r = r->next)
        control_notify(r->handle);
}

void record_add(struct record *record, const void *bytes, size_t len)
{
    textring_add(record->ring, bytes, len);
    wake(record);
}

void record_end(struct record *record)
{
    record->ended = true;
    wake(record);
}

size_t record_tail(const struct record *record, char *out, size_t size)
{
    uint64_t total = textring_total(record->ring);
    uint64_t kept = total - textring_oldest(record->ring);
    size_t len = kept < size ? (size_t)kept : size;
    textring_copy(record->ring, total - len, out, len);
    return len;
}

off_t record_size(const struct record *record)
{
    return (off_t)textring_total(record->ring);
}

int record_open(struct record *record, struct control_handle *handle)
{
    if ((control_handle_flags(handle) & O_ACCMODE) == O_WRONLY)
        return 0;
    struct reader *r = calloc(1, sizeof *r);
    if (!r)
        return ENOMEM;
    *r = (struct reader){.next = record->readers, .handle = handle};
    record->readers = r;
    control_handle_set_state(handle, r);
    return 0;
}

void record_release(struct record *record, struct control_handle *handle)
{
    for (struct reader **at = &record->readers; *at; at = &(*at)->next) {
        if ((*at)->handle == handle) {
            struct reader *r = *at;
            *at = r->next;
            free(r);
            return;
        }
    }
}

static uint64_t place_of(const struct reader *r, uint64_t offset)
{
    return r->resume_at + (offset - r->behind_note);
}

/* A seek to before the note, or to what can only be meant as a place of the whole text. */
static bool note_is_void(const struct record *record, const struct reader *r, uint64_t offset)
{
    return offset < r->note_from || (offset >= r->behind_note && place_of(r, offset) > textring_total(record->ring));
}

static void make_note(const struct record *record, struct reader *r, uint64_t offset)
{
    size_t head = 0;
    uint64_t from = place_of(r, offset);
    r->seen = r->resume_at = textring_first_line(record->ring);
    if (r->in_line)
        r->note[head++] = '\n';
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
    int n = snprintf(r->note + head, sizeof r->note - head, record->lost, (unsigned long long)(r->resume_at - from));
#pragma GCC diagnostic pop
    r->note_from = offset;
    r->behind_note = offset + head + (size_t)n;
}

static size_t at_most(uint64_t have, size_t size)
{
    return have < size ? (size_t)have : size;
}

static size_t copy_text(const struct record *record, struct reader *r, uint64_t offset, char *out, size_t size)
{
    uint64_t place = place_of(r, offset), total = textring_total(record->ring), oldest = textring_oldest(record->ring);
    if (place >= total) {
        r->seen = total;
        return 0;
    }
    if (place < oldest) {
        /* Someone who goes backwards from the end, as tail does: what has gone is empty lines. */
        size_t len = at_most(oldest - place, size);
        memset(out, '\n', len);
        return len;
    }
    size_t len = at_most(total - place, size);
    textring_copy(record->ring, place, out, len);
    r->seen = place + len;
    return len;
}

static size_t serve(const struct record *record, struct reader *r, uint64_t offset, char *out, size_t size)
{
    if (note_is_void(record, r, offset))
        r->note_from = r->behind_note = r->resume_at = 0;
    bool in_note = offset < r->behind_note;
    bool reads_on = offset == r->next_offset || offset == 0;
    if (!in_note && reads_on && place_of(r, offset) < textring_oldest(record->ring)) {
        make_note(record, r, offset);
        in_note = true;
    }
    size_t len = in_note ? at_most(r->behind_note - offset, size) : copy_text(record, r, offset, out, size);
    if (in_note)
        memcpy(out, r->note + (offset - r->note_from), len);
    if (len)
        r->in_line = out[len - 1] != '\n';
    r->next_offset = offset + len;
    return len;
}

void record_read(struct record *record, struct control_handle *handle, size_t size, off_t offset,
                 struct control_request *request)
{
    struct reader *r = control_handle_state(handle);
    bool also_writes = (control_handle_flags(handle) & O_ACCMODE) == O_RDWR;
    char *out = malloc(size ? size : 1);
    if (!out) {
        control_reply_error(request, ENOMEM, "out of memory");
        return;
    }
    size_t len = r && offset >= 0 ? serve(record, r, also_writes ? r->next_offset : (uint64_t)offset, out, size) : 0;
    control_reply_data(request, out, len);
    free(out);
}

unsigned record_poll(const struct record *record, struct control_handle *handle)
{
    const struct reader *r = control_handle_state(handle);
    unsigned ready = POLLIN | POLLOUT;
    if (r && r->seen < textring_total(record->ring))
        ready |= POLLPRI;
    return record->ended ? ready | POLLHUP : ready;
}
