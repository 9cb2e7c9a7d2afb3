/* SPDX-License-Identifier: Apache-2.0 */
/* libfuse's side of the control files. Operations that make no sense on control files are all present and refused:
 * where libfuse answers ENOSYS for a missing one, the kernel takes that for the whole connection, root/ included. */
#define FUSE_USE_VERSION 314

#include <errno.h>
#include <fuse3/fuse_lowlevel.h>
#include <poll.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fs/control_internal.h"
#include "fs/control_list.h"
#include "fs/wire.h"
#include "src/printable.h"

static struct control *control_of(fuse_req_t req)
{
    return fuse_req_userdata(req);
}

/* The handle is kept in fi->fh; nodes are found by id, never by pointer from the kernel. */
static struct control_handle *handle_of(struct fuse_file_info *fi)
{
    return (struct control_handle *)(uintptr_t)fi->fh;
}

/* Refuses a request that has no struct control_request. */
static void refuse(fuse_req_t req, int code, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

static void refuse(fuse_req_t req, int code, const char *fmt, ...)
{
    char sentence[512];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(sentence, sizeof sentence, fmt, ap);
    va_end(ap);
    control_set_error(control_of(req), "%s", sentence);
    fuse_reply_err(req, code);
}

/* malloc'd, or NULL. */
static char *render(const struct control_node *node, size_t *len)
{
    char *text = NULL;
    FILE *out = open_memstream(&text, len);
    if (!out)
        return NULL;
    node->ops->render(node->object, out);
    if (fclose(out) != 0) {
        free(text);
        return NULL;
    }
    return text;
}

static off_t node_size(const struct control_node *node)
{
    size_t len = 0;
    if (node->ops->size)
        return node->ops->size(node->object);
    if (S_ISLNK(node->mode) && node->ops->readlink) {
        char *target = node->ops->readlink(node->object);
        len = target ? strlen(target) : 0;
        free(target);
    } else if (node->ops->sized && node->ops->render) {
        free(render(node, &len));
    }
    return (off_t)len;
}

static void fill_attr(const struct control_node *node, struct stat *st)
{
    *st = (struct stat){
        .st_ino = node->id & ~CONTROL_ID_BIT,
        .st_mode = node->mode,
        .st_nlink = S_ISDIR(node->mode) ? 2 : 1,
        .st_uid = node->control->uid,
        .st_gid = node->control->gid,
        .st_size = node_size(node),
        .st_blksize = 4096,
        .st_atim = node->mtime,
        .st_mtim = node->mtime,
        .st_ctim = node->mtime,
    };
}

/* Half of what one request may ask for: the second half is on its way while the first is copied. */
enum { READ_AHEAD = WIRE_IO_LIMIT / 2 };

/* What the host's kernel may keep: every request that it need not make counts, as opening a file takes one for each
 * directory on the way. Names are not kept, because control files come and go by themselves; except those at the top,
 * which every path leads through and which stay. (After a restore the old id of root/ is ESTALE, upon which the kernel
 * looks again.) Of attributes only sizes change that matter. */
static const double KEPT_SECONDS = 1.0;

static double entry_seconds(const struct control_node *node)
{
    bool stays = S_ISDIR(node->mode) && node->parent == control_root(node->control);
    return stays ? KEPT_SECONDS : 0;
}

static double attr_seconds(const struct control_node *node)
{
    bool size_changes = S_ISLNK(node->mode) || node->ops->sized || node->ops->size;
    return size_changes || node->foreign_id ? 0 : KEPT_SECONDS;
}

static void fill_entry(struct control_node *node, struct fuse_entry_param *entry)
{
    *entry = (struct fuse_entry_param){
        .ino = node->foreign_id ? node->foreign_id(node->object) : node->id,
        .generation = 1,
        .entry_timeout = entry_seconds(node),
        .attr_timeout = attr_seconds(node),
    };
    fill_attr(node, &entry->attr);
}

static void op_init(void *userdata, struct fuse_conn_info *conn)
{
    (void)userdata;
    conn->max_write = WIRE_IO_LIMIT;
    conn->max_readahead = READ_AHEAD;
    conn->want &= ~(unsigned)(FUSE_CAP_SPLICE_READ | FUSE_CAP_SPLICE_WRITE | FUSE_CAP_SPLICE_MOVE);
    conn->want |= conn->capable & (FUSE_CAP_ATOMIC_O_TRUNC | FUSE_CAP_ASYNC_READ | FUSE_CAP_AUTO_INVAL_DATA |
                                   FUSE_CAP_READDIRPLUS | FUSE_CAP_READDIRPLUS_AUTO | FUSE_CAP_DONT_MASK);
}

static void reply_entry(fuse_req_t req, struct control_node *node)
{
    struct fuse_entry_param entry;
    fill_entry(node, &entry);
    /* A caller that was killed meanwhile has taken no reference. */
    if (fuse_reply_entry(req, &entry) == 0 && !node->foreign_id)
        node->lookups++;
}

static void reply_lookup(fuse_req_t req, struct control_node *node)
{
    if (!node || control_node_absent(node))
        fuse_reply_err(req, ENOENT);
    else
        reply_entry(req, node);
}

static void op_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
    struct control_node *dir = control_directory(control_of(req), parent);
    struct control_node *node = dir ? control_find(dir, name) : NULL;
    if (node || !control_waits_for_dir(req, dir, name))
        reply_lookup(req, dir ? control_find(dir, name) : NULL);
}

