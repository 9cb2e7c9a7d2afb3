/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/wire.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <string.h>
#include <sys/stat.h>

enum {
    PERMISSION_BITS = 07777,
    UMASK_BITS = 0777,
    NSEC_PER_SEC = 1000000000,
    INIT_SHORT_ARGS = 16,      /* before 7.36 */
    INIT_LONG_MINOR = 36,
};

/* What matters to a server; the rest of open(2)'s flags acts in the caller's kernel (O_NONBLOCK, O_CLOEXEC, ...), comes
 * with each WRITE (O_SYNC), or must not reach the files served (O_CREAT, O_DIRECT, O_PATH, O_NOFOLLOW, O_ASYNC, ...). */
enum { OPEN_FLAGS = O_ACCMODE | O_TRUNC | O_APPEND, WRITE_FLAGS = O_APPEND | O_SYNC };

static const uint32_t SETATTR_BITS = FATTR_MODE | FATTR_UID | FATTR_GID | FATTR_SIZE | FATTR_ATIME | FATTR_MTIME |
                                     FATTR_FH | FATTR_ATIME_NOW | FATTR_MTIME_NOW | FATTR_KILL_SUIDGID;
static const uint32_t RENAME_BITS = RENAME_NOREPLACE | RENAME_EXCHANGE;
static const uint32_t FALLOCATE_BITS = FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE | FALLOC_FL_ZERO_RANGE;

/* True when [offset, offset + size) lies within what a file offset (a signed 64-bit number) can say. */
static bool range_fits(uint64_t offset, uint64_t size)
{
    return offset <= INT64_MAX && size <= INT64_MAX - offset;
}

static int check_setattr(union wire_args *args, const struct wire_limits *limits)
{
    (void)limits;
    struct fuse_setattr_in *in = &args->setattr;
    in->valid &= SETATTR_BITS;
    in->mode &= PERMISSION_BITS;
    if ((in->valid & FATTR_SIZE) && in->size > INT64_MAX)
        return -EINVAL;
    if ((in->valid & FATTR_ATIME) && in->atimensec >= NSEC_PER_SEC)
        return -EINVAL;
    if ((in->valid & FATTR_MTIME) && in->mtimensec >= NSEC_PER_SEC)
        return -EINVAL;
    return 0;
}

static int check_mknod(union wire_args *args, const struct wire_limits *limits)
{
    (void)limits;
    uint32_t type = args->mknod.mode & S_IFMT;
    if (type != S_IFREG && type != S_IFIFO && type != S_IFSOCK && type != S_IFCHR && type != S_IFBLK)
        return -EINVAL;
    args->mknod.mode = type | (args->mknod.mode & PERMISSION_BITS);
    args->mknod.umask &= UMASK_BITS;
    return 0;
}

static int check_mkdir(union wire_args *args, const struct wire_limits *limits)
{
    (void)limits;
    args->mkdir.mode &= PERMISSION_BITS;
    args->mkdir.umask &= UMASK_BITS;
    return 0;
}

static int check_rename2(union wire_args *args, const struct wire_limits *limits)
{
    (void)limits;
    return args->rename2.flags & ~RENAME_BITS ? -EINVAL : 0;
}

static int check_open(union wire_args *args, const struct wire_limits *limits)
{
    (void)limits;
    args->open.flags &= OPEN_FLAGS;
    args->open.open_flags &= FUSE_OPEN_KILL_SUIDGID;
    return (args->open.flags & O_ACCMODE) == O_ACCMODE ? -EINVAL : 0;
}

static int check_create(union wire_args *args, const struct wire_limits *limits)
{
    (void)limits;
    uint32_t type = args->create.mode & S_IFMT;
    if ((type && type != S_IFREG) || (args->create.flags & O_ACCMODE) == O_ACCMODE)
        return -EINVAL;
    args->create.flags &= OPEN_FLAGS | O_EXCL;
    args->create.mode &= PERMISSION_BITS;
    args->create.umask &= UMASK_BITS;
    args->create.open_flags &= FUSE_OPEN_KILL_SUIDGID;
    return 0;
}

static int check_read(union wire_args *args, const struct wire_limits *limits)
{
    return args->read.size <= limits->max_write && range_fits(args->read.offset, args->read.size) ? 0 : -EINVAL;
}

