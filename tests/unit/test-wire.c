/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <string.h>
#include <sys/stat.h>

#include "fs/wire.h"

enum { HEADER = sizeof(struct fuse_in_header), MAX_WRITE = 8192, UNIQUE = 6 };

static struct wire_limits limits = {.max_write = MAX_WRITE};

struct message {
    uint8_t bytes[HEADER + 128 * 1024];
    size_t len;
};

static struct message message; /* each test runs in a process of its own */
static struct wire_request request;

static void put(const void *data, size_t len)
{
    cr_assert_leq(message.len + len, sizeof message.bytes);
    memcpy(message.bytes + message.len, data, len);
    message.len += len;
}

static void begin(uint32_t opcode)
{
    struct fuse_in_header header = {.opcode = opcode, .unique = UNIQUE, .nodeid = 1};
    message.len = 0;
    put(&header, sizeof header);
}

/* The result of decoding the message, whose header says its true length. */
static int decode(void)
{
    uint32_t len = (uint32_t)message.len;
    memcpy(message.bytes, &len, sizeof len);
    return wire_decode(message.bytes, message.len, &limits, &request);
}

/* A message of an argument and something after it. */
static int decode_args(uint32_t opcode, const void *args, size_t size, const void *rest, size_t rest_size)
{
    begin(opcode);
    put(args, size);
    put(rest, rest_size);
    return decode();
}

#define DECODE(opcode, args, rest) decode_args(opcode, &(args), sizeof(args), rest, sizeof(rest) - 1)
#define NOTHING ""

/* One well-formed message of each opcode: an argument of `args` bytes that begins with `first`, then `rest`. */
struct shape {
    uint32_t opcode;
    size_t args;
    const char *first;
    size_t first_len;
    const char *rest;
    size_t rest_len;
};

#define BYTES(text) (text), sizeof(text) - 1

static const struct shape shapes[] = {
    {FUSE_LOOKUP, 0, BYTES(""), BYTES("name\0")},
    {FUSE_FORGET, 8, BYTES(""), BYTES("")},
    {FUSE_GETATTR, 16, BYTES(""), BYTES("")},
    {FUSE_SETATTR, 88, BYTES(""), BYTES("")},
    {FUSE_READLINK, 0, BYTES(""), BYTES("")},
    {FUSE_SYMLINK, 0, BYTES(""), BYTES("name\0../some/where\0")},
    {FUSE_MKNOD, 16, BYTES("\244\201\0\0"), BYTES("name\0")},
    {FUSE_MKDIR, 8, BYTES(""), BYTES("name\0")},
    {FUSE_UNLINK, 0, BYTES(""), BYTES("name\0")},
    {FUSE_RMDIR, 0, BYTES(""), BYTES("name\0")},
    {FUSE_RENAME, 8, BYTES(""), BYTES("name\0other\0")},
    {FUSE_LINK, 8, BYTES(""), BYTES("name\0")},
    {FUSE_OPEN, 8, BYTES(""), BYTES("")},
    {FUSE_READ, 40, BYTES(""), BYTES("")},
    {FUSE_WRITE, 40, BYTES("\0\0\0\0\0\0\0\0" "\0\0\0\0\0\0\0\0" "\3\0\0\0"), BYTES("abc")},
    {FUSE_STATFS, 0, BYTES(""), BYTES("")},
    {FUSE_RELEASE, 24, BYTES(""), BYTES("")},
    {FUSE_FSYNC, 16, BYTES(""), BYTES("")},
    {FUSE_SETXATTR, 8, BYTES("\3\0\0\0"), BYTES("user.a\0abc")},
    {FUSE_GETXATTR, 8, BYTES(""), BYTES("user.a\0")},
    {FUSE_LISTXATTR, 8, BYTES(""), BYTES("")},
    {FUSE_REMOVEXATTR, 0, BYTES(""), BYTES("user.a\0")},
    {FUSE_FLUSH, 24, BYTES(""), BYTES("")},
    {FUSE_INIT, 64, BYTES("\7\0\0\0\46\0\0\0"), BYTES("")},
    {FUSE_OPENDIR, 8, BYTES(""), BYTES("")},
    {FUSE_READDIR, 40, BYTES(""), BYTES("")},
    {FUSE_RELEASEDIR, 24, BYTES(""), BYTES("")},
    {FUSE_FSYNCDIR, 16, BYTES(""), BYTES("")},
    {FUSE_GETLK, 48, BYTES(""), BYTES("")},
    {FUSE_SETLK, 48, BYTES(""), BYTES("")},
    {FUSE_SETLKW, 48, BYTES(""), BYTES("")},
    {FUSE_ACCESS, 8, BYTES(""), BYTES("")},
    {FUSE_CREATE, 16, BYTES(""), BYTES("name\0")},
    {FUSE_INTERRUPT, 8, BYTES(""), BYTES("")},
    {FUSE_DESTROY, 0, BYTES(""), BYTES("")},
    {FUSE_IOCTL, 32, BYTES("\0\0\0\0\0\0\0\0" "\0\0\0\0\0\0\0\0" "\0\0\0\0\0\0\0\0" "\2\0\0\0"), BYTES("ab")},
    {FUSE_POLL, 24, BYTES(""), BYTES("")},
    {FUSE_BATCH_FORGET, 8, BYTES("\2\0\0\0"), BYTES("\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0")},
    {FUSE_FALLOCATE, 32, BYTES("\0\0\0\0\0\0\0\0" "\0\0\0\0\0\0\0\0" "\1"), BYTES("")},
    {FUSE_READDIRPLUS, 40, BYTES(""), BYTES("")},
    {FUSE_RENAME2, 16, BYTES(""), BYTES("name\0other\0")},
    {FUSE_LSEEK, 24, BYTES("\0\0\0\0\0\0\0\0" "\0\0\0\0\0\0\0\0" "\3"), BYTES("")},
    {FUSE_COPY_FILE_RANGE, 56, BYTES(""), BYTES("")},
};

