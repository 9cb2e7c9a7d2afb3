/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/hostview.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "fs/jail.h"
#include "fs/nodes.h"

enum {
    MAX_EPOCH = 0x7fff,
    EXEC_OPEN = 0x20, /* FMODE_EXEC, which the kernel leaves in the flags of an OPEN for execve */
    MOST_BLOCK_SIZE = 512 * 1024,
};

struct hostview {
    struct hostview_config config;
    uint64_t epoch;
    struct nodes *nodes;
    /* A reply whose length has changed. */
    uint8_t scratch[sizeof(struct fuse_out_header) + PATH_MAX];
};

struct hostview *hostview_new(const struct hostview_config *config)
{
    struct hostview *view = calloc(1, sizeof *view);
    if (view)
        view->config = *config;
    return view;
}

void hostview_free(struct hostview *view)
{
    if (!view)
        return;
    nodes_free(view->nodes);
    free(view);
}

int hostview_new_epoch(struct hostview *view)
{
    struct nodes *nodes = nodes_new();
    if (!nodes)
        return -ENOMEM;
    nodes_free(view->nodes);
    view->nodes = nodes;
    view->epoch = view->epoch % MAX_EPOCH + 1;
    return 0;
}

static uint64_t to_host(const struct hostview *view, uint64_t node)
{
    return view->epoch << HOSTVIEW_EPOCH_SHIFT | node;
}

uint64_t hostview_root_id(const struct hostview *view)
{
    return view->epoch ? to_host(view, NODES_ROOT) : 0;
}

/* The number in fs/nodes.h, or 0 for an id of an earlier epoch. */
static uint64_t to_node(const struct hostview *view, uint64_t host_id)
{
    return view->epoch && host_id >> HOSTVIEW_EPOCH_SHIFT == view->epoch ? host_id & HOSTVIEW_NODE_MASK : 0;
}

/* ---- requests ---- */

/* Replaces the host's id at `at` by the guest's. Returns the node's number, or 0 when nobody knows it any more. */
static uint64_t map_id(const struct hostview *view, uint8_t *at)
{
    uint64_t id, guest;
    memcpy(&id, at, sizeof id);
    id = to_node(view, id);
    guest = id ? nodes_guest_id(view->nodes, id) : 0;
    memcpy(at, &guest, sizeof guest);
    return guest ? id : 0;
}

/* A user may give a file to himself, which changes nothing; anything else is not his to decide. */
static int map_setattr(const struct hostview *view, uint8_t *message)
{
    struct fuse_setattr_in in;
    uint8_t *at = message + sizeof(struct fuse_in_header);
    memcpy(&in, at, sizeof in);
    if (((in.valid & FATTR_UID) && in.uid != view->config.uid) ||
        ((in.valid & FATTR_GID) && in.gid != view->config.gid))
        return -EPERM;
    in.valid &= ~(uint32_t)(FATTR_UID | FATTR_GID);
    memcpy(at, &in, sizeof in);
    return 1;
}

/* ACLs and labels are the guest's own affair. Saying so, rather than that a file has none, lets ls ask once for the whole
 * file system and not twice for each file. */
static bool not_served(const char *xattr)
{
    return strncmp(xattr, "system.posix_acl_", 17) == 0 || strcmp(xattr, "security.selinux") == 0;
}

/* The host's kernel wants the capabilities of a file with every write; that would be a trip each time. */
static int check_getxattr(const char *xattr)
{
    if (not_served(xattr))
        return -EOPNOTSUPP;
    return strcmp(xattr, "security.capability") == 0 ? -ENODATA : 1;
}

static const char *xattr_name(const uint8_t *message, size_t len, size_t fixed)
{
    size_t at = sizeof(struct fuse_in_header) + fixed;
    return len > at && memchr(message + at, 0, len - at) ? (const char *)message + at : "";
}

static int check_request(const struct hostview *view, const struct wire_op *op, uint8_t *message, size_t len)
{
    struct fuse_open_in open;
    switch (op->opcode) {
    case FUSE_FLUSH: /* direct writes: there is nothing to flush, and locks are the host's own */
        return 0;
    case FUSE_OPEN:
        memcpy(&open, message + sizeof(struct fuse_in_header), sizeof open);
        return (open.flags & EXEC_OPEN) && !view->config.exec ? -EACCES : 1;
    case FUSE_SETATTR:
        return view->config.raw_owner ? 1 : map_setattr(view, message);
    case FUSE_GETXATTR:
        return check_getxattr(xattr_name(message, len, op->args));
    case FUSE_SETXATTR:
        return not_served(xattr_name(message, len, op->args)) ? -EOPNOTSUPP : 1;
    default:
        return 1;
    }
}