/* The offset is a directory's cookie, not a distance: ext4's last one is INT64_MAX. */
static int check_readdir(union wire_args *args, const struct wire_limits *limits)
{
    return args->read.size <= limits->max_write && args->read.offset <= INT64_MAX ? 0 : -EINVAL;
}

static int check_write(union wire_args *args, const struct wire_limits *limits)
{
    args->write.flags &= WRITE_FLAGS;
    return args->write.size <= limits->max_write && range_fits(args->write.offset, args->write.size) ? 0 : -EINVAL;
}

static int check_setxattr(union wire_args *args, const struct wire_limits *limits)
{
    (void)limits;
    return args->setxattr.size <= WIRE_XATTR_LIMIT && args->setxattr.flags <= 2 ? 0 : -EINVAL;
}

static int check_getxattr(union wire_args *args, const struct wire_limits *limits)
{
    (void)limits;
    return args->getxattr.size <= WIRE_XATTR_LIMIT ? 0 : -EINVAL;
}

static int check_ioctl(union wire_args *args, const struct wire_limits *limits)
{
    return args->ioctl.in_size <= limits->max_write && args->ioctl.out_size <= limits->max_write ? 0 : -EINVAL;
}

static int check_fallocate(union wire_args *args, const struct wire_limits *limits)
{
    (void)limits;
    if (args->fallocate.mode & ~FALLOCATE_BITS)
        return -EOPNOTSUPP;
    return args->fallocate.length > 0 && range_fits(args->fallocate.offset, args->fallocate.length) ? 0 : -EINVAL;
}

static int check_lseek(union wire_args *args, const struct wire_limits *limits)
{
    (void)limits;
    bool known = args->lseek.whence == SEEK_DATA || args->lseek.whence == SEEK_HOLE;
    return known && args->lseek.offset <= INT64_MAX ? 0 : -EINVAL;
}

static int check_copy(union wire_args *args, const struct wire_limits *limits)
{
    (void)limits;
    struct fuse_copy_file_range_in *in = &args->copy;
    if (in->len > WIRE_COPY_LIMIT)
        in->len = WIRE_COPY_LIMIT;
    return !in->flags && range_fits(in->off_in, in->len) && range_fits(in->off_out, in->len) ? 0 : -EINVAL;
}

#define ROW(op) [FUSE_##op] = {.opcode = FUSE_##op, .name = #op,
#define END }
#define ONE_NAME .names = {WIRE_NAME_COMPONENT}
#define TWO_NAMES .names = {WIRE_NAME_COMPONENT, WIRE_NAME_COMPONENT}
#define ON_DIRECTORY .node = WIRE_NODE_DIRECTORY
#define ON_FILE_HANDLE .node = WIRE_NODE_REGULAR, .handle = WIRE_HANDLE_FILE
#define ON_DIRECTORY_HANDLE .node = WIRE_NODE_DIRECTORY, .handle = WIRE_HANDLE_DIRECTORY
#define ARGS(type) .args = sizeof(struct type)
#define SECOND_NODE(type, member) .node_offset = sizeof(struct fuse_in_header) + offsetof(struct type, member)
#define REPLY_EMPTY .reply = WIRE_REPLY_FIXED
#define REPLY(type) .reply = WIRE_REPLY_FIXED, .reply_size = sizeof(struct type)
#define REPLY_ENTRY REPLY(fuse_entry_out), .entry_offset = sizeof(struct fuse_out_header)
#define REPLY_OPEN \
    .reply = WIRE_REPLY_OPENED, .reply_size = sizeof(struct fuse_open_out), .open_offset = sizeof(struct fuse_out_header)
#define REPLY_CREATED                                                                                    \
    .reply = WIRE_REPLY_OPENED, .reply_size = sizeof(struct fuse_entry_out) + sizeof(struct fuse_open_out), \
    .entry_offset = sizeof(struct fuse_out_header),                                                      \
    .open_offset = sizeof(struct fuse_out_header) + sizeof(struct fuse_entry_out)

