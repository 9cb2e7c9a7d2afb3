/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/hostview.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "fs/jail.h"
#include "fs/nodes.h"

enum { MAX_EPOCH = 0x7fff, EXEC_OPEN = 0x20 /* FMODE_EXEC, which the kernel leaves in the flags of an OPEN for execve */ };

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

static uint64_t to_host(const struct hostview *view, uint64_t guest_id)
{
    return view->epoch << HOSTVIEW_EPOCH_SHIFT | guest_id;
}

uint64_t hostview_root_id(const struct hostview *view)
{
    return view->epoch ? to_host(view, FUSE_ROOT_ID) : 0;
}

/* The guest's id, or 0 for one of an earlier epoch. */
static uint64_t to_guest(const struct hostview *view, uint64_t host_id)
{
    return host_id >> HOSTVIEW_EPOCH_SHIFT == view->epoch ? host_id & HOSTVIEW_GUEST_ID_MASK : 0;
}

/* ---- requests ---- */

static bool map_id(const struct hostview *view, uint8_t *at)
{
    uint64_t id;
    memcpy(&id, at, sizeof id);
    id = to_guest(view, id);
    memcpy(at, &id, sizeof id);
    return id != 0;
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

/* The kernel asks for these with every write or listing; they would cost a trip each. ACLs are not served. */
static bool answered_here(const char *xattr)
{
    return strcmp(xattr, "security.capability") == 0 || strncmp(xattr, "system.posix_acl_", 17) == 0;
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
        return answered_here(xattr_name(message, len, op->args)) ? -ENODATA : 1;
    case FUSE_SETXATTR:
        return strncmp(xattr_name(message, len, op->args), "system.posix_acl_", 17) == 0 ? -EOPNOTSUPP : 1;
    default:
        return 1;
    }
}

