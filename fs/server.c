/* SPDX-License-Identifier: Apache-2.0 */
/* Takes requests in, finds what they name, runs them here or in the pool, and sends the replies. */
#include "fs/server.h"

#include <assert.h>
#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "fs/server_internal.h"

enum { SMALLEST_MAX_WRITE = 4096, QUEUE_MAX = 64, MOST_WORKERS = 64 };

/* A request in the pool: the call with its own copy of the message and room for the reply. */
struct job {
    struct pool_job pool_job; /* first */
    struct call call;
    uint8_t *message;
    struct fuse_out_header header; /* reply_of finds it before the body */
    uint64_t body[];
};
static_assert(offsetof(struct job, body) == offsetof(struct job, header) + sizeof(struct fuse_out_header),
              "the reply is one piece");

/* Opcodes known to fs/wire and missing here are answered ENOSYS: the peer's kernel then does them itself (ACCESS) or
 * without. */
static call_fn *const CALLS[] = {
    [FUSE_LOOKUP] = server_lookup,
    [FUSE_GETATTR] = server_getattr,
    [FUSE_SETATTR] = server_setattr,
    [FUSE_READLINK] = server_readlink,
    [FUSE_SYMLINK] = server_symlink,
    [FUSE_MKNOD] = server_mknod,
    [FUSE_MKDIR] = server_mkdir,
    [FUSE_UNLINK] = server_unlink,
    [FUSE_RMDIR] = server_rmdir,
    [FUSE_RENAME] = server_rename,
    [FUSE_LINK] = server_link,
    [FUSE_OPEN] = server_open,
    [FUSE_READ] = server_read,
    [FUSE_WRITE] = server_write,
    [FUSE_STATFS] = server_statfs,
    [FUSE_RELEASE] = server_release,
    [FUSE_FSYNC] = server_fsync,
    [FUSE_SETXATTR] = server_setxattr,
    [FUSE_GETXATTR] = server_getxattr,
    [FUSE_LISTXATTR] = server_listxattr,
    [FUSE_REMOVEXATTR] = server_removexattr,
    [FUSE_FLUSH] = server_flush,
    [FUSE_GETLK] = server_getlk,
    [FUSE_SETLK] = server_setlk,
    [FUSE_SETLKW] = server_setlkw,
    [FUSE_INIT] = server_init,
    [FUSE_OPENDIR] = server_opendir,
    [FUSE_READDIR] = server_readdir,
    [FUSE_RELEASEDIR] = server_release,
    [FUSE_FSYNCDIR] = server_fsync,
    [FUSE_CREATE] = server_create,
    [FUSE_IOCTL] = server_ioctl,
    [FUSE_POLL] = server_poll,
    [FUSE_FALLOCATE] = server_fallocate,
    [FUSE_READDIRPLUS] = server_readdirplus,
    [FUSE_RENAME2] = server_rename2,
    [FUSE_LSEEK] = server_lseek,
    [FUSE_COPY_FILE_RANGE] = server_copy,
};

size_t server_body_size(const struct server *server)
{
    return server->config.max_write > WIRE_XATTR_LIMIT ? server->config.max_write : WIRE_XATTR_LIMIT;
}

static bool config_is_good(const struct server_config *config)
{
    return config->max_write >= SMALLEST_MAX_WRITE && config->max_write <= WIRE_IO_LIMIT &&
           config->workers <= MOST_WORKERS && config->attr_timeout >= 0 && config->attr_timeout < INT32_MAX &&
           config->entry_timeout >= 0 && config->entry_timeout < INT32_MAX &&
           config->keep_timeout >= 0 && config->keep_timeout < INT32_MAX;
}

struct server *server_new(const struct server_config *config, struct vfs *root, server_send_fn *send, void *data)
{
    if (!config_is_good(config)) {
        errno = EINVAL;
        return NULL;
    }
    struct server *server = calloc(1, sizeof *server);
    if (!server)
        return NULL;
    server->config = *config;
    server->limits = (struct wire_limits){.max_write = config->max_write, .window = config->window};
    server->vfs = root;
    server->send = send;
    server->send_data = data;
    pthread_mutex_init(&server->lock, NULL);
    slots_init(&server->handles, config->max_handles);
    int rc = server_nodes_init(server);
    rc = rc ? rc : server_locks_init(server);
    server->scratch = rc == 0 ? malloc(sizeof(struct fuse_out_header) + server_body_size(server)) : NULL;
    server->pool = server->scratch ? pool_new(config->workers, QUEUE_MAX) : NULL;
    if (!server->pool) {
        server_free(server);
        errno = ENOMEM;
        return NULL;
    }
    return server;
}

void server_end_session(struct server *server)
{
    pool_drain(server->pool);
    server_locks_end(server);
    server_handles_clear(server);
    server_nodes_clear(server);
    server->ready = server->adopted = false;
}

void server_free(struct server *server)
{
    if (!server)
        return;
    if (server->pool)
        server_end_session(server);
    pool_free(server->pool);
    server_nodes_fini(server);
    slots_fini(&server->handles);
    server_locks_fini(server);
    pthread_mutex_destroy(&server->lock);
    free(server->scratch);
    free(server);
}

