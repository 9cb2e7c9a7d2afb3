/* SPDX-License-Identifier: Apache-2.0 */
/* The shapes of the FUSE wire protocol, checked with bounds. The protocol is the kernel's <linux/fuse.h> (7.31 to
 * 7.38): a request is a fuse_in_header, a fixed argument, up to two names and perhaps a payload; a reply is a
 * fuse_out_header and a body. Everything that comes from a guest, request or reply, passes here first, so the code
 * behind it may trust lengths, names and ranges (but not node ids and handles: those are looked up in tables).
 *
 * Where the two sides share memory (fs/window.h), the data of a READ or a WRITE can go there instead of behind the message:
 * the padding of its argument then names the piece, counted from 1. The reply to such a READ is a fuse_write_out. */
#ifndef GONDOLIN_FS_WIRE_H
#define GONDOLIN_FS_WIRE_H

#include <linux/fuse.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    WIRE_NAME_LIMIT = 255,    /* bytes of one path component or xattr name, NUL excluded */
    WIRE_TARGET_LIMIT = 4095, /* bytes of a symlink's target, NUL excluded */
    WIRE_XATTR_LIMIT = 65536, /* bytes of an xattr value or of a list of xattr names */
    WIRE_IO_LIMIT = 1024 * 1024, /* bytes of one READ, READDIR or WRITE: what we negotiate at most */
    WIRE_COPY_LIMIT = 64 << 20, /* bytes of one COPY_FILE_RANGE; longer requests are shortened, which callers expect */
    WIRE_WINDOW_PIECES = 16, /* of WIRE_IO_LIMIT bytes each: memory that both sides have */
    WIRE_FRAME_LIMIT = 80 + WIRE_IO_LIMIT, /* bytes of the longest frame: header, write argument, data */
};

/* Which node the header's nodeid has to name. */
enum wire_node {
    WIRE_NODE_NONE, /* nodeid is not looked at */
    WIRE_NODE_ANY,
    WIRE_NODE_DIRECTORY,
    WIRE_NODE_NOT_DIRECTORY,
    WIRE_NODE_REGULAR,
    WIRE_NODE_SYMLINK,
};

/* Which handle the first 8 bytes of the argument have to name. */
enum wire_handle { WIRE_HANDLE_NONE, WIRE_HANDLE_FILE, WIRE_HANDLE_DIRECTORY };

enum wire_name {
    WIRE_NAME_NONE,
    WIRE_NAME_COMPONENT, /* 1..255 bytes, not "." or "..", no '/' */
    WIRE_NAME_TARGET,    /* 1..4095 bytes: what a symlink says */
    WIRE_NAME_XATTR,     /* 1..255 bytes */
};

/* What follows the argument and the names. */
enum wire_payload {
    WIRE_PAYLOAD_NONE,
    WIRE_PAYLOAD_WRITE,   /* exactly fuse_write_in.size bytes */
    WIRE_PAYLOAD_XATTR,   /* exactly fuse_setxattr_in.size bytes */
    WIRE_PAYLOAD_IOCTL,   /* exactly fuse_ioctl_in.in_size bytes */
    WIRE_PAYLOAD_FORGETS, /* exactly fuse_batch_forget_in.count times fuse_forget_one */
};

enum wire_reply {
    WIRE_REPLY_NONE,    /* the request is not answered at all */
    WIRE_REPLY_FIXED,   /* exactly reply_size bytes */
    WIRE_REPLY_COUNT,   /* a fuse_write_out whose size is at most what was asked for */
    WIRE_REPLY_OPENED,  /* reply_size bytes with a fuse_open_out at open_offset */
    WIRE_REPLY_PAYLOAD, /* 0 up to as many bytes as were asked for */
    WIRE_REPLY_XATTR,   /* the same, but a fuse_getxattr_out when 0 bytes were asked for */
};

struct wire_limits {
    uint32_t max_write; /* bytes of one READ, READDIR or WRITE as negotiated; at most WIRE_IO_LIMIT */
    uint8_t *window; /* WIRE_WINDOW_PIECES pieces; NULL: no memory is shared */
};

/* The SETXATTR argument of peers that were not promised FUSE_SETXATTR_EXT (nobody is: its one extra flag concerns
 * ACLs, which are plain xattrs here). */
struct wire_setxattr_in {
    uint32_t size, flags;
};

/* The fixed argument, copied out of the message. */
union wire_args {
    uint64_t fh; /* where op->handle is not WIRE_HANDLE_NONE */
    struct fuse_forget_in forget;
    struct fuse_batch_forget_in batch_forget;
    struct fuse_getattr_in getattr;
    struct fuse_setattr_in setattr;
    struct fuse_mknod_in mknod;
    struct fuse_mkdir_in mkdir;
    struct fuse_rename_in rename;
    struct fuse_rename2_in rename2;
    struct fuse_link_in link;
    struct fuse_open_in open;
    struct fuse_create_in create;
    struct fuse_read_in read;
    struct fuse_write_in write;
    struct fuse_release_in release;
    struct fuse_flush_in flush;
    struct fuse_fsync_in fsync;
    struct wire_setxattr_in setxattr;
    struct fuse_getxattr_in getxattr;
    struct fuse_lk_in lk;
    struct fuse_access_in access;
    struct fuse_interrupt_in interrupt;
    struct fuse_init_in init;
    struct fuse_ioctl_in ioctl;
    struct fuse_poll_in poll;
    struct fuse_fallocate_in fallocate;
    struct fuse_lseek_in lseek;
    struct fuse_copy_file_range_in copy;
};

