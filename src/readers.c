/* SPDX-License-Identifier: Apache-2.0 */
#include "src/readers.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>

struct reader *readers_add(struct reader **readers, size_t size, struct control_handle *handle)
{
    struct reader *r = calloc(1, size);
    if (!r)
        return NULL;
    r->handle = handle;
    r->next = *readers;
    *readers = r;
    control_handle_set_state(handle, r);
    return r;
}

struct reader *readers_remove(struct reader **readers, struct control_handle *handle)
{
    for (struct reader **at = readers; *at; at = &(*at)->next) {
        struct reader *r = *at;
        if (r->handle != handle)
            continue;
        *at = r->next;
        return r;
    }
    return NULL;
}

static void interrupted(struct control_request *request, void *data)
{
    struct reader *r = data;
    r->parked = NULL;
    control_reply_error(request, EINTR, "interrupted");
}

void reader_park(struct reader *r, size_t size, struct control_request *request, const char *nothing)
{
    if (control_handle_flags(r->handle) & O_NONBLOCK) {
        control_reply_error(request, EAGAIN, "%s", nothing);
    } else if (r->parked) {
        control_reply_error(request, EBUSY, "another read of this descriptor is waiting");
    } else {
        r->parked = request;
        r->parked_size = size;
        control_request_on_interrupt(request, interrupted, r);
    }
}

void readers_wake(struct reader *readers, reader_serve_fn *serve, void *data)
{
    for (struct reader *r = readers; r; r = r->next) {
        struct control_request *parked = r->parked;
        if (parked) {
            r->parked = NULL;
            if (!serve(data, r, r->parked_size, parked))
                r->parked = parked;
        }
        control_notify(r->handle);
    }
}
