/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

#include "fs/wire.h"

enum { HEADER = sizeof(struct fuse_out_header), BODY = 1024 };

static uint8_t reply[HEADER + BODY + 8]; /* each test runs in a process of its own */

static void set_header(uint32_t len, int32_t error)
{
    struct fuse_out_header header = {.len = len, .error = error, .unique = 2};
    memcpy(reply, &header, sizeof header);
}

/* The verdict on a truthful reply with a body of zeros. */
static int check(uint32_t opcode, uint32_t limit, size_t body, int32_t error)
{
    set_header((uint32_t)(HEADER + body), error);
    return wire_reply_check(wire_op_find(opcode), limit, reply, HEADER + body);
}

Test(wire_reply, bodies_have_exactly_their_size)
{
    static const struct {
        uint32_t opcode;
        size_t size;
    } rows[] = {
        {FUSE_LOOKUP, 128},  {FUSE_GETATTR, 104}, {FUSE_SETATTR, 104}, {FUSE_SYMLINK, 128}, {FUSE_MKNOD, 128},
        {FUSE_MKDIR, 128},   {FUSE_UNLINK, 0},    {FUSE_RMDIR, 0},     {FUSE_RENAME, 0},    {FUSE_LINK, 128},
        {FUSE_OPEN, 16},     {FUSE_WRITE, 8},     {FUSE_STATFS, 80},   {FUSE_RELEASE, 0},   {FUSE_FSYNC, 0},
        {FUSE_SETXATTR, 0},  {FUSE_FLUSH, 0},     {FUSE_INIT, 64},     {FUSE_OPENDIR, 16},  {FUSE_RELEASEDIR, 0},
        {FUSE_FSYNCDIR, 0},  {FUSE_CREATE, 144},  {FUSE_DESTROY, 0},   {FUSE_POLL, 8},      {FUSE_FALLOCATE, 0},
        {FUSE_RENAME2, 0},   {FUSE_LSEEK, 8},     {FUSE_COPY_FILE_RANGE, 8},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        cr_expect_eq(check(rows[i].opcode, 0, rows[i].size, 0), 0, "%s", wire_op_name(rows[i].opcode));
        cr_expect_eq(check(rows[i].opcode, 0, rows[i].size + 1, 0), -EPROTO, "%s", wire_op_name(rows[i].opcode));
        if (rows[i].size > 0)
            cr_expect_eq(check(rows[i].opcode, 0, rows[i].size - 1, 0), -EPROTO, "%s", wire_op_name(rows[i].opcode));
        cr_expect_eq(check(rows[i].opcode, 0, 0, -ENOENT), 0);
        cr_expect_eq(check(rows[i].opcode, 0, 8, -ENOENT), -EPROTO, "an error carries no body");
    }
}

Test(wire_reply, payloads_are_at_most_what_was_asked_for)
{
    const uint32_t opcodes[] = {FUSE_READ, FUSE_READDIR, FUSE_READDIRPLUS, FUSE_GETXATTR, FUSE_LISTXATTR};
    for (size_t i = 0; i < sizeof opcodes / sizeof *opcodes; i++) {
        cr_expect_eq(check(opcodes[i], 100, 0, 0), 0);
        cr_expect_eq(check(opcodes[i], 100, 100, 0), 0);
        cr_expect_eq(check(opcodes[i], 100, 101, 0), -EPROTO);
    }
    cr_expect_eq(check(FUSE_GETXATTR, 0, 8, 0), 0);
    cr_expect_eq(check(FUSE_GETXATTR, 0, 0, 0), -EPROTO);
    cr_expect_eq(check(FUSE_READ, 0, 8, 0), -EPROTO);
}

Test(wire_reply, counts_are_at_most_what_was_asked_for)
{
    struct fuse_write_out out = {.size = 101};
    memcpy(reply + HEADER, &out, sizeof out);
    cr_expect_eq(check(FUSE_WRITE, 101, sizeof out, 0), 0);
    cr_expect_eq(check(FUSE_WRITE, 100, sizeof out, 0), -EPROTO);
    cr_expect_eq(check(FUSE_COPY_FILE_RANGE, 100, sizeof out, 0), -EPROTO);
}

Test(wire_reply, open_flags_the_kernel_should_not_see)
{
    struct fuse_open_out out = {.open_flags = FOPEN_KEEP_CACHE};
    memcpy(reply + HEADER, &out, sizeof out);
    cr_expect_eq(check(FUSE_OPEN, 0, sizeof out, 0), 0);
    out.open_flags = 1 << 7; /* passthrough */
    memcpy(reply + HEADER, &out, sizeof out);
    cr_expect_eq(check(FUSE_OPEN, 0, sizeof out, 0), -EPROTO);
    memcpy(reply + HEADER + sizeof(struct fuse_entry_out), &out, sizeof out);
    cr_expect_eq(check(FUSE_CREATE, 0, sizeof(struct fuse_entry_out) + sizeof out, 0), -EPROTO);
}