static void op_forget(fuse_req_t req, fuse_ino_t ino, uint64_t count)
{
    struct control_node *node = control_node_by_id(control_of(req), ino);
    if (node) {
        node->lookups -= count < node->lookups ? count : node->lookups;
        control_node_maybe_free(node);
    }
    fuse_reply_none(req);
}

static void op_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
    (void)fi;
    struct control_node *node = control_node_by_id(control_of(req), ino);
    if (!node || (!node->in_tree && !node->handles)) {
        fuse_reply_err(req, ESTALE);
        return;
    }
    struct stat st;
    fill_attr(node, &st);
    fuse_reply_attr(req, &st, attr_seconds(node));
}

static bool changes_owner_or_mode(const struct control_node *node, const struct stat *attr, int to_set)
{
    return ((to_set & FUSE_SET_ATTR_MODE) && (attr->st_mode & 07777) != (node->mode & 07777)) ||
           ((to_set & FUSE_SET_ATTR_UID) && attr->st_uid != node->control->uid) ||
           ((to_set & FUSE_SET_ATTR_GID) && attr->st_gid != node->control->gid);
}

static void op_setattr(fuse_req_t req, fuse_ino_t ino, struct stat *attr, int to_set, struct fuse_file_info *fi)
{
    struct control_node *node = control_node_by_id(control_of(req), ino);
    if (!node || !node->in_tree)
        fuse_reply_err(req, ESTALE);
    else if (changes_owner_or_mode(node, attr, to_set))
        refuse(req, EPERM, "%s: owner and mode of a control file are fixed", node->name);
    else {
        if ((to_set & FUSE_SET_ATTR_SIZE) && attr->st_size == 0 && node->ops->truncate)
            node->ops->truncate(node->object);
        op_getattr(req, ino, fi);
    }
}

static void op_readlink(fuse_req_t req, fuse_ino_t ino)
{
    struct control_node *node = control_node_by_id(control_of(req), ino);
    char *target = node && node->ops->readlink ? node->ops->readlink(node->object) : NULL;
    if (target)
        fuse_reply_readlink(req, target);
    else
        fuse_reply_err(req, ENOENT);
    free(target);
}

static void make_now(fuse_req_t req, struct control_node *dir, const char *name)
{
    int code = dir->ops->mkdir(dir->object, name);
    struct control_node *node = code ? NULL : control_find(dir, name);
    if (node)
        reply_entry(req, node);
    else
        fuse_reply_err(req, code ? code : EIO);
}

static void op_mkdir(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode)
{
    (void)mode;
    struct control_node *dir = control_directory(control_of(req), parent);
    struct control_request *request;
    if (!dir || !dir->in_tree)
        fuse_reply_err(req, ESTALE);
    else if (control_find(dir, name))
        refuse(req, EEXIST, "mkdir: %.80s: there is one already", name);
    else if (dir->ops->mkdir)
        make_now(req, dir, name);
    else if (!dir->ops->mkdir_later)
        refuse(req, EPERM, "mkdir: %.80s: no directories can be made here", name);
    else if (!(request = control_request_new(req, NULL)))
        fuse_reply_err(req, ENOMEM);
    else
        dir->ops->mkdir_later(dir->object, name, request);
}

