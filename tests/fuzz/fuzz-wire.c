/* SPDX-License-Identifier: Apache-2.0 */
/* wire_decode on any bytes: whatever it accepts must lie within the message and keep the promises of fs/wire.h. The
 * first byte of the input chooses the negotiated size.
 * SOURCES: fs/wire.c fs/wire_reply.c */
#include <stdlib.h>
#include <string.h>

#include "fs/wire.h"
#include "tests/fuzz/fuzz.h"

static void check_names(const struct wire_request *request, const uint8_t *message, size_t len)
{
    for (int i = 0; i < 2; i++) {
        const char *name = request->name[i];
        fuzz_require((request->op->names[i] == WIRE_NAME_NONE) == !name);
        if (!name)
            continue;
        size_t at = (size_t)((const uint8_t *)name - message);
        fuzz_require(at < len && memchr(name, 0, len - at));
        fuzz_require(strlen(name) > 0 && strlen(name) <= WIRE_TARGET_LIMIT);
        if (request->op->names[i] == WIRE_NAME_COMPONENT)
            fuzz_require(!strchr(name, '/') && strcmp(name, ".") && strcmp(name, "..") && strlen(name) <= WIRE_NAME_LIMIT);
    }
}

static uint8_t window[WIRE_WINDOW_PIECES * WIRE_IO_LIMIT];

static void check_payload(const struct wire_request *request, const uint8_t *message, size_t len)
{
    if (request->window) {
        fuzz_require(request->window >= window && request->window + WIRE_IO_LIMIT <= window + sizeof window);
        fuzz_require(request->args.write.size <= WIRE_IO_LIMIT);
    }
    if (request->window && request->op->payload == WIRE_PAYLOAD_WRITE)
        fuzz_require(request->payload == request->window && request->payload_len == request->args.write.size);
    else
        fuzz_require(request->payload >= message && request->payload + request->payload_len == message + len);
    if (request->op->payload != WIRE_PAYLOAD_FORGETS) {
        fuzz_require(request->op->payload != WIRE_PAYLOAD_NONE || request->payload_len == 0);
        return;
    }
    for (uint32_t i = 0; i < request->args.batch_forget.count; i++)
        wire_forget_at(request, i);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1)
        return 0;
    struct wire_limits limits = {.max_write = (data[0] % 32 + 1) * 4096u, .window = data[0] & 32 ? window : NULL};
    size_t len = size - 1;
    uint8_t *message = malloc(len ? len : 1); /* of its own, so that a read beyond it is seen */
    struct wire_request request;
    if (!message)
        return 0;
    memcpy(message, data + 1, len);
    int rc = wire_decode(message, len, &limits, &request);
    fuzz_require(rc <= 0);
    if (rc == 0) {
        fuzz_require(request.header.len == len && request.header.unique != 0);
        check_names(&request, message, len);
        check_payload(&request, message, len);
        wire_reply_limit(request.op, message, len);
    }
    free(message);
    return 0;
}