static void build(const struct shape *shape)
{
    uint8_t args[128] = {0};
    memcpy(args, shape->first, shape->first_len);
    begin(shape->opcode);
    put(args, shape->args);
    put(shape->rest, shape->rest_len);
}

#define EACH_SHAPE(shape) (const struct shape *shape = shapes; shape < shapes + sizeof shapes / sizeof *shapes; shape++)

Test(wire, every_opcode_of_the_table_has_a_shape_here)
{
    for (uint32_t opcode = 0; opcode < 5000; opcode++) {
        bool tested = opcode == FUSE_NOTIFY_REPLY;
        for EACH_SHAPE(shape)
            tested |= shape->opcode == opcode;
        cr_expect_eq(tested, wire_op_find(opcode) != NULL, "opcode %u %s", opcode, wire_op_name(opcode));
    }
}

Test(wire, well_formed_messages_pass)
{
    for EACH_SHAPE(shape) {
        build(shape);
        cr_expect_eq(decode(), 0, "%s", wire_op_name(shape->opcode));
        cr_expect_eq(request.op, wire_op_find(shape->opcode));
        cr_expect_eq(request.header.unique, UNIQUE);
    }
}

Test(wire, a_byte_more_or_less_is_refused)
{
    for EACH_SHAPE(shape) {
        build(shape);
        put("", 1);
        cr_expect_eq(decode(), -EINVAL, "longer %s", wire_op_name(shape->opcode));
        build(shape);
        if (message.len > HEADER) {
            message.len--;
            cr_expect_eq(decode(), -EINVAL, "shorter %s", wire_op_name(shape->opcode));
        }
        build(shape);
        message.len = HEADER;
        if (shape->args + shape->rest_len > 0)
            cr_expect_eq(decode(), -EINVAL, "%s without a body", wire_op_name(shape->opcode));
    }
}

Test(wire, extensions_are_refused)
{
    for EACH_SHAPE(shape) {
        uint16_t extension = 1;
        build(shape);
        memcpy(message.bytes + offsetof(struct fuse_in_header, total_extlen), &extension, sizeof extension);
        cr_expect_eq(decode(), -EINVAL, "%s", wire_op_name(shape->opcode));
    }
}