static void op_rmdir(fuse_req_t req, fuse_ino_t parent, const char *name)
{
    struct control_node *dir = control_directory(control_of(req), parent);
    struct control_node *node = dir ? control_find(dir, name) : NULL;
    struct control_request *request;
    if (!node)
        fuse_reply_err(req, ENOENT);
    else if (!S_ISDIR(node->mode))
        fuse_reply_err(req, ENOTDIR);
    else if (node->ops->rmdir)
        fuse_reply_err(req, node->ops->rmdir(node->object));
    else if (!node->ops->rmdir_later)
        refuse(req, EPERM, "rmdir: %.80s: is part of the sandbox", name);
    else if (!(request = control_request_new(req, NULL)))
        fuse_reply_err(req, ENOMEM);
    else
        node->ops->rmdir_later(node->object, request);
}

#define NO_FILES "%s: %.80s: control files are not made, removed or renamed; mkdir and rmdir in jobs/ and checkpoints/ are"

static void op_create(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode, struct fuse_file_info *fi)
{
    (void)parent, (void)mode, (void)fi;
    refuse(req, EPERM, NO_FILES, "create", name);
}

static void op_mknod(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode, dev_t rdev)
{
    (void)parent, (void)mode, (void)rdev;
    refuse(req, EPERM, NO_FILES, "create", name);
}

static void op_unlink(fuse_req_t req, fuse_ino_t parent, const char *name)
{
    (void)parent;
    refuse(req, EPERM, NO_FILES, "remove", name);
}

static void op_symlink(fuse_req_t req, const char *target, fuse_ino_t parent, const char *name)
{
    (void)target, (void)parent;
    refuse(req, EPERM, NO_FILES, "create", name);
}

static void op_rename(fuse_req_t req, fuse_ino_t parent, const char *name, fuse_ino_t newparent, const char *newname,
                      unsigned flags)
{
    (void)parent, (void)newparent, (void)newname, (void)flags;
    refuse(req, EPERM, NO_FILES, "rename", name);
}

static void op_link(fuse_req_t req, fuse_ino_t ino, fuse_ino_t newparent, const char *newname)
{
    (void)ino, (void)newparent;
    refuse(req, EPERM, NO_FILES, "link", newname);
}

static int open_node(struct control_node *node, int flags, struct control_handle **out)
{
    struct control_handle *handle = calloc(1, sizeof *handle);
    if (!handle)
        return ENOMEM;
    handle->node = node;
    handle->flags = flags;
    int code = node->ops->open ? node->ops->open(handle) : 0;
    if (!code && node->ops->render && (flags & O_ACCMODE) != O_WRONLY) {
        handle->text = render(node, &handle->text_len);
        code = handle->text ? 0 : ENOMEM;
        if (code && node->ops->release)
            node->ops->release(handle);
    }
    if (code) {
        free(handle->answer.text);
        free(handle);
        return code;
    }
    handle->next = node->control->handles;
    handle->link = &node->control->handles;
    if (handle->next)
        handle->next->link = &handle->next;
    node->control->handles = handle;
    node->handles++;
    *out = handle;
    return 0;
}

/* The mode counts for root too: it says what a file is for, and reading a stdin or writing a stdout does harm. */
static bool mode_allows(const struct control_node *node, int flags)
{
    int access = flags & O_ACCMODE;
    return (access == O_WRONLY || (node->mode & S_IRUSR)) && (access == O_RDONLY || (node->mode & S_IWUSR));
}

static void op_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
    struct control_node *node = control_node_by_id(control_of(req), ino);
    if (!node || !node->in_tree) {
        fuse_reply_err(req, ESTALE);
        return;
    }
    if (!mode_allows(node, fi->flags)) {
        refuse(req, EACCES, "%s: can only be %s", node->name, node->mode & S_IRUSR ? "read" : "written");
        return;
    }
    struct control_handle *handle;
    int code = open_node(node, fi->flags, &handle);
    if (code) {
        fuse_reply_err(req, code);
        return;
    }
    if ((fi->flags & O_TRUNC) && node->ops->truncate)
        node->ops->truncate(node->object);
    fi->fh = (uintptr_t)handle;
    fi->direct_io = 1;
    fi->nonseekable = node->ops->stream;
    if (fuse_reply_open(req, fi) < 0)
        control_handle_close(handle);
}