/* Newer kernels pass names of up to a page; no file system of a guest has them. */
static int check_names(const struct wire_op *op, const uint8_t *message, size_t len)
{
    size_t at = sizeof(struct fuse_in_header) + op->args;
    for (int i = 0; i < 2 && op->names[i] == WIRE_NAME_COMPONENT; i++) {
        const uint8_t *end = at < len ? memchr(message + at, 0, len - at) : NULL;
        if (!end)
            return -EINVAL;
        size_t name_len = (size_t)(end - (message + at));
        if (name_len > WIRE_NAME_LIMIT)
            return -ENAMETOOLONG;
        at += name_len + 1;
    }
    return 0;
}

static bool is_release(const struct wire_op *op)
{
    return op->opcode == FUSE_RELEASE || op->opcode == FUSE_RELEASEDIR;
}

int hostview_request(struct hostview *view, const struct wire_op *op, uint8_t *message, size_t len,
                     struct hostview_origin *origin)
{
    struct fuse_in_header header;
    if (len < sizeof header + op->args)
        return -EINVAL;
    memcpy(&header, message, sizeof header);
    bool this_epoch = to_node(view, header.nodeid) != 0;
    origin->node = map_id(view, message + offsetof(struct fuse_in_header, nodeid));
    origin->other = op->node_offset ? map_id(view, message + op->node_offset) : 0;
    if (!origin->node || (op->node_offset && !origin->other)) {
        if (op->opcode == FUSE_FLUSH || (is_release(op) && !this_epoch))
            return 0;
        if (!is_release(op))
            return -ESTALE;
    }
    int rc = check_names(op, message, len);
    if (rc < 0)
        return rc;
    memcpy(&header, message, sizeof header);
    if (!view->config.raw_owner)
        header.uid = header.gid = 0;
    origin->caller = (pid_t)header.pid;
    header.pid = 0;
    memcpy(message, &header, sizeof header);
    return check_request(view, op, message, len);
}

/* ---- replies ---- */

static void split_ms(uint32_t ms, uint64_t *seconds, uint32_t *nanoseconds)
{
    *seconds = ms / 1000;
    *nanoseconds = ms % 1000 * 1000000;
}

/* Programs allocate buffers of this size, and the kernel takes its logarithm. */
static uint32_t sane_block_size(uint32_t size)
{
    return size >= 512 && size <= MOST_BLOCK_SIZE && !(size & (size - 1)) ? size : 4096;
}

static void map_attr(const struct hostview *view, struct fuse_attr *attr)
{
    attr->flags = 0;
    attr->blksize = sane_block_size(attr->blksize);
    if (view->config.raw_owner)
        return;
    attr->uid = view->config.uid;
    attr->gid = view->config.gid;
}

/* Maps one entry of the guest and counts it. 0, or -errno when the kernel must not see it. */
static int map_entry(struct hostview *view, uint64_t parent, const char *name, size_t name_len, uint8_t *at)
{
    struct fuse_entry_out entry;
    memcpy(&entry, at, sizeof entry);
    if (!entry.nodeid)
        return -EIO;
    uint64_t id;
    int rc = nodes_found(view->nodes, parent, name, name_len, entry.nodeid, S_ISDIR(entry.attr.mode), &id);
    if (rc < 0)
        return rc == -ELOOP ? -EIO : rc;
    entry.nodeid = to_host(view, id);
    map_attr(view, &entry.attr);
    split_ms(view->config.entry_timeout_ms, &entry.entry_valid, &entry.entry_valid_nsec);
    split_ms(view->config.attr_timeout_ms, &entry.attr_valid, &entry.attr_valid_nsec);
    memcpy(at, &entry, sizeof entry);
    return 0;
}

/* A request's new entry appears in the directory that its header names, for LINK like for all others. */
static int map_entry_reply(struct hostview *view, const struct wire_op *op, const struct hostview_origin *origin,
                           const uint8_t *request, uint8_t *reply)
{
    const char *name = (const char *)request + sizeof(struct fuse_in_header) + op->args;
    return map_entry(view, origin->node, name, strlen(name), reply + op->entry_offset);
}

static int map_attr_reply(struct hostview *view, uint8_t *reply)
{
    struct fuse_attr_out out;
    memcpy(&out, reply + sizeof(struct fuse_out_header), sizeof out);
    map_attr(view, &out.attr);
    /* A server that says "not to be cached" knows why: a SETATTR of nothing precedes a write that changes the mode. */
    if (out.attr_valid || out.attr_valid_nsec)
        split_ms(view->config.attr_timeout_ms, &out.attr_valid, &out.attr_valid_nsec);
    memcpy(reply + sizeof(struct fuse_out_header), &out, sizeof out);
    return 0;
}

static bool is_dot(const char *name, size_t len)
{
    return len <= 2 && memcmp(name, "..", len) == 0;
}