static struct fuse_out_header *reply_of(const struct call *call)
{
    return (struct fuse_out_header *)call->body - 1;
}

/* `result` as a call_fn returns it. ENOSYS is kept for opcodes that are not served at all, because the peer's kernel
 * never asks again for any node; from a provider it only means this one file. */
void server_reply(struct call *call, int result)
{
    if (call->request.op && call->request.op->reply == WIRE_REPLY_NONE)
        return;
    struct fuse_out_header *header = reply_of(call);
    *header = (struct fuse_out_header){.len = sizeof *header, .unique = call->request.header.unique};
    if (result < 0)
        header->error = result;
    else
        header->len += (uint32_t)result;
    call->server->send(call->server->send_data, header, header->len);
}

static bool type_matches(enum wire_node wanted, uint32_t type, int *error)
{
    switch (wanted) {
    case WIRE_NODE_DIRECTORY:
        *error = -ENOTDIR;
        return S_ISDIR(type);
    case WIRE_NODE_NOT_DIRECTORY:
        *error = -EISDIR;
        return !S_ISDIR(type);
    case WIRE_NODE_REGULAR: /* anything else would be opened in the peer's kernel, or block here */
        *error = S_ISDIR(type) ? -EISDIR : -EOPNOTSUPP;
        return S_ISREG(type);
    case WIRE_NODE_SYMLINK:
        *error = -EINVAL;
        return S_ISLNK(type);
    case WIRE_NODE_ANY:
    case WIRE_NODE_NONE:
        break;
    }
    return true;
}

static int pin_node(struct server *server, uint64_t id, enum wire_node wanted, struct node **out)
{
    int error = 0;
    *out = server_node_pin(server, id);
    if (!*out)
        return -ESTALE;
    return type_matches(wanted, (*out)->type, &error) ? 0 : error;
}

static int pin_second_node(struct call *call)
{
    const struct wire_request *request = &call->request;
    switch (request->op->opcode) {
    case FUSE_RENAME:
    case FUSE_RENAME2:
        return pin_node(call->server, request->args.rename.newdir, WIRE_NODE_DIRECTORY, &call->node2);
    case FUSE_LINK:
        return pin_node(call->server, request->args.link.oldnodeid, WIRE_NODE_NOT_DIRECTORY, &call->node2);
    default: /* COPY_FILE_RANGE finds its second handle itself */
        return 0;
    }
}

/* Finds and pins what the request names. */
static int pin_named(struct call *call)
{
    const struct wire_op *op = call->request.op;
    int rc = 0;
    if (op->node != WIRE_NODE_NONE)
        rc = pin_node(call->server, call->request.header.nodeid, op->node, &call->node);
    if (rc == 0)
        rc = pin_second_node(call);
    if (rc < 0 || op->handle == WIRE_HANDLE_NONE)
        return rc;
    call->handle = server_handle_pin(call->server, call->request.args.fh, call->request.header.nodeid,
                                     op->handle == WIRE_HANDLE_DIRECTORY);
    return call->handle ? 0 : -EBADF;
}

/* What an earlier server opened can still be closed. */
static bool is_stale(const struct call *call)
{
    uint32_t opcode = call->request.op->opcode;
    if (opcode == FUSE_RELEASE || opcode == FUSE_RELEASEDIR)
        return false;
    return (call->node && !call->node->vnode) || (call->node2 && !call->node2->vnode) ||
           (call->handle && !call->handle->file);
}

void server_call_unpin(struct call *call)
{
    server_handle_unpin(call->server, call->handle);
    server_node_unpin(call->server, call->node2);
    server_node_unpin(call->server, call->node);
    call->handle = NULL;
    call->node = call->node2 = NULL;
}

static bool is_lock(uint32_t opcode)
{
    return opcode == FUSE_GETLK || opcode == FUSE_SETLK || opcode == FUSE_SETLKW;
}

bool server_makes_node(uint32_t opcode)
{
    return opcode == FUSE_MKNOD || opcode == FUSE_MKDIR || opcode == FUSE_SYMLINK || opcode == FUSE_CREATE;
}

static int run(struct call *call)
{
    uint32_t opcode = call->request.op->opcode;
    call_fn *fn = opcode < sizeof CALLS / sizeof *CALLS ? CALLS[opcode] : NULL;
    if (!fn || (is_lock(opcode) && !call->server->locks))
        return -ENOSYS;
    int result = server_makes_node(opcode) ? server_node_room(call) : 0;
    result = result ? result : fn(call);
    return result == -ENOSYS ? -EOPNOTSUPP : result;
}

static void free_job(struct job *job)
{
    free(job->message);
    free(job);
}

static void run_job(struct pool_job *pool_job)
{
    struct job *job = (struct job *)pool_job;
    int result = run(&job->call);
    server_call_unpin(&job->call);
    server_reply(&job->call, result);
    free_job(job);
}