Test(wire_reply, frames_that_lie)
{
    const struct wire_op *op = wire_op_find(FUSE_UNLINK);
    set_header(HEADER + 1, 0);
    cr_expect_eq(wire_reply_check(op, 0, reply, HEADER), -EPROTO);
    set_header(HEADER - 1, 0);
    cr_expect_eq(wire_reply_check(op, 0, reply, HEADER - 1), -EPROTO);
    cr_expect_eq(wire_reply_check(op, 0, reply, 0), -EPROTO);
    cr_expect_eq(check(FUSE_UNLINK, 0, 0, 1), -EPROTO);
    cr_expect_eq(check(FUSE_UNLINK, 0, 0, -511), 0);
    cr_expect_eq(check(FUSE_UNLINK, 0, 0, -512), -EPROTO);
    cr_expect_eq(check(FUSE_UNLINK, 0, 0, INT32_MIN), -EPROTO);
    cr_expect_eq(check(FUSE_FORGET, 0, 0, 0), -EPROTO, "nobody waits for it");
}

static uint32_t limit_of(uint32_t opcode, const void *args, size_t size)
{
    uint8_t message[sizeof(struct fuse_in_header) + 64] = {0};
    memcpy(message + sizeof(struct fuse_in_header), args, size);
    return wire_reply_limit(wire_op_find(opcode), message, sizeof(struct fuse_in_header) + size);
}

Test(wire_reply, limits_come_from_the_request)
{
    struct fuse_read_in read = {.size = 1000};
    cr_expect_eq(limit_of(FUSE_READ, &read, sizeof read), 1000);
    struct fuse_write_in write = {.size = 1001};
    cr_expect_eq(limit_of(FUSE_WRITE, &write, sizeof write), 1001);
    struct fuse_getxattr_in getxattr = {.size = 1002};
    cr_expect_eq(limit_of(FUSE_GETXATTR, &getxattr, sizeof getxattr), 1002);
    struct fuse_copy_file_range_in copy = {.len = UINT64_MAX};
    cr_expect_eq(limit_of(FUSE_COPY_FILE_RANGE, &copy, sizeof copy), UINT32_MAX);
    cr_expect_eq(limit_of(FUSE_READLINK, "", 0), 4095);
    cr_expect_eq(limit_of(FUSE_READ, "", 0), 0, "a cut-off request asks for nothing");
}

static size_t put_dirent(uint8_t *at, const char *name, uint32_t namelen)
{
    struct fuse_dirent entry = {.ino = 5, .off = 7, .namelen = namelen, .type = 8};
    memcpy(at, &entry, FUSE_NAME_OFFSET);
    memcpy(at + FUSE_NAME_OFFSET, name, strlen(name));
    return FUSE_DIRENT_SIZE(&entry);
}

Test(wire_reply, directory_entries_one_by_one)
{
    uint8_t body[256] = {0};
    struct fuse_dirent entry;
    const char *name;
    size_t at = 0, len = put_dirent(body, "first", 5);
    len += put_dirent(body + len, "..", 2);
    cr_assert_eq(wire_dirent_next(body, len, &at, &entry, &name), 1);
    cr_expect_eq(entry.off, 7);
    cr_expect(entry.namelen == 5 && !memcmp(name, "first", 5));
    cr_assert_eq(wire_dirent_next(body, len, &at, &entry, &name), 1);
    cr_expect(entry.namelen == 2 && !memcmp(name, "..", 2));
    cr_expect_eq(wire_dirent_next(body, len, &at, &entry, &name), 0);
    cr_expect_eq(at, len);
}

Test(wire_reply, directory_entries_of_a_liar)
{
    static const struct {
        const char *name;
        uint32_t namelen;
        size_t cut;
        const char *why;
    } rows[] = {
        {"abc", 3, 1, "padding is missing"},
        {"abc", 3, 20, "the header is missing"},
        {"abc", 200, 0, "name beyond the end"},
        {"abc", UINT32_MAX, 0, "length that wraps"},
        {"abc", UINT32_MAX - 30, 0, "length that wraps when padded"},
        {"", 0, 0, "empty name"},
        {"a/b", 3, 0, "slash"},
        {"ab", 3, 0, "NUL"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        uint8_t body[64] = {0};
        struct fuse_dirent entry;
        const char *name;
        size_t at = 0;
        put_dirent(body, rows[i].name, rows[i].namelen);
        size_t len = 32 - rows[i].cut;
        cr_expect_eq(wire_dirent_next(body, len, &at, &entry, &name), -EPROTO, "%s", rows[i].why);
        cr_expect_eq(at, 0);
    }
}

Test(wire_reply, entries_with_attributes)
{
    uint8_t body[512] = {0};
    struct fuse_entry_out out = {.nodeid = 99}, plus;
    struct fuse_dirent entry;
    const char *name;
    size_t at = 0;
    memcpy(body, &out, sizeof out);
    size_t len = sizeof out + put_dirent(body + sizeof out, "name", 4);
    cr_assert_eq(wire_direntplus_next(body, len, &at, &plus, &entry, &name), 1);
    cr_expect(plus.nodeid == 99 && entry.namelen == 4 && !memcmp(name, "name", 4) && at == len);
    cr_expect_eq(wire_direntplus_next(body, len, &at, &plus, &entry, &name), 0);
    for (size_t cut = 1; cut < len; cut++) {
        at = 0;
        cr_expect_eq(wire_direntplus_next(body, len - cut, &at, &plus, &entry, &name), -EPROTO);
    }
}