/* Entries that cannot be shown keep their name and lose their node (the kernel then looks them up by itself). */
static int map_listing(struct hostview *view, const struct hostview_origin *origin, uint8_t *reply, size_t len)
{
    struct fuse_entry_out plus;
    struct fuse_dirent entry;
    const char *name;
    uint8_t *body = reply + sizeof(struct fuse_out_header);
    size_t body_len = len - sizeof(struct fuse_out_header), at = 0, before = 0;
    int rc;
    while ((rc = wire_direntplus_next(body, body_len, &at, &plus, &entry, &name)) > 0)
        ; /* whole and well-formed, or nothing of it is taken */
    if (rc < 0)
        return -EIO;
    at = 0;
    while (wire_direntplus_next(body, body_len, &at, &plus, &entry, &name) > 0) {
        if (plus.nodeid &&
            (is_dot(name, entry.namelen) || map_entry(view, origin->node, name, entry.namelen, body + before) < 0))
            memset(body + before, 0, sizeof plus);
        before = at;
    }
    return 0;
}

static int check_listing(const uint8_t *reply, size_t len)
{
    struct fuse_dirent entry;
    const char *name;
    size_t at = 0;
    int rc;
    while ((rc = wire_dirent_next(reply + sizeof(struct fuse_out_header), len - sizeof(struct fuse_out_header), &at,
                                  &entry, &name)) > 0)
        ;
    return rc < 0 ? -EIO : 0;
}

static int jail_link(struct hostview *view, const struct hostview_origin *origin, uint8_t **reply, size_t *len)
{
    struct fuse_out_header out;
    memcpy(&out, *reply, sizeof out);
    int n = jail_target((const char *)*reply + sizeof out, *len - sizeof out, nodes_depth(view->nodes, origin->node),
                        (char *)view->scratch + sizeof out, PATH_MAX - 1);
    if (n < 0)
        return n;
    out.len = (uint32_t)(sizeof out + (size_t)n);
    memcpy(view->scratch, &out, sizeof out);
    *reply = view->scratch;
    *len = out.len;
    return 0;
}

static void follow_rename(struct hostview *view, const struct wire_op *op, const struct hostview_origin *origin,
                          const uint8_t *request)
{
    struct fuse_rename2_in in = {0};
    memcpy(&in, request + sizeof(struct fuse_in_header), op->args);
    bool exchange = op->opcode == FUSE_RENAME2 && (in.flags & 2 /* RENAME_EXCHANGE */);
    const char *old_name = (const char *)request + sizeof(struct fuse_in_header) + op->args;
    nodes_renamed(view->nodes, origin->node, old_name, origin->other, old_name + strlen(old_name) + 1, exchange);
}

/* Tools divide by the block size. */
static void map_statfs(uint8_t *reply)
{
    struct fuse_statfs_out out;
    memcpy(&out, reply + sizeof(struct fuse_out_header), sizeof out);
    out.st.bsize = sane_block_size(out.st.bsize);
    out.st.frsize = sane_block_size(out.st.frsize);
    memcpy(reply + sizeof(struct fuse_out_header), &out, sizeof out);
}

/* ENOSYS would have the kernel stop asking for the operation anywhere in the mount, control files included; without
 * OPEN, for one, they do not work. */
static void map_error(uint8_t *reply)
{
    struct fuse_out_header out;
    memcpy(&out, reply, sizeof out);
    if (out.error == -ENOSYS)
        out.error = -EOPNOTSUPP;
    memcpy(reply, &out, sizeof out);
}

int hostview_reply(struct hostview *view, const struct wire_op *op, const struct hostview_origin *origin,
                   const uint8_t *request, uint8_t **reply, size_t *len)
{
    struct fuse_out_header out;
    memcpy(&out, *reply, sizeof out);
    if (out.error) {
        map_error(*reply);
        return 0;
    }
    switch (op->opcode) {
    case FUSE_GETATTR:
    case FUSE_SETATTR:
        return map_attr_reply(view, *reply);
    case FUSE_READDIRPLUS:
        return map_listing(view, origin, *reply, *len);
    case FUSE_READDIR:
        return check_listing(*reply, *len);
    case FUSE_READLINK:
        return jail_link(view, origin, reply, len);
    case FUSE_STATFS:
        map_statfs(*reply);
        return 0;
    case FUSE_RENAME:
    case FUSE_RENAME2:
        follow_rename(view, op, origin, request);
        return 0;
    default:
        return op->entry_offset ? map_entry_reply(view, op, origin, request, *reply) : 0;
    }
}

/* ---- references ---- */

/* What is needed to give references back. */
struct refund {
    struct hostview *view;
    bool shown;
    const struct hostview_refunds *refunds;
    void *data;
};