/* RELEASE does not ask for its node: it may come after the node's last FORGET, and refusing it would leak the handle. */
static const struct wire_op OPS[] = {
    ROW(LOOKUP) ONE_NAME, ON_DIRECTORY, REPLY_ENTRY END,
    ROW(FORGET) ARGS(fuse_forget_in) END,
    ROW(GETATTR) ARGS(fuse_getattr_in), .node = WIRE_NODE_ANY, REPLY(fuse_attr_out) END,
    ROW(SETATTR) ARGS(fuse_setattr_in), .node = WIRE_NODE_ANY, REPLY(fuse_attr_out), .check = check_setattr END,
    ROW(READLINK) .node = WIRE_NODE_SYMLINK, .reply = WIRE_REPLY_PAYLOAD END,
    ROW(SYMLINK) .names = {WIRE_NAME_COMPONENT, WIRE_NAME_TARGET}, ON_DIRECTORY, REPLY_ENTRY END,
    ROW(MKNOD) ARGS(fuse_mknod_in), ONE_NAME, ON_DIRECTORY, REPLY_ENTRY, .check = check_mknod END,
    ROW(MKDIR) ARGS(fuse_mkdir_in), ONE_NAME, ON_DIRECTORY, REPLY_ENTRY, .check = check_mkdir END,
    ROW(UNLINK) ONE_NAME, ON_DIRECTORY, REPLY_EMPTY END,
    ROW(RMDIR) ONE_NAME, ON_DIRECTORY, REPLY_EMPTY END,
    ROW(RENAME) ARGS(fuse_rename_in), TWO_NAMES, ON_DIRECTORY, SECOND_NODE(fuse_rename_in, newdir), REPLY_EMPTY END,
    ROW(LINK) ARGS(fuse_link_in), ONE_NAME, ON_DIRECTORY, SECOND_NODE(fuse_link_in, oldnodeid), REPLY_ENTRY END,
    ROW(OPEN) ARGS(fuse_open_in), .node = WIRE_NODE_REGULAR, REPLY_OPEN, .check = check_open END,
    ROW(READ) ARGS(fuse_read_in), ON_FILE_HANDLE, .windowed = true, .reply = WIRE_REPLY_PAYLOAD,
        .check = check_read END,
    ROW(WRITE) ARGS(fuse_write_in), .payload = WIRE_PAYLOAD_WRITE, ON_FILE_HANDLE, .windowed = true,
        .reply = WIRE_REPLY_COUNT, .reply_size = sizeof(struct fuse_write_out), .check = check_write END,
    ROW(STATFS) .node = WIRE_NODE_ANY, REPLY(fuse_statfs_out) END,
    ROW(RELEASE) ARGS(fuse_release_in), .handle = WIRE_HANDLE_FILE, REPLY_EMPTY END,
    ROW(FSYNC) ARGS(fuse_fsync_in), ON_FILE_HANDLE, .may_block = true, REPLY_EMPTY END,
    ROW(SETXATTR) ARGS(wire_setxattr_in), .names = {WIRE_NAME_XATTR}, .payload = WIRE_PAYLOAD_XATTR,
        .node = WIRE_NODE_ANY, REPLY_EMPTY, .check = check_setxattr END,
    ROW(GETXATTR) ARGS(fuse_getxattr_in), .names = {WIRE_NAME_XATTR}, .node = WIRE_NODE_ANY,
        .reply = WIRE_REPLY_XATTR, .check = check_getxattr END,
    ROW(LISTXATTR) ARGS(fuse_getxattr_in), .node = WIRE_NODE_ANY, .reply = WIRE_REPLY_XATTR,
        .check = check_getxattr END,
    ROW(REMOVEXATTR) .names = {WIRE_NAME_XATTR}, .node = WIRE_NODE_ANY, REPLY_EMPTY END,
    ROW(FLUSH) ARGS(fuse_flush_in), ON_FILE_HANDLE, REPLY_EMPTY END,
    ROW(INIT) ARGS(fuse_init_in), REPLY(fuse_init_out) END,
    ROW(OPENDIR) ARGS(fuse_open_in), ON_DIRECTORY, REPLY_OPEN, .check = check_open END,
    ROW(READDIR) ARGS(fuse_read_in), ON_DIRECTORY_HANDLE, .reply = WIRE_REPLY_PAYLOAD, .check = check_readdir END,
    ROW(RELEASEDIR) ARGS(fuse_release_in), .handle = WIRE_HANDLE_DIRECTORY, REPLY_EMPTY END,
    ROW(FSYNCDIR) ARGS(fuse_fsync_in), ON_DIRECTORY_HANDLE, .may_block = true, REPLY_EMPTY END,
    ROW(GETLK) ARGS(fuse_lk_in), ON_FILE_HANDLE, REPLY(fuse_lk_out) END,
    ROW(SETLK) ARGS(fuse_lk_in), ON_FILE_HANDLE, REPLY_EMPTY END,
    ROW(SETLKW) ARGS(fuse_lk_in), ON_FILE_HANDLE, REPLY_EMPTY END,
    ROW(ACCESS) ARGS(fuse_access_in), .node = WIRE_NODE_ANY, REPLY_EMPTY END,
    ROW(CREATE) ARGS(fuse_create_in), ONE_NAME, ON_DIRECTORY, REPLY_CREATED, .check = check_create END,
    ROW(INTERRUPT) ARGS(fuse_interrupt_in) END,
    ROW(DESTROY) REPLY_EMPTY END,
    ROW(IOCTL) ARGS(fuse_ioctl_in), .payload = WIRE_PAYLOAD_IOCTL, .node = WIRE_NODE_ANY, .reply = WIRE_REPLY_PAYLOAD,
        .check = check_ioctl END,
    ROW(POLL) ARGS(fuse_poll_in), ON_FILE_HANDLE, REPLY(fuse_poll_out) END,
    ROW(NOTIFY_REPLY) ARGS(fuse_notify_retrieve_in), .payload = WIRE_PAYLOAD_WRITE, .check = check_write END,
    ROW(BATCH_FORGET) ARGS(fuse_batch_forget_in), .payload = WIRE_PAYLOAD_FORGETS END,
    ROW(FALLOCATE) ARGS(fuse_fallocate_in), ON_FILE_HANDLE, .may_block = true, REPLY_EMPTY,
        .check = check_fallocate END,
    ROW(READDIRPLUS) ARGS(fuse_read_in), ON_DIRECTORY_HANDLE, .reply = WIRE_REPLY_PAYLOAD,
        .check = check_readdir END,
    ROW(RENAME2) ARGS(fuse_rename2_in), TWO_NAMES, ON_DIRECTORY, SECOND_NODE(fuse_rename2_in, newdir), REPLY_EMPTY,
        .check = check_rename2 END,
    ROW(LSEEK) ARGS(fuse_lseek_in), ON_FILE_HANDLE, REPLY(fuse_lseek_out), .check = check_lseek END,
    ROW(COPY_FILE_RANGE) ARGS(fuse_copy_file_range_in), ON_FILE_HANDLE,
        SECOND_NODE(fuse_copy_file_range_in, nodeid_out), .may_block = true, .reply = WIRE_REPLY_COUNT,
        .reply_size = sizeof(struct fuse_write_out), .check = check_copy END,
};