/* What a provider may take long for that asks somebody first (server_config.slow). */
static bool needs_consent(uint32_t opcode)
{
    switch (opcode) {
    case FUSE_SETATTR:
    case FUSE_SYMLINK:
    case FUSE_MKNOD:
    case FUSE_MKDIR:
    case FUSE_UNLINK:
    case FUSE_RMDIR:
    case FUSE_RENAME:
    case FUSE_RENAME2:
    case FUSE_LINK:
    case FUSE_OPEN:
    case FUSE_OPENDIR:
    case FUSE_CREATE:
    case FUSE_READ:
    case FUSE_WRITE:
    case FUSE_SETXATTR:
    case FUSE_REMOVEXATTR:
        return true;
    default:
        return false;
    }
}

static bool may_block(const struct call *call)
{
    return call->request.op->may_block || (call->server->config.slow && needs_consent(call->request.op->opcode));
}

/* Only READ has a long reply among the requests that can block. */
static size_t job_body_size(const struct call *call)
{
    const struct wire_request *request = &call->request;
    if (request->op->opcode != FUSE_READ)
        return request->op->reply_size;
    return request->window ? sizeof(struct fuse_write_out) : request->args.read.size;
}

/* What points into the message has to point into its copy. */
static void follow_copy(struct wire_request *request, const uint8_t *message, const uint8_t *copy)
{
    for (size_t i = 0; i < sizeof request->name / sizeof *request->name; i++)
        if (request->name[i])
            request->name[i] = (const char *)copy + (request->name[i] - (const char *)message);
    if (request->payload && request->payload != request->window)
        request->payload = copy + (request->payload - message);
}

/* Hands the call, with its pins, over to the pool. False when there is no room: the caller then has to wait itself, which
 * holds the peer back. */
static bool queue(const struct call *call, const uint8_t *message)
{
    size_t len = call->request.header.len;
    struct job *job = malloc(sizeof *job + job_body_size(call));
    if (!job)
        return false;
    *job = (struct job){.pool_job = {.key = call->request.header.unique, .run = run_job}, .call = *call};
    job->message = malloc(len);
    if (!job->message) {
        free_job(job);
        return false;
    }
    memcpy(job->message, message, len);
    follow_copy(&job->call.request, message, job->message);
    job->call.body = job->body;
    job->call.may_wait = job->call.in_pool = true;
    if (pool_submit(call->server->pool, &job->pool_job))
        return true;
    free_job(job);
    return false;
}

static void serve(struct call *call, const uint8_t *message)
{
    int result = pin_named(call);
    if (result == 0 && is_stale(call))
        result = -ESTALE;
    if (result == 0) {
        result = may_block(call) ? CALL_WAITS : run(call);
        if (result == CALL_WAITS) {
            if (queue(call, message))
                return;
            call->may_wait = true;
            result = run(call);
        }
    }
    if (result == CALL_TAKEN)
        return;
    server_call_unpin(call);
    server_reply(call, result);
}

static void serve_interrupt(struct server *server, const struct wire_request *request)
{
    if (server_locks_interrupt(server, request->args.interrupt.unique))
        return;
    struct pool_job *found = pool_cancel(server->pool, request->args.interrupt.unique);
    if (!found)
        return; /* answered, being worked on, or never seen: its own reply says what became of it */
    struct job *job = (struct job *)found;
    server_call_unpin(&job->call);
    server_reply(&job->call, -EINTR);
    free_job(job);
}

static void serve_forgets(struct server *server, const struct wire_request *request)
{
    if (request->op->opcode == FUSE_FORGET) {
        server_node_forget(server, request->header.nodeid, request->args.forget.nlookup);
        return;
    }
    for (uint32_t i = 0; i < request->args.batch_forget.count; i++) {
        struct fuse_forget_one one = wire_forget_at(request, i);
        server_node_forget(server, one.nodeid, one.nlookup);
    }
}

static void dispatch(struct call *call, const uint8_t *message)
{
    switch (call->request.op->opcode) {
    case FUSE_FORGET:
    case FUSE_BATCH_FORGET:
        serve_forgets(call->server, &call->request);
        break;
    case FUSE_INTERRUPT:
        serve_interrupt(call->server, &call->request);
        break;
    case FUSE_NOTIFY_REPLY: /* nothing was asked */
        break;
    case FUSE_DESTROY:
        server_end_session(call->server);
        server_reply(call, 0);
        break;
    default:
        serve(call, message);
    }
}

int server_receive(struct server *server, uint8_t *message, size_t len)
{
    struct call call = {.server = server, .body = server->scratch + 1};
    int rc = wire_decode(message, len, &server->limits, &call.request);
    if (rc == -EPROTO)
        return rc;
    bool begins = call.request.header.opcode == FUSE_INIT;
    if (begins && server->adopted)
        server_end_session(server);
    server->adopted = false;
    if (begins == server->ready)
        return -EPROTO;
    if (rc < 0)
        server_reply(&call, rc);
    else
        dispatch(&call, message);
    return 0;
}