static uint64_t guest_id_in_reply(const struct refund *r, uint64_t id)
{
    return r->shown ? nodes_guest_id(r->view->nodes, to_node(r->view, id)) : id;
}

static void refund_entry(const struct refund *r, uint64_t id)
{
    uint64_t guest = guest_id_in_reply(r, id);
    if (r->shown)
        nodes_forget(r->view->nodes, to_node(r->view, id), 1);
    if (guest)
        r->refunds->forget(r->data, guest, 1);
}

static void refund_listing(const struct refund *r, const uint8_t *reply, size_t len)
{
    struct fuse_entry_out plus;
    struct fuse_dirent entry;
    const char *name;
    size_t at = 0;
    while (wire_direntplus_next(reply + sizeof(struct fuse_out_header), len - sizeof(struct fuse_out_header), &at, &plus,
                                &entry, &name) > 0)
        if (plus.nodeid && !is_dot(name, entry.namelen))
            refund_entry(r, plus.nodeid);
}

void hostview_give_back(struct hostview *view, const struct wire_op *op, const uint8_t *request, const uint8_t *reply,
                        size_t len, bool shown, const struct hostview_refunds *refunds, void *data)
{
    const struct refund r = {.view = view, .shown = shown, .refunds = refunds, .data = data};
    struct fuse_out_header out;
    struct fuse_in_header header;
    struct fuse_entry_out entry = {0};
    memcpy(&out, reply, sizeof out);
    memcpy(&header, request, sizeof header);
    if (out.error)
        return;
    if (op->entry_offset)
        memcpy(&entry, reply + op->entry_offset, sizeof entry);
    if (op->open_offset) {
        struct fuse_open_out open;
        memcpy(&open, reply + op->open_offset, sizeof open);
        refunds->release(data, op, op->entry_offset ? guest_id_in_reply(&r, entry.nodeid) : header.nodeid, open.fh);
    }
    if (entry.nodeid)
        refund_entry(&r, entry.nodeid);
    if (op->opcode == FUSE_READDIRPLUS)
        refund_listing(&r, reply, len);
}

uint64_t hostview_forget(struct hostview *view, uint64_t host_id, uint64_t *count)
{
    uint64_t node = to_node(view, host_id);
    uint64_t guest = node == NODES_ROOT ? 0 : nodes_guest_id(view->nodes, node);
    *count = guest ? nodes_forget(view->nodes, node, *count) : 0;
    return *count ? guest : 0;
}

/* ---- notifications ---- */

static bool entry_notice_fits(uint8_t *body, size_t len)
{
    struct fuse_notify_inval_entry_out entry;
    if (len < sizeof entry + 2)
        return false;
    memcpy(&entry, body, sizeof entry);
    const uint8_t *name = body + sizeof entry;
    if (entry.namelen > WIRE_NAME_LIMIT || len != sizeof entry + entry.namelen + 1 || name[entry.namelen] ||
        memchr(name, 0, entry.namelen) || memchr(name, '/', entry.namelen))
        return false;
    entry.flags = 0;
    memcpy(body, &entry, sizeof entry);
    return true;
}

int hostview_notification(uint8_t *message, size_t len, uint64_t *guest_id)
{
    struct fuse_out_header out;
    memcpy(&out, message, sizeof out);
    uint8_t *body = message + sizeof out;
    size_t body_len = len - sizeof out;
    if (out.error == FUSE_NOTIFY_INVAL_INODE) {
        if (body_len != sizeof(struct fuse_notify_inval_inode_out))
            return -EPROTO;
    } else if (out.error != FUSE_NOTIFY_INVAL_ENTRY || !entry_notice_fits(body, body_len)) {
        return -EPROTO;
    }
    memcpy(guest_id, body, sizeof *guest_id);
    return *guest_id || out.error == FUSE_NOTIFY_INVAL_INODE ? 0 : -EPROTO;
}

struct each {
    struct hostview *view;
    void (*fn)(void *data, uint64_t host_id);
    void *data;
};

static void each_node(void *data, uint64_t node)
{
    const struct each *each = data;
    each->fn(each->data, to_host(each->view, node));
}

void hostview_each(struct hostview *view, void (*fn)(void *data, uint64_t host_id), void *data)
{
    struct each each = {.view = view, .fn = fn, .data = data};
    nodes_each(view->nodes, each_node, &each);
}

void hostview_each_of(struct hostview *view, uint64_t guest_id, void (*fn)(void *data, uint64_t host_id), void *data)
{
    struct each each = {.view = view, .fn = fn, .data = data};
    nodes_each_of(view->nodes, guest_id, each_node, &each);
}

void hostview_set_timeouts(struct hostview *view, uint32_t entry_ms, uint32_t attr_ms)
{
    view->config.entry_timeout_ms = entry_ms;
    view->config.attr_timeout_ms = attr_ms;
}