Test(wire, a_lying_header_ends_the_session)
{
    for EACH_SHAPE(shape) {
        uint32_t len = 0;
        build(shape);
        for (int off = -1; off <= 1; off += 2) {
            len = (uint32_t)message.len + (uint32_t)off;
            memcpy(message.bytes, &len, sizeof len);
            cr_expect_eq(wire_decode(message.bytes, message.len, &limits, &request), -EPROTO);
        }
    }
}

Test(wire, short_frames_and_unique_0_end_the_session)
{
    begin(FUSE_READLINK);
    message.len = HEADER - 1;
    cr_expect_eq(decode(), -EPROTO);
    begin(FUSE_READLINK);
    memset(message.bytes + offsetof(struct fuse_in_header, unique), 0, sizeof(uint64_t));
    cr_expect_eq(decode(), -EPROTO);
}

Test(wire, a_frame_beyond_the_negotiated_size_ends_the_session)
{
    static uint8_t data[MAX_WRITE + 1];
    struct fuse_write_in in = {.size = MAX_WRITE};
    cr_expect_eq(decode_args(FUSE_WRITE, &in, sizeof in, data, MAX_WRITE), 0);
    in.size = MAX_WRITE + 1;
    cr_expect_eq(decode_args(FUSE_WRITE, &in, sizeof in, data, MAX_WRITE + 1), -EPROTO);
}

Test(wire, opcodes_without_a_row_are_not_served)
{
    const uint32_t opcodes[] = {0, 7, 19, 37, 48, 49, 50, 51, 52, 53, 1000, 4096, UINT32_MAX, 1048576, 436207616};
    for (size_t i = 0; i < sizeof opcodes / sizeof *opcodes; i++) {
        begin(opcodes[i]);
        cr_expect_eq(decode(), -ENOSYS, "opcode %u", opcodes[i]);
        cr_expect_null(request.op);
        cr_expect_eq(request.header.unique, UNIQUE);
    }
}

static int decode_name(uint32_t opcode, const char *name, size_t len)
{
    begin(opcode);
    put(name, len);
    return decode();
}

Test(wire, names_that_could_leave_the_directory_are_refused)
{
    static const char *const bad[] = {"", ".", "..", "/", "a/b", "../x", "/etc/passwd", "../../../../etc/passwd"};
    const uint32_t opcodes[] = {FUSE_LOOKUP, FUSE_UNLINK, FUSE_RMDIR};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        for (size_t j = 0; j < sizeof opcodes / sizeof *opcodes; j++)
            cr_expect_eq(decode_name(opcodes[j], bad[i], strlen(bad[i]) + 1), -EINVAL, "%s", bad[i]);
        begin(FUSE_MKDIR);
        put((uint8_t[8]){0}, 8);
        put(bad[i], strlen(bad[i]) + 1);
        cr_expect_eq(decode(), -EINVAL, "%s", bad[i]);
    }
    static const char *const good[] = {"...", "..a", ".a", "a ", "\xff\xfe", "\n", "\\"};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        cr_expect_eq(decode_name(FUSE_LOOKUP, good[i], strlen(good[i]) + 1), 0, "%s", good[i]);
        cr_expect_str_eq(request.name[0], good[i]);
    }
}

Test(wire, names_end_with_their_nul)
{
    cr_expect_eq(decode_name(FUSE_LOOKUP, "abc", 3), -EINVAL);
    cr_expect_eq(decode_name(FUSE_LOOKUP, "abc\0", 5), -EINVAL);
    cr_expect_eq(decode_name(FUSE_LOOKUP, "abc\0def", 8), -EINVAL);
    cr_expect_eq(decode_name(FUSE_SYMLINK, "abc", 4), -EINVAL, "one name where two belong");
    cr_expect_eq(decode_name(FUSE_SYMLINK, "abc\0def", 7), -EINVAL);
    cr_expect_eq(decode_name(FUSE_SYMLINK, "abc\0", 5), -EINVAL, "an empty target");
    cr_expect_eq(decode_name(FUSE_SYMLINK, "abc\0/x/../y", 12), 0);
    cr_expect_str_eq(request.name[1], "/x/../y");
}

