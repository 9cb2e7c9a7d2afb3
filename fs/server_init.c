/* SPDX-License-Identifier: Apache-2.0 */
/* INIT: what the two sides agree on for the session. */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "fs/server_internal.h"

enum {
    OLDEST_MINOR = 31,
    MAX_BACKGROUND = 64, /* requests the peer may have in flight that no process waits for (read-ahead, write-back) */
    CONGESTION = 48,
    PAGE = 4096, /* what the protocol's max_pages counts in here; a peer with larger pages asks for less than it may */
};

/* Acknowledged when the peer offers them. Not EXPORT_SUPPORT (it would make the peer look up ".."), not POSIX_ACL (ACLs
 * pass as plain xattrs), not WRITEBACK_CACHE (both sides write), not SETXATTR_EXT. DONT_MASK hands us the umask, so that
 * the kernel under the provider can leave it out where a default ACL says so. */
static const uint32_t WANTED = FUSE_ASYNC_READ | FUSE_ATOMIC_O_TRUNC | FUSE_BIG_WRITES | FUSE_DONT_MASK |
                               FUSE_AUTO_INVAL_DATA | FUSE_DO_READDIRPLUS | FUSE_READDIRPLUS_AUTO | FUSE_ASYNC_DIO |
                               FUSE_PARALLEL_DIROPS | FUSE_MAX_PAGES | FUSE_HANDLE_KILLPRIV_V2;

static const uint32_t LOCKS = FUSE_POSIX_LOCKS | FUSE_FLOCK_LOCKS;

/* A peer that speaks a later major version gets ours and asks again. */
static int answer_later_major(struct fuse_init_out *out)
{
    *out = (struct fuse_init_out){.major = FUSE_KERNEL_VERSION, .minor = FUSE_KERNEL_MINOR_VERSION};
    return sizeof *out;
}

int server_init(struct call *call)
{
    struct server *server = call->server;
    const struct fuse_init_in *in = &call->request.args.init;
    struct fuse_init_out *out = call->body;
    if (in->major > FUSE_KERNEL_VERSION)
        return answer_later_major(out);
    if (in->major < FUSE_KERNEL_VERSION || in->minor < OLDEST_MINOR)
        return -EPROTO;
    int rc = server_nodes_start(server);
    if (rc < 0)
        return rc;
    uint32_t max_write = server->config.max_write;
    *out = (struct fuse_init_out){
        .major = FUSE_KERNEL_VERSION,
        .minor = in->minor < FUSE_KERNEL_MINOR_VERSION ? in->minor : FUSE_KERNEL_MINOR_VERSION,
        .max_readahead = in->max_readahead < max_write ? in->max_readahead : max_write,
        .flags = in->flags & (WANTED | (server->config.locks ? LOCKS : 0)),
        .max_background = MAX_BACKGROUND,
        .congestion_threshold = CONGESTION,
        .max_write = max_write,
        .time_gran = 1,
        .max_pages = (uint16_t)(max_write / PAGE),
    };
    const uint32_t pieces = server->limits.window ? WIRE_WINDOW_PIECES : 0;
    memcpy((uint8_t *)out + WIRE_INIT_WINDOW_OFFSET - sizeof(struct fuse_out_header), &pieces, sizeof pieces);
    server->ready = true;
    return sizeof *out;
}