static const struct wire_op WINDOWED_READ = {.opcode = FUSE_READ, .name = "READ", .args = sizeof(struct fuse_read_in),
                                             .reply = WIRE_REPLY_COUNT, .reply_size = sizeof(struct fuse_write_out)};

const struct wire_op *wire_op_windowed_read(void)
{
    return &WINDOWED_READ;
}

const struct wire_op *wire_op_find(uint32_t opcode)
{
    return opcode < sizeof OPS / sizeof *OPS && OPS[opcode].name ? &OPS[opcode] : NULL;
}

const char *wire_op_name(uint32_t opcode)
{
    const struct wire_op *op = wire_op_find(opcode);
    return op ? op->name : "unknown";
}

/* What is left of a message while it is taken apart. */
struct cursor {
    const uint8_t *at;
    size_t left;
};

static int take_args(struct cursor *c, struct wire_request *out)
{
    size_t size = out->op->args;
    if (out->op->opcode == FUSE_INIT && c->left == INIT_SHORT_ARGS)
        size = INIT_SHORT_ARGS;
    if (c->left < size)
        return -EINVAL;
    memcpy(&out->args, c->at, size);
    if (size == INIT_SHORT_ARGS && out->op->opcode == FUSE_INIT && out->args.init.minor >= INIT_LONG_MINOR)
        return -EINVAL;
    c->at += size;
    c->left -= size;
    return 0;
}

