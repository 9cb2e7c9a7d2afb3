/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <string.h>

#include "fs/wire.h"

enum { ERROR_LIMIT = 511 }; /* the kernel keeps 512 and up for itself and takes no such reply */

static const uint32_t OPEN_REPLY_FLAGS = FOPEN_DIRECT_IO | FOPEN_KEEP_CACHE | FOPEN_NONSEEKABLE | FOPEN_CACHE_DIR |
                                         FOPEN_STREAM | FOPEN_NOFLUSH | FOPEN_PARALLEL_DIRECT_WRITES;

uint32_t wire_reply_limit(const struct wire_op *op, const uint8_t *message, size_t len)
{
    union wire_args args = {0};
    size_t have = len > sizeof(struct fuse_in_header) ? len - sizeof(struct fuse_in_header) : 0;
    memcpy(&args, message + sizeof(struct fuse_in_header), have < op->args ? have : op->args);
    switch (op->opcode) {
    case FUSE_READ:
    case FUSE_READDIR:
    case FUSE_READDIRPLUS:
        return args.read.size;
    case FUSE_WRITE:
        return args.write.size;
    case FUSE_COPY_FILE_RANGE:
        return args.copy.len < UINT32_MAX ? (uint32_t)args.copy.len : UINT32_MAX;
    case FUSE_GETXATTR:
    case FUSE_LISTXATTR:
        return args.getxattr.size;
    case FUSE_READLINK:
        return WIRE_TARGET_LIMIT;
    case FUSE_IOCTL:
        return (uint32_t)sizeof(struct fuse_ioctl_out) + args.ioctl.out_size;
    default:
        return op->reply_size;
    }
}

static bool count_fits(const uint8_t *body, uint32_t limit)
{
    struct fuse_write_out out;
    memcpy(&out, body, sizeof out);
    return out.size <= limit;
}

static bool open_flags_known(const struct wire_op *op, const uint8_t *reply)
{
    struct fuse_open_out out;
    memcpy(&out, reply + op->open_offset, sizeof out);
    return !(out.open_flags & ~OPEN_REPLY_FLAGS);
}

static bool body_fits(const struct wire_op *op, uint32_t limit, const uint8_t *reply, size_t body)
{
    switch (op->reply) {
    case WIRE_REPLY_FIXED:
        return body == op->reply_size;
    case WIRE_REPLY_COUNT:
        return body == op->reply_size && count_fits(reply + sizeof(struct fuse_out_header), limit);
    case WIRE_REPLY_OPENED:
        return body == op->reply_size && open_flags_known(op, reply);
    case WIRE_REPLY_PAYLOAD:
        return body <= limit;
    case WIRE_REPLY_XATTR:
        return limit == 0 ? body == sizeof(struct fuse_getxattr_out) : body <= limit;
    case WIRE_REPLY_NONE:
        break;
    }
    return false;
}

int wire_reply_check(const struct wire_op *op, uint32_t limit, const uint8_t *reply, size_t len)
{
    struct fuse_out_header header;
    if (len < sizeof header)
        return -EPROTO;
    memcpy(&header, reply, sizeof header);
    if (header.len != len || header.error > 0 || header.error < -ERROR_LIMIT || op->reply == WIRE_REPLY_NONE)
        return -EPROTO;
    if (header.error != 0)
        return len == sizeof header ? 0 : -EPROTO;
    return body_fits(op, limit, reply, len - sizeof header) ? 0 : -EPROTO;
}

/* Reads the dirent that starts at *at and ends, padding included, within len. */
static int take_dirent(const uint8_t *body, size_t len, size_t *at, struct fuse_dirent *entry, const char **name)
{
    if (len - *at < FUSE_NAME_OFFSET)
        return -EPROTO;
    memcpy(entry, body + *at, FUSE_NAME_OFFSET);
    if (entry->namelen == 0 || entry->namelen > WIRE_NAME_LIMIT || len - *at < FUSE_DIRENT_SIZE(entry))
        return -EPROTO;
    const uint8_t *text = body + *at + FUSE_NAME_OFFSET;
    if (memchr(text, '/', entry->namelen) || memchr(text, 0, entry->namelen))
        return -EPROTO;
    *name = (const char *)text;
    *at += FUSE_DIRENT_SIZE(entry);
    return 1;
}

int wire_dirent_next(const uint8_t *body, size_t len, size_t *at, struct fuse_dirent *entry, const char **name)
{
    return *at >= len ? 0 : take_dirent(body, len, at, entry, name);
}

int wire_direntplus_next(const uint8_t *body, size_t len, size_t *at, struct fuse_entry_out *plus,
                         struct fuse_dirent *entry, const char **name)
{
    if (*at >= len)
        return 0;
    if (len - *at < sizeof *plus)
        return -EPROTO;
    memcpy(plus, body + *at, sizeof *plus);
    size_t dirent_at = *at + sizeof *plus; /* a multiple of 8, so the entry's padding is the dirent's */
    int rc = take_dirent(body, len, &dirent_at, entry, name);
    if (rc > 0)
        *at = dirent_at;
    return rc;
}