struct wire_op;

struct wire_request {
    struct fuse_in_header header;
    const struct wire_op *op; /* NULL for an opcode without a row in the table */
    union wire_args args;     /* zero beyond the op's argument; flags are masked to what is understood */
    const char *name[2];      /* point into the message, NUL-terminated; NULL where the op has none */
    const uint8_t *payload;   /* points into the message, not aligned */
    size_t payload_len;
    uint8_t *window; /* the piece that the data is in, or goes to (the payload of a WRITE); NULL: none. The peer writes to
                        it when it likes: to be handed to the kernel, not to be looked at. */
};

/* One row for each opcode. Offsets count from the start of the frame, header included; 0 means that there is none. */
struct wire_op {
    uint32_t opcode;
    const char *name;
    uint16_t args; /* bytes of the fixed argument */
    enum wire_name names[2];
    enum wire_payload payload;
    enum wire_node node;
    enum wire_handle handle;
    uint16_t node_offset; /* of a second node id in the request (rename, link, copy) */
    bool windowed;        /* its data may be in the window */
    bool may_block;       /* can take as long as a disk or another process likes */
    enum wire_reply reply;
    uint16_t reply_size;   /* bytes of the body of a successful reply, where that is fixed */
    uint16_t entry_offset; /* of a fuse_entry_out in the reply: a successful reply counts as one lookup */
    uint16_t open_offset;  /* of a fuse_open_out in the reply: a successful reply has to be released */
    /* Checks and masks the argument; 0 or -errno. NULL when any value will do. */
    int (*check)(union wire_args *args, const struct wire_limits *limits);
};

/* NULL for opcodes that are not served (answer ENOSYS). */
const struct wire_op *wire_op_find(uint32_t opcode);

/* "LOOKUP" and so on; "unknown" for the rest. */
const char *wire_op_name(uint32_t opcode);

/* Takes one message of exactly `len` bytes apart. Returns 0; -EPROTO when the header itself lies, so that no reply can
 * be trusted to reach its request (out is then undefined); otherwise out->header is good for an error reply and the
 * result is that error: -ENOSYS (opcode not served; out->op is NULL), -ENAMETOOLONG, or -EINVAL for any other
 * violation. Nothing is allocated; `out` points into the message. */
int wire_decode(const uint8_t *message, size_t len, const struct wire_limits *limits, struct wire_request *out);

/* The `index`th entry of a decoded BATCH_FORGET; index < args.batch_forget.count. */
struct fuse_forget_one wire_forget_at(const struct wire_request *request, uint32_t index);

/* Where the argument of a windowed op names the piece. */
enum { WIRE_PIECE_OFFSET = sizeof(struct fuse_in_header) + offsetof(struct fuse_write_in, padding) };

/* Where the answer to INIT says how many pieces of window the server takes (32 bits): its last, unused member. */
enum { WIRE_INIT_WINDOW_OFFSET = sizeof(struct fuse_out_header) + sizeof(struct fuse_init_out) - sizeof(uint32_t) };

/* What the reply to a windowed READ has to look like. */
const struct wire_op *wire_op_windowed_read(void);

/* How many bytes (or, for WIRE_REPLY_COUNT, what count) a reply to this well-formed request may carry: to be remembered
 * with the request and given to wire_reply_check. Needs only the first 128 bytes of the message. */
uint32_t wire_reply_limit(const struct wire_op *op, const uint8_t *message, size_t len);

/* Checks one reply frame of exactly `len` bytes against its request's op and limit. Returns 0, or -EPROTO when the frame
 * lies about its length, its error is outside -511..0 (the kernel takes no other), an error carries a body, or a body
 * has the wrong size. Node ids, handles, attributes and the contents of payloads are not looked at. */
int wire_reply_check(const struct wire_op *op, uint32_t limit, const uint8_t *reply, size_t len);

/* Walks the body of a READDIR reply. `*at` starts at 0 and is moved past the entry. Returns 1 and fills *entry (without
 * name) and *name (not NUL-terminated, entry->namelen bytes, in the body); 0 at the end; -EPROTO for an entry that
 * overruns the body, has an empty name, one longer than 255 bytes, or one with '/' or NUL. "." and ".." pass. */
int wire_dirent_next(const uint8_t *body, size_t len, size_t *at, struct fuse_dirent *entry, const char **name);

/* The same for READDIRPLUS; *plus is the entry's fuse_entry_out, whose offset in the body is the old value of *at. */
int wire_direntplus_next(const uint8_t *body, size_t len, size_t *at, struct fuse_entry_out *plus,
                         struct fuse_dirent *entry, const char **name);

#endif
