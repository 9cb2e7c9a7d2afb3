/* SPDX-License-Identifier: Apache-2.0 */
/* wire_reply_check and the walk over directory entries, on replies as a hostile guest may send them. The input is an
 * opcode (1 byte), a limit (4 bytes) and the reply frame.
 * SOURCES: fs/wire.c fs/wire_reply.c */
#include <stdlib.h>
#include <string.h>

#include "fs/wire.h"
#include "tests/fuzz/fuzz.h"

static void check_entry(const uint8_t *body, size_t len, size_t before, size_t at, const struct fuse_dirent *entry,
                        const char *name)
{
    fuzz_require(at > before && at <= len && at % 8 == 0);
    fuzz_require((const uint8_t *)name >= body && (const uint8_t *)name + entry->namelen <= body + len);
    fuzz_require(entry->namelen > 0 && entry->namelen <= WIRE_NAME_LIMIT && !memchr(name, '/', entry->namelen));
}

static void walk(const uint8_t *body, size_t len, int plus)
{
    struct fuse_entry_out out;
    struct fuse_dirent entry;
    const char *name;
    for (size_t at = 0, before = 0;; before = at) {
        int rc = plus ? wire_direntplus_next(body, len, &at, &out, &entry, &name)
                      : wire_dirent_next(body, len, &at, &entry, &name);
        fuzz_require(rc == 1 || at == before);
        if (rc <= 0)
            return;
        check_entry(body, len, before, at, &entry, name);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint32_t limit;
    if (size < 5)
        return 0;
    const struct wire_op *op = wire_op_find(data[0]);
    memcpy(&limit, data + 1, sizeof limit);
    size_t len = size - 5;
    uint8_t *reply = malloc(len ? len : 1);
    if (!reply)
        return 0;
    memcpy(reply, data + 5, len);
    if (op && wire_reply_check(op, limit, reply, len) == 0) {
        fuzz_require(len >= sizeof(struct fuse_out_header));
        fuzz_require(!op->entry_offset || len == sizeof(struct fuse_out_header) ||
                     op->entry_offset + sizeof(struct fuse_entry_out) <= len);
    }
    if (len > sizeof(struct fuse_out_header)) {
        walk(reply + sizeof(struct fuse_out_header), len - sizeof(struct fuse_out_header), 0);
        walk(reply + sizeof(struct fuse_out_header), len - sizeof(struct fuse_out_header), 1);
    }
    free(reply);
    return 0;
}