static_assert(offsetof(struct fuse_read_in, padding) == offsetof(struct fuse_write_in, padding), "one place for the piece");

static int take_piece(const struct wire_limits *limits, struct wire_request *out)
{
    uint32_t piece = out->op->windowed ? out->args.write.padding : 0;
    if (piece == 0)
        return 0;
    if (!limits->window || piece > WIRE_WINDOW_PIECES)
        return -EINVAL;
    out->window = limits->window + (size_t)(piece - 1) * WIRE_IO_LIMIT;
    return 0;
}

static int check_name(enum wire_name kind, const char *name, size_t len)
{
    if (len == 0)
        return -EINVAL;
    if (len > (kind == WIRE_NAME_TARGET ? WIRE_TARGET_LIMIT : WIRE_NAME_LIMIT))
        return -ENAMETOOLONG;
    if (kind != WIRE_NAME_COMPONENT)
        return 0;
    if (memchr(name, '/', len) || !strcmp(name, ".") || !strcmp(name, ".."))
        return -EINVAL;
    return 0;
}

static int take_names(struct cursor *c, struct wire_request *out)
{
    for (int i = 0; i < 2 && out->op->names[i] != WIRE_NAME_NONE; i++) {
        const uint8_t *end = memchr(c->at, 0, c->left);
        if (!end)
            return -EINVAL;
        size_t len = (size_t)(end - c->at);
        int rc = check_name(out->op->names[i], (const char *)c->at, len);
        if (rc < 0)
            return rc;
        out->name[i] = (const char *)c->at;
        c->at += len + 1;
        c->left -= len + 1;
    }
    return 0;
}

static size_t payload_size(const struct wire_request *request)
{
    switch (request->op->payload) {
    case WIRE_PAYLOAD_WRITE:
        return request->window ? 0 : request->args.write.size;
    case WIRE_PAYLOAD_XATTR:
        return request->args.setxattr.size;
    case WIRE_PAYLOAD_IOCTL:
        return request->args.ioctl.in_size;
    case WIRE_PAYLOAD_FORGETS:
        return (size_t)request->args.batch_forget.count * sizeof(struct fuse_forget_one);
    case WIRE_PAYLOAD_NONE:
        break;
    }
    return 0;
}

static int take_header(const uint8_t *message, size_t len, const struct wire_limits *limits, struct wire_request *out)
{
    *out = (struct wire_request){0};
    if (len < sizeof out->header || len > WIRE_FRAME_LIMIT - WIRE_IO_LIMIT + (size_t)limits->max_write)
        return -EPROTO;
    memcpy(&out->header, message, sizeof out->header);
    return out->header.len == len && out->header.unique != 0 ? 0 : -EPROTO;
}

int wire_decode(const uint8_t *message, size_t len, const struct wire_limits *limits, struct wire_request *out)
{
    int rc = take_header(message, len, limits, out);
    if (rc < 0)
        return rc;
    out->op = wire_op_find(out->header.opcode);
    if (!out->op)
        return -ENOSYS;
    if (out->header.total_extlen != 0)
        return -EINVAL;
    struct cursor c = {message + sizeof out->header, len - sizeof out->header};
    rc = take_args(&c, out);
    if (rc == 0 && out->op->check)
        rc = out->op->check(&out->args, limits);
    if (rc == 0)
        rc = take_piece(limits, out);
    if (rc == 0)
        rc = take_names(&c, out);
    if (rc < 0)
        return rc;
    if (c.left != payload_size(out))
        return -EINVAL;
    bool windowed = out->window && out->op->payload == WIRE_PAYLOAD_WRITE;
    out->payload = windowed ? out->window : c.at;
    out->payload_len = windowed ? out->args.write.size : c.left;
    return 0;
}

struct fuse_forget_one wire_forget_at(const struct wire_request *request, uint32_t index)
{
    struct fuse_forget_one one;
    memcpy(&one, request->payload + (size_t)index * sizeof one, sizeof one);
    return one;
}