Test(wire, long_names)
{
    char name[5000];
    memset(name, 'n', sizeof name);
    name[255] = '\0';
    cr_expect_eq(decode_name(FUSE_LOOKUP, name, 256), 0);
    name[255] = 'n';
    name[256] = '\0';
    cr_expect_eq(decode_name(FUSE_LOOKUP, name, 257), -ENAMETOOLONG);
    memset(name, 'n', sizeof name);
    name[1] = name[2 + 4095] = '\0';
    cr_expect_eq(decode_name(FUSE_SYMLINK, name, 2 + 4096), 0);
    name[2 + 4095] = 'n';
    name[2 + 4096] = '\0';
    cr_expect_eq(decode_name(FUSE_SYMLINK, name, 2 + 4097), -ENAMETOOLONG);
}

Test(wire, xattr_names_may_have_slashes_and_values_any_bytes)
{
    struct wire_setxattr_in in = {.size = 4};
    cr_expect_eq(DECODE(FUSE_SETXATTR, in, "user./..\0\0/\0x"), 0);
    cr_expect_str_eq(request.name[0], "user./..");
    cr_expect_eq(request.payload_len, 4);
    cr_expect_arr_eq(request.payload, "\0/\0x", 4);
    in.size = 65536;
    cr_expect_eq(DECODE(FUSE_SETXATTR, in, "user.a\0abcd"), -EINVAL, "the value is shorter than it says");
    in.size = 4, in.flags = 3;
    cr_expect_eq(DECODE(FUSE_SETXATTR, in, "user.a\0abcd"), -EINVAL);
}

Test(wire, forget_counts_cannot_exceed_the_message)
{
    struct fuse_batch_forget_in in = {.count = 1u << 31};
    cr_expect_eq(DECODE(FUSE_BATCH_FORGET, in, NOTHING), -EINVAL);
    in.count = UINT32_MAX;
    cr_expect_eq(DECODE(FUSE_BATCH_FORGET, in, "0123456789abcdef"), -EINVAL);
    in.count = 0x10000001; /* times 16 is 16 in 32 bits */
    cr_expect_eq(DECODE(FUSE_BATCH_FORGET, in, "0123456789abcdef"), -EINVAL);
    in.count = 1;
    cr_expect_eq(DECODE(FUSE_BATCH_FORGET, in, "\1\0\0\0\0\0\0\0\2\0\0\0\0\0\0"), -EINVAL);
    cr_expect_eq(decode_args(FUSE_BATCH_FORGET, &in, sizeof in, "\1\0\0\0\0\0\0\0\2\0\0\0\0\0\0", 16), 0);
    cr_expect_eq(wire_forget_at(&request, 0).nodeid, 1);
    cr_expect_eq(wire_forget_at(&request, 0).nlookup, 2);
}

Test(wire, sizes_are_capped)
{
    const uint32_t opcodes[] = {FUSE_READ, FUSE_READDIR, FUSE_READDIRPLUS};
    for (size_t i = 0; i < sizeof opcodes / sizeof *opcodes; i++) {
        struct fuse_read_in in = {.size = MAX_WRITE};
        cr_expect_eq(DECODE(opcodes[i], in, NOTHING), 0);
        in.size = MAX_WRITE + 1;
        cr_expect_eq(DECODE(opcodes[i], in, NOTHING), -EINVAL);
        in.size = UINT32_MAX;
        cr_expect_eq(DECODE(opcodes[i], in, NOTHING), -EINVAL);
    }
    struct fuse_getxattr_in in = {.size = 65536};
    cr_expect_eq(DECODE(FUSE_LISTXATTR, in, NOTHING), 0);
    in.size = 65537;
    cr_expect_eq(DECODE(FUSE_LISTXATTR, in, NOTHING), -EINVAL);
    cr_expect_eq(DECODE(FUSE_GETXATTR, in, "user.a\0"), -EINVAL);
}