struct control_request *control_request_new(fuse_req_t req, struct control_handle *handle)
{
    struct control_request *request = calloc(1, sizeof *request);
    if (!request)
        return NULL;
    struct control *control = control_of(req);
    *request = (struct control_request){.control = control, .fuse = req, .handle = handle, .next = control->requests,
                                        .link = &control->requests, .unique = control->arriving_unique,
                                        .thread = control->arriving_thread};
    if (request->next)
        request->next->link = &request->next;
    control->requests = request;
    return request;
}

void control_request_free(struct control_request *request)
{
    *request->link = request->next;
    if (request->next)
        request->next->link = request->link;
    free(request->name);
    free(request);
}

bool control_waits_for_dir(fuse_req_t req, struct control_node *dir, const char *name)
{
    if (!dir || !dir->in_tree || !dir->ops->refresh)
        return false;
    struct control_request *request = control_request_new(req, NULL);
    if (!request)
        return false;
    request->dir = dir->id;
    request->name = name ? strdup(name) : NULL;
    if ((name && !request->name) || dir->ops->refresh(dir->object, request)) {
        control_request_free(request);
        return false;
    }
    return true;
}

void control_request_resume(struct control_request *request)
{
    struct control_node *dir = control_node_by_id(request->control, request->dir);
    if (request->name)
        reply_lookup(request->fuse, dir ? control_find(dir, request->name) : NULL);
    else
        control_list_reply_open(request->fuse, dir);
    control_request_free(request);
}

void control_reply_data(struct control_request *request, const void *data, size_t len)
{
    fuse_reply_buf(request->fuse, data, len);
    control_request_free(request);
}

void control_reply_made(struct control_request *request, struct control_node *node)
{
    reply_entry(request->fuse, node);
    control_request_free(request);
}

void control_reply_removed(struct control_request *request)
{
    fuse_reply_err(request->fuse, 0);
    control_request_free(request);
}

void control_reply_written(struct control_request *request, size_t len)
{
    fuse_reply_write(request->fuse, len);
    control_request_free(request);
}

void control_reply_code(struct control_request *request, int code, const char *sentence)
{
    if (code != EINTR)
        control_set_error(request->control, "%s", sentence);
    fuse_reply_err(request->fuse, code);
    control_request_free(request);
}

void control_reply_error(struct control_request *request, int code, const char *fmt, ...)
{
    char sentence[sizeof request->control->error];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(sentence, sizeof sentence - 1, fmt, ap);
    va_end(ap);
    struct control_handle *handle = request->handle;
    if (handle && request->writes && (handle->flags & O_ACCMODE) == O_RDWR) {
        size_t len = strlen(sentence);
        printable(sentence, len);
        sentence[len] = '\n';
        control_answer_set(&handle->failure, sentence, len + 1);
        sentence[len] = '\0';
    }
    control_reply_code(request, code, sentence);
}

static void interrupted(fuse_req_t req, void *data)
{
    (void)req;
    struct control_request *request = data;
    request->on_interrupt(request, request->on_interrupt_data);
}

void control_request_on_interrupt(struct control_request *request, void (*fn)(struct control_request *, void *),
                                  void *data)
{
    request->on_interrupt = fn;
    request->on_interrupt_data = data;
    /* Registering would call back at once, and libfuse 3.14 touches the request after that although the answer has
     * freed it. */
    if (fuse_req_interrupted(request->fuse))
        fn(request, data);
    else
        fuse_req_interrupt_func(request->fuse, interrupted, request);
}

static void read_answer(fuse_req_t req, struct control_answer *answer, size_t size)
{
    size_t len = answer->len - answer->taken < size ? answer->len - answer->taken : size;
    answer->taken += len;
    fuse_reply_buf(req, answer->text + answer->taken - len, len);
}