int hostview_request(struct hostview *view, const struct wire_op *op, uint8_t *message, size_t len)
{
    struct fuse_in_header header;
    memcpy(&header, message, sizeof header);
    header.nodeid = to_guest(view, header.nodeid);
    bool stale = !header.nodeid;
    if (!stale && op->node_offset)
        stale = !map_id(view, message + op->node_offset);
    if (stale)
        return op->opcode == FUSE_RELEASE || op->opcode == FUSE_RELEASEDIR || op->opcode == FUSE_FLUSH ? 0 : -ESTALE;
    if (!view->config.raw_owner)
        header.uid = header.gid = 0;
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

static void map_attr(const struct hostview *view, struct fuse_attr *attr)
{
    attr->flags = 0;
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
    if (!entry.nodeid || entry.nodeid > HOSTVIEW_GUEST_ID_MASK)
        return -EIO;
    int rc = nodes_found(view->nodes, parent, name, name_len, entry.nodeid);
    if (rc < 0)
        return rc == -ELOOP ? -EIO : rc;
    entry.nodeid = to_host(view, entry.nodeid);
    map_attr(view, &entry.attr);
    split_ms(view->config.entry_timeout_ms, &entry.entry_valid, &entry.entry_valid_nsec);
    split_ms(view->config.attr_timeout_ms, &entry.attr_valid, &entry.attr_valid_nsec);
    memcpy(at, &entry, sizeof entry);
    return 0;
}

/* Where a request's new entry appears: for LINK the directory is in the header, like for all others. */
static int map_entry_reply(struct hostview *view, const struct wire_op *op, const uint8_t *request, uint8_t *reply)
{
    struct fuse_in_header header;
    memcpy(&header, request, sizeof header);
    const char *name = (const char *)request + sizeof header + op->args;
    return map_entry(view, header.nodeid, name, strlen(name), reply + op->entry_offset);
}

static int map_attr_reply(struct hostview *view, uint8_t *reply)
{
    struct fuse_attr_out out;
    memcpy(&out, reply + sizeof(struct fuse_out_header), sizeof out);
    map_attr(view, &out.attr);
    split_ms(view->config.attr_timeout_ms, &out.attr_valid, &out.attr_valid_nsec);
    memcpy(reply + sizeof(struct fuse_out_header), &out, sizeof out);
    return 0;
}

static bool is_dot(const char *name, size_t len)
{
    return len <= 2 && memcmp(name, "..", len) == 0;
}

/* Entries that cannot be shown keep their name and lose their node (the kernel then looks them up by itself). */
static int map_listing(struct hostview *view, const uint8_t *request, uint8_t *reply, size_t len)
{
    struct fuse_in_header header;
    struct fuse_entry_out plus;
    struct fuse_dirent entry;
    const char *name;
    memcpy(&header, request, sizeof header);
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
            (is_dot(name, entry.namelen) || map_entry(view, header.nodeid, name, entry.namelen, body + before) < 0))
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

static int jail_link(struct hostview *view, const uint8_t *request, uint8_t **reply, size_t *len)
{
    struct fuse_in_header header;
    struct fuse_out_header out;
    memcpy(&header, request, sizeof header);
    memcpy(&out, *reply, sizeof out);
    int n = jail_target((const char *)*reply + sizeof out, *len - sizeof out, nodes_depth(view->nodes, header.nodeid),
                        (char *)view->scratch + sizeof out, PATH_MAX - 1);
    if (n < 0)
        return n;
    out.len = (uint32_t)(sizeof out + (size_t)n);
    memcpy(view->scratch, &out, sizeof out);
    *reply = view->scratch;
    *len = out.len;
    return 0;
}

static void follow_rename(struct hostview *view, const struct wire_op *op, const uint8_t *request)
{
    struct fuse_in_header header;
    struct fuse_rename2_in in = {0};
    memcpy(&header, request, sizeof header);
    memcpy(&in, request + sizeof header, op->args);
    bool exchange = op->opcode == FUSE_RENAME2 && (in.flags & 2 /* RENAME_EXCHANGE */);
    const char *old_name = (const char *)request + sizeof header + op->args;
    nodes_renamed(view->nodes, header.nodeid, old_name, in.newdir, old_name + strlen(old_name) + 1, exchange);
}

int hostview_reply(struct hostview *view, const struct wire_op *op, const uint8_t *request, uint8_t **reply,
                   size_t *len)
{
    struct fuse_out_header out;
    memcpy(&out, *reply, sizeof out);
    if (out.error)
        return 0;
    switch (op->opcode) {
    case FUSE_GETATTR:
    case FUSE_SETATTR:
        return map_attr_reply(view, *reply);
    case FUSE_READDIRPLUS:
        return map_listing(view, request, *reply, *len);
    case FUSE_READDIR:
        return check_listing(*reply, *len);
    case FUSE_READLINK:
        return jail_link(view, request, reply, len);
    case FUSE_RENAME:
    case FUSE_RENAME2:
        follow_rename(view, op, request);
        return 0;
    default:
        return op->entry_offset ? map_entry_reply(view, op, request, *reply) : 0;
    }
}

/* ---- references ---- */

static void give_back_listing(const uint8_t *reply, size_t len, const struct hostview_refunds *refunds, void *data)
{
    struct fuse_entry_out plus;
    struct fuse_dirent entry;
    const char *name;
    size_t at = 0;
    while (wire_direntplus_next(reply + sizeof(struct fuse_out_header), len - sizeof(struct fuse_out_header), &at, &plus,
                                &entry, &name) > 0)
        if (plus.nodeid)
            refunds->forget(data, plus.nodeid, 1);
}

void hostview_give_back(const struct wire_op *op, const uint8_t *request, const uint8_t *reply, size_t len,
                        const struct hostview_refunds *refunds, void *data)
{
    struct fuse_out_header out;
    struct fuse_in_header header;
    memcpy(&out, reply, sizeof out);
    memcpy(&header, request, sizeof header);
    if (out.error)
        return;
    uint64_t node = header.nodeid;
    if (op->entry_offset) {
        struct fuse_entry_out entry;
        memcpy(&entry, reply + op->entry_offset, sizeof entry);
        node = entry.nodeid;
    }
    if (op->open_offset) {
        struct fuse_open_out open;
        memcpy(&open, reply + op->open_offset, sizeof open);
        refunds->release(data, op, node, open.fh);
    }
    if (op->entry_offset && node)
        refunds->forget(data, node, 1);
    if (op->opcode == FUSE_READDIRPLUS)
        give_back_listing(reply, len, refunds, data);
}

uint64_t hostview_forget(struct hostview *view, uint64_t host_id, uint64_t *count)
{
    uint64_t id = to_guest(view, host_id);
    if (!id || id == FUSE_ROOT_ID || !view->nodes)
        return 0;
    *count = nodes_forget(view->nodes, id, *count);
    return *count ? id : 0;
}

void hostview_unrecord(struct hostview *view, uint64_t guest_id, uint64_t count)
{
    if (view->nodes)
        nodes_forget(view->nodes, guest_id, count);
}

int hostview_notification(struct hostview *view, uint8_t *message, size_t len)
{
    struct fuse_out_header out;
    struct fuse_notify_inval_entry_out entry;
    memcpy(&out, message, sizeof out);
    uint8_t *body = message + sizeof out;
    size_t body_len = len - sizeof out;
    if (out.error == FUSE_NOTIFY_INVAL_INODE) {
        if (body_len != sizeof(struct fuse_notify_inval_inode_out))
            return -EPROTO;
    } else if (out.error == FUSE_NOTIFY_INVAL_ENTRY) {
        if (body_len < sizeof entry + 2)
            return -EPROTO;
        memcpy(&entry, body, sizeof entry);
        if (entry.namelen > WIRE_NAME_LIMIT || body_len != sizeof entry + entry.namelen + 1 || body[body_len - 1] ||
            memchr(body + sizeof entry, 0, entry.namelen) || memchr(body + sizeof entry, '/', entry.namelen))
            return -EPROTO;
        entry.flags = 0;
        memcpy(body, &entry, sizeof entry);
    } else {
        return -EPROTO;
    }
    uint64_t id;
    memcpy(&id, body, sizeof id);
    if (!id && out.error == FUSE_NOTIFY_INVAL_INODE)
        return 1;
    if (!id || id > HOSTVIEW_GUEST_ID_MASK)
        return -EPROTO;
    id = to_host(view, id);
    memcpy(body, &id, sizeof id);
    return 0;
}

struct each {
    struct hostview *view;
    void (*fn)(void *data, uint64_t host_id);
    void *data;
};

static void each_guest_id(void *data, uint64_t guest_id)
{
    const struct each *each = data;
    each->fn(each->data, to_host(each->view, guest_id));
}

void hostview_each(struct hostview *view, void (*fn)(void *data, uint64_t host_id), void *data)
{
    struct each each = {.view = view, .fn = fn, .data = data};
    nodes_each(view->nodes, each_guest_id, &each);
}

void hostview_set_timeouts(struct hostview *view, uint32_t entry_ms, uint32_t attr_ms)
{
    view->config.entry_timeout_ms = entry_ms;
    view->config.attr_timeout_ms = attr_ms;
}