Test(wire, offsets_do_not_overflow)
{
    struct fuse_read_in in = {.size = 4096, .offset = INT64_MAX - 4096};
    cr_expect_eq(DECODE(FUSE_READ, in, NOTHING), 0);
    in.offset++;
    cr_expect_eq(DECODE(FUSE_READ, in, NOTHING), -EINVAL);
    in.offset = UINT64_MAX;
    cr_expect_eq(DECODE(FUSE_READ, in, NOTHING), -EINVAL);
    cr_expect_eq(DECODE(FUSE_READDIR, in, NOTHING), -EINVAL);
    in.offset = INT64_MAX;
    cr_expect_eq(DECODE(FUSE_READDIR, in, NOTHING), 0, "a directory's cookie, such as ext4's last one");
    struct fuse_write_in write = {.size = 3, .offset = INT64_MAX - 2};
    cr_expect_eq(DECODE(FUSE_WRITE, write, "abc"), -EINVAL);
    struct fuse_fallocate_in fallocate = {.offset = INT64_MAX, .length = 1};
    cr_expect_eq(DECODE(FUSE_FALLOCATE, fallocate, NOTHING), -EINVAL);
    struct fuse_copy_file_range_in copy = {.off_out = INT64_MAX, .len = 1};
    cr_expect_eq(DECODE(FUSE_COPY_FILE_RANGE, copy, NOTHING), -EINVAL);
    struct fuse_setattr_in setattr = {.valid = FATTR_SIZE, .size = 1ull << 63};
    cr_expect_eq(DECODE(FUSE_SETATTR, setattr, NOTHING), -EINVAL);
}

Test(wire, write_data_is_exactly_its_size)
{
    struct fuse_write_in in = {.size = 4};
    cr_expect_eq(DECODE(FUSE_WRITE, in, "abc"), -EINVAL);
    in.size = 2;
    cr_expect_eq(DECODE(FUSE_WRITE, in, "abc"), -EINVAL);
    in.size = UINT32_MAX;
    cr_expect_eq(DECODE(FUSE_WRITE, in, "abc"), -EINVAL);
}

Test(wire, flags_are_masked_to_what_is_understood)
{
    struct fuse_open_in in = {.flags = O_RDWR | O_TRUNC | O_APPEND | O_CREAT | O_EXCL | O_DIRECT | O_NOFOLLOW | O_PATH |
                                       O_TMPFILE | O_ASYNC | O_NONBLOCK | O_NOATIME | 0x20,
                              .open_flags = UINT32_MAX};
    cr_expect_eq(DECODE(FUSE_OPEN, in, NOTHING), 0);
    cr_expect_eq(request.args.open.flags, O_RDWR | O_TRUNC | O_APPEND);
    cr_expect_eq(request.args.open.open_flags, FUSE_OPEN_KILL_SUIDGID);
    in.flags = O_ACCMODE;
    cr_expect_eq(DECODE(FUSE_OPEN, in, NOTHING), -EINVAL);
    struct fuse_create_in create = {.flags = O_WRONLY | O_CREAT | O_EXCL | O_DIRECT, .mode = S_IFREG | 07777,
                                    .umask = UINT32_MAX};
    cr_expect_eq(DECODE(FUSE_CREATE, create, "n\0"), 0);
    cr_expect_eq(request.args.create.flags, O_WRONLY | O_EXCL);
    cr_expect_eq(request.args.create.mode, 07777);
    cr_expect_eq(request.args.create.umask, 0777);
    create.mode = S_IFDIR | 0755;
    cr_expect_eq(DECODE(FUSE_CREATE, create, "n\0"), -EINVAL);
}

Test(wire, setattr_is_masked_and_its_times_checked)
{
    struct fuse_setattr_in in = {.valid = UINT32_MAX, .mode = UINT32_MAX};
    cr_expect_eq(DECODE(FUSE_SETATTR, in, NOTHING), 0);
    cr_expect_eq(request.args.setattr.valid & (FATTR_LOCKOWNER | FATTR_CTIME | 1u << 31), 0);
    cr_expect_eq(request.args.setattr.mode, 07777);
    in.valid = FATTR_ATIME, in.atimensec = 1000000000;
    cr_expect_eq(DECODE(FUSE_SETATTR, in, NOTHING), -EINVAL);
    in.valid = FATTR_MTIME, in.mtimensec = 1000000000;
    cr_expect_eq(DECODE(FUSE_SETATTR, in, NOTHING), -EINVAL);
    in.valid = FATTR_MODE;
    cr_expect_eq(DECODE(FUSE_SETATTR, in, NOTHING), 0);
}