static void read_text(fuse_req_t req, struct control_handle *handle, size_t size, off_t offset)
{
    if (handle->text_is_stale && offset == 0) {
        free(handle->text);
        handle->text_len = 0;
        handle->text = render(handle->node, &handle->text_len);
        handle->text_is_stale = false;
    }
    size_t from = (uint64_t)offset < handle->text_len ? (size_t)offset : handle->text_len;
    size_t len = handle->text_len - from < size ? handle->text_len - from : size;
    fuse_reply_buf(req, handle->text ? handle->text + from : NULL, len);
}

/* O_NONBLOCK can be switched on an open descriptor; each request says how it stands. */
static void take_flags(struct control_handle *handle, const struct fuse_file_info *fi)
{
    handle->flags = (handle->flags & ~O_NONBLOCK) | (fi->flags & O_NONBLOCK);
}

static void op_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset, struct fuse_file_info *fi)
{
    (void)ino;
    struct control_handle *handle = handle_of(fi);
    take_flags(handle, fi);
    if (handle->failure.text || handle->answer.text) {
        read_answer(req, handle->failure.text ? &handle->failure : &handle->answer, size);
        return;
    }
    if (!handle->node->ops->read) {
        read_text(req, handle, size, offset);
        return;
    }
    struct control_request *request = control_request_new(req, handle);
    if (!request)
        fuse_reply_err(req, ENOMEM);
    else
        handle->node->ops->read(handle, size, offset, request);
}

/* A write leaves behind what was said about the one before. */
static struct control_request *write_request_new(fuse_req_t req, struct control_handle *handle)
{
    struct control_request *request = control_request_new(req, handle);
    free(handle->failure.text);
    handle->failure = (struct control_answer){0};
    handle->text_is_stale = handle->text != NULL;
    if (request) {
        request->writes = true;
        request->continues = !handle->flushed;
    }
    handle->flushed = false;
    return request;
}

static void op_write(fuse_req_t req, fuse_ino_t ino, const char *data, size_t size, off_t offset,
                     struct fuse_file_info *fi)
{
    (void)ino;
    struct control_handle *handle = handle_of(fi);
    const struct control_ops *ops = handle->node->ops;
    take_flags(handle, fi);
    struct control_request *request = write_request_new(req, handle);
    size_t max = ops->max_write ? ops->max_write : CONTROL_DEFAULT_MAX_WRITE;
    const char *name = handle->node->name;
    if (!request)
        fuse_reply_err(req, ENOMEM);
    else if (!ops->write)
        control_reply_error(request, EPERM, "%s: cannot be written", name);
    else if (!handle->node->in_tree)
        control_reply_error(request, ESTALE, "%s: its object has been removed", name);
    else if (size > max)
        control_reply_error(request, EMSGSIZE, "%s: %zu bytes in one write; at most %zu are taken", name, size, max);
    else
        ops->write(handle, data, size, offset, request);
}

void control_handle_close(struct control_handle *handle)
{
    struct control_node *node = handle->node;
    for (struct control_request *r = node->control->requests; r; r = r->next)
        if (r->handle == handle)
            r->handle = NULL;
    if (node->ops->release)
        node->ops->release(handle);
    if (handle->poll)
        fuse_pollhandle_destroy(handle->poll);
    *handle->link = handle->next;
    if (handle->next)
        handle->next->link = handle->link;
    free(handle->text);
    free(handle->answer.text);
    free(handle->failure.text);
    free(handle);
    node->handles--;
    struct control *control = node->control;
    control_node_maybe_free(node);
    control_call_if_idle(control);
}

static void op_release(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
    (void)ino;
    control_handle_close(handle_of(fi));
    fuse_reply_err(req, 0);
}

/* Closing says nothing (it arrives before the data of `echo x > f`, and once for each duplicated descriptor). */
static void op_flush(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
    (void)ino;
    handle_of(fi)->flushed = true;
    fuse_reply_err(req, 0);
}

static void op_fsync(fuse_req_t req, fuse_ino_t ino, int datasync, struct fuse_file_info *fi)
{
    (void)ino, (void)datasync, (void)fi;
    fuse_reply_err(req, 0);
}

static void op_poll(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi, struct fuse_pollhandle *ph)
{
    (void)ino;
    struct control_handle *handle = handle_of(fi);
    if (ph) {
        if (handle->poll)
            fuse_pollhandle_destroy(handle->poll);
        handle->poll = ph;
    }
    unsigned ready = POLLIN | POLLOUT;
    take_flags(handle, fi);
    if (handle->node->ops->poll && !handle->failure.text)
        ready = handle->node->ops->poll(handle);
    fuse_reply_poll(req, ready);
}

void control_notify(struct control_handle *handle)
{
    if (!handle->poll)
        return;
    fuse_lowlevel_notify_poll(handle->poll);
    fuse_pollhandle_destroy(handle->poll);
    handle->poll = NULL;
}

static void op_statfs(fuse_req_t req, fuse_ino_t ino)
{
    (void)ino;
    struct statvfs st = {.f_bsize = 4096, .f_frsize = 4096, .f_namemax = 255};
    fuse_reply_statfs(req, &st);
}

static void op_setxattr(fuse_req_t req, fuse_ino_t ino, const char *name, const char *value, size_t size, int flags)
{
    (void)ino, (void)name, (void)value, (void)size, (void)flags;
    fuse_reply_err(req, EOPNOTSUPP);
}

static void op_getxattr(fuse_req_t req, fuse_ino_t ino, const char *name, size_t size)
{
    (void)ino, (void)name, (void)size;
    fuse_reply_err(req, ENODATA);
}

static void op_listxattr(fuse_req_t req, fuse_ino_t ino, size_t size)
{
    (void)ino;
    if (size)
        fuse_reply_buf(req, NULL, 0);
    else
        fuse_reply_xattr(req, 0);
}

static void op_removexattr(fuse_req_t req, fuse_ino_t ino, const char *name)
{
    (void)ino, (void)name;
    fuse_reply_err(req, ENODATA);
}

static void op_ioctl(fuse_req_t req, fuse_ino_t ino, unsigned cmd, void *arg, struct fuse_file_info *fi, unsigned flags,
                     const void *in, size_t in_size, size_t out_size)
{
    (void)ino, (void)cmd, (void)arg, (void)fi, (void)flags, (void)in, (void)in_size, (void)out_size;
    fuse_reply_err(req, ENOTTY);
}

static void op_fallocate(fuse_req_t req, fuse_ino_t ino, int mode, off_t offset, off_t length, struct fuse_file_info *fi)
{
    (void)ino, (void)mode, (void)offset, (void)length, (void)fi;
    fuse_reply_err(req, EOPNOTSUPP);
}

static void op_lseek(fuse_req_t req, fuse_ino_t ino, off_t offset, int whence, struct fuse_file_info *fi)
{
    (void)ino, (void)offset, (void)whence, (void)fi;
    fuse_reply_err(req, ENXIO);
}

static void op_copy_file_range(fuse_req_t req, fuse_ino_t in, off_t in_off, struct fuse_file_info *in_fi, fuse_ino_t out,
                               off_t out_off, struct fuse_file_info *out_fi, size_t len, int flags)
{
    (void)in, (void)in_off, (void)in_fi, (void)out, (void)out_off, (void)out_fi, (void)len, (void)flags;
    fuse_reply_err(req, EXDEV);
}

const struct fuse_lowlevel_ops *control_fuse_ops(void)
{
    static const struct fuse_lowlevel_ops ops = {
        .init = op_init,
        .lookup = op_lookup,
        .forget = op_forget,
        .getattr = op_getattr,
        .setattr = op_setattr,
        .readlink = op_readlink,
        .mknod = op_mknod,
        .mkdir = op_mkdir,
        .unlink = op_unlink,
        .rmdir = op_rmdir,
        .symlink = op_symlink,
        .rename = op_rename,
        .link = op_link,
        .open = op_open,
        .read = op_read,
        .write = op_write,
        .flush = op_flush,
        .release = op_release,
        .fsync = op_fsync,
        .opendir = control_list_opendir,
        .readdir = control_list_readdir,
        .readdirplus = control_list_readdirplus,
        .releasedir = control_list_releasedir,
        .fsyncdir = op_fsync,
        .statfs = op_statfs,
        .setxattr = op_setxattr,
        .getxattr = op_getxattr,
        .listxattr = op_listxattr,
        .removexattr = op_removexattr,
        .create = op_create,
        .ioctl = op_ioctl,
        .poll = op_poll,
        .fallocate = op_fallocate,
        .lseek = op_lseek,
        .copy_file_range = op_copy_file_range,
    };
    return &ops;
}