Test(wire, values_outside_an_operation_s_vocabulary)
{
    struct fuse_rename2_in rename = {.flags = 4 /* RENAME_WHITEOUT */};
    cr_expect_eq(DECODE(FUSE_RENAME2, rename, "a\0b\0"), -EINVAL);
    struct fuse_fallocate_in fallocate = {.length = 1, .mode = FALLOC_FL_COLLAPSE_RANGE};
    cr_expect_eq(DECODE(FUSE_FALLOCATE, fallocate, NOTHING), -EOPNOTSUPP);
    fallocate.mode = 0, fallocate.length = 0;
    cr_expect_eq(DECODE(FUSE_FALLOCATE, fallocate, NOTHING), -EINVAL);
    struct fuse_lseek_in lseek = {.whence = SEEK_END};
    cr_expect_eq(DECODE(FUSE_LSEEK, lseek, NOTHING), -EINVAL);
    struct fuse_copy_file_range_in copy = {.len = UINT64_MAX};
    cr_expect_eq(DECODE(FUSE_COPY_FILE_RANGE, copy, NOTHING), 0);
    cr_expect_eq(request.args.copy.len, WIRE_COPY_LIMIT);
    copy.flags = 1;
    cr_expect_eq(DECODE(FUSE_COPY_FILE_RANGE, copy, NOTHING), -EINVAL);
    struct fuse_mknod_in mknod = {.mode = S_IFDIR | 0755};
    cr_expect_eq(DECODE(FUSE_MKNOD, mknod, "n\0"), -EINVAL);
    mknod.mode = 0644;
    cr_expect_eq(DECODE(FUSE_MKNOD, mknod, "n\0"), -EINVAL);
}

Test(wire, init_has_two_lengths)
{
    struct fuse_init_in in = {.major = 7, .minor = 35};
    cr_expect_eq(decode_args(FUSE_INIT, &in, 16, "", 0), 0);
    in.minor = 36;
    cr_expect_eq(decode_args(FUSE_INIT, &in, 16, "", 0), -EINVAL);
    cr_expect_eq(decode_args(FUSE_INIT, &in, 64, "", 0), 0);
    cr_expect_eq(decode_args(FUSE_INIT, &in, 32, "", 0), -EINVAL);
}

/* ---- data in the window ---- */

static uint8_t window[2][WIRE_IO_LIMIT]; /* of WIRE_WINDOW_PIECES; only its address is used */

Test(wire, data_can_be_in_the_window)
{
    struct fuse_write_in in = {.size = 100, .padding = 2};
    limits.window = window[0];
    cr_assert_eq(DECODE(FUSE_WRITE, in, NOTHING), 0);
    cr_expect_eq(request.window, window[1]);
    cr_expect_eq(request.payload, window[1]);
    cr_expect_eq(request.payload_len, 100u);
    struct fuse_read_in read = {.size = MAX_WRITE, .padding = 1};
    cr_assert_eq(DECODE(FUSE_READ, read, NOTHING), 0);
    cr_expect_eq(request.window, window[0]);
    cr_expect_eq(request.payload_len, 0u);
    read.padding = 0;
    cr_assert_eq(DECODE(FUSE_READ, read, NOTHING), 0);
    cr_expect_null(request.window);
    read.padding = 2;
    cr_assert_eq(DECODE(FUSE_READDIR, read, NOTHING), 0);
    cr_expect_null(request.window, "directories come behind their replies");
}

Test(wire, a_window_that_is_not_there_is_refused)
{
    static const uint32_t pieces[] = {WIRE_WINDOW_PIECES + 1, 0x80000000, UINT32_MAX};
    struct fuse_write_in in = {.size = 3, .padding = 1};
    cr_expect_eq(DECODE(FUSE_WRITE, in, NOTHING), -EINVAL, "nothing is shared");
    limits.window = window[0];
    cr_expect_eq(DECODE(FUSE_WRITE, in, "abc"), -EINVAL, "here and there");
    in.size = MAX_WRITE + 1;
    cr_expect_eq(DECODE(FUSE_WRITE, in, NOTHING), -EINVAL, "more than was negotiated");
    for (size_t i = 0; i < sizeof pieces / sizeof *pieces; i++) {
        in = (struct fuse_write_in){.size = 3, .padding = pieces[i]};
        cr_expect_eq(DECODE(FUSE_WRITE, in, NOTHING), -EINVAL, "%x", pieces[i]);
    }
}
