/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/hooks.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/fs.h>
#include <stdlib.h>

#include "fs/hook.h"
#include "fs/hook_paths.h"
#include "fs/stacked.h"

struct hooks {
    struct stacked stacked; /* first */
    struct hook *hook;
    const char *mount;
    struct hook_paths paths;
};

/* One operation on its way through the hook. */
struct asking {
    struct hook_event event;
    uint64_t id;
    int error; /* why it cannot even be described */
    char path[PATH_MAX], to[PATH_MAX];
};

static struct hooks *hooks_of(struct vfs *vfs)
{
    return (struct hooks *)vfs;
}

#define BELOW(op, ...) (stacked_below(vfs)->ops->op(stacked_below(vfs), __VA_ARGS__))

/* The operation, if the program allows it, and what came of it. */
#define ASKED(asking, call)                                       \
    __extension__({                                               \
        int64_t result_ = ask(vfs, asking);                       \
        if (result_ == 0) {                                       \
            result_ = (call);                                     \
            hook_end(hooks_of(vfs)->hook, &(asking)->event, (asking)->id, result_); \
        }                                                         \
        result_;                                                  \
    })

static int ask(struct vfs *vfs, struct asking *a)
{
    return a->error ? a->error : hook_begin(hooks_of(vfs)->hook, &a->event, &a->id);
}

static void describe(struct vfs *vfs, struct asking *a, enum hook_op op)
{
    a->event = (struct hook_event){.op = op, .mount = hooks_of(vfs)->mount, .path = a->path};
    a->id = 0;
}

/* `name` may be NULL: the node itself is meant. */
static void about_node(struct vfs *vfs, struct asking *a, enum hook_op op, struct vfs_node *node, const char *name)
{
    describe(vfs, a, op);
    a->error = hook_paths_of(&hooks_of(vfs)->paths, node, name, a->path, sizeof a->path);
}

static void about_file(struct vfs *vfs, struct asking *a, enum hook_op op, struct vfs_file *file, uint64_t offset,
                       uint64_t size)
{
    describe(vfs, a, op);
    hook_event_number(&a->event, HOOK_OFFSET, offset);
    hook_event_number(&a->event, HOOK_SIZE, size);
    a->error = hook_paths_of_file(&hooks_of(vfs)->paths, file, a->path, sizeof a->path);
}

static void about_other(struct vfs *vfs, struct asking *a, struct vfs_node *node, const char *name)
{
    if (a->error == 0)
        a->error = hook_paths_of(&hooks_of(vfs)->paths, node, name, a->to, sizeof a->to);
    a->event.to = a->to;
}

static void about_open(struct hook_event *event, int flags)
{
    static const char *const access[] = {[O_RDONLY] = "r", [O_WRONLY] = "w", [O_RDWR] = "rw"};
    event->access = access[flags & O_ACCMODE];
    event->truncate = flags & O_TRUNC;
}

/* ---- names ---- */

static int hooked_root(struct vfs *vfs, struct vfs_entry *out)
{
    int rc = BELOW(root, out);
    return rc < 0 ? rc : hook_paths_enter(&hooks_of(vfs)->paths, NULL, "", out->node);
}

static void hooked_forget(struct vfs *vfs, struct vfs_node *node)
{
    hook_paths_forget(&hooks_of(vfs)->paths, node);
}

static int hooked_lookup(struct vfs *vfs, struct vfs_node *dir, const char *name, struct vfs_entry *out)
{
    if (hook_is_dead(hooks_of(vfs)->hook))
        return -EIO;
    int rc = BELOW(lookup, dir, name, out);
    return rc < 0 ? rc : hook_paths_enter(&hooks_of(vfs)->paths, dir, name, out->node);
}

static void keep_nothing(struct fuse_attr *attr)
{
    attr->flags &= ~(uint32_t)(VFS_KEEP_ATTR | VFS_KEEP_NAME);
}

static int made(struct vfs *vfs, struct vfs_node *dir, const char *name, int rc, struct vfs_entry *out)
{
    if (rc < 0)
        return rc;
    keep_nothing(&out->attr);
    return hook_paths_enter(&hooks_of(vfs)->paths, dir, name, out->node);
}

/* Makes a name, under the umask of its request. */
#define MADE(call)                                                \
    __extension__({                                               \
        hook_lock_making(hooks_of(vfs)->hook);                    \
        int made_ = (call);                                       \
        hook_unlock_making(hooks_of(vfs)->hook);                  \
        made(vfs, dir, name, made_, out);                         \
    })

static int hooked_mknod(struct vfs *vfs, const struct vfs_cred *cred, struct vfs_node *dir, const char *name,
                        uint32_t mode, uint32_t rdev, struct vfs_entry *out)
{
    struct asking a;
    about_node(vfs, &a, HOOK_MKNOD, dir, name);
    hook_event_number(&a.event, HOOK_MODE, mode);
    return (int)ASKED(&a, MADE(BELOW(mknod, cred, dir, name, mode, rdev, out)));
}

static int hooked_mkdir(struct vfs *vfs, const struct vfs_cred *cred, struct vfs_node *dir, const char *name,
                        uint32_t mode, struct vfs_entry *out)
{
    struct asking a;
    about_node(vfs, &a, HOOK_MKDIR, dir, name);
    hook_event_number(&a.event, HOOK_MODE, mode);
    return (int)ASKED(&a, MADE(BELOW(mkdir, cred, dir, name, mode, out)));
}

static int hooked_symlink(struct vfs *vfs, const struct vfs_cred *cred, struct vfs_node *dir, const char *name,
                          const char *target, struct vfs_entry *out)
{
    struct asking a;
    about_node(vfs, &a, HOOK_SYMLINK, dir, name);
    a.event.target = target;
    return (int)ASKED(&a, MADE(BELOW(symlink, cred, dir, name, target, out)));
}

static int hooked_link(struct vfs *vfs, struct vfs_node *node, struct vfs_node *dir, const char *name,
                       struct vfs_entry *out)
{
    struct asking a;
    about_node(vfs, &a, HOOK_LINK, node, NULL);
    about_other(vfs, &a, dir, name);
    return (int)ASKED(&a, made(vfs, dir, name, BELOW(link, node, dir, name, out), out));
}

static int hooked_unlink(struct vfs *vfs, struct vfs_node *dir, const char *name)
{
    struct asking a;
    about_node(vfs, &a, HOOK_UNLINK, dir, name);
    return (int)ASKED(&a, BELOW(unlink, dir, name));
}

static int hooked_rmdir(struct vfs *vfs, struct vfs_node *dir, const char *name)
{
    struct asking a;
    about_node(vfs, &a, HOOK_RMDIR, dir, name);
    return (int)ASKED(&a, BELOW(rmdir, dir, name));
}

/* Nobody says which node a rename has moved. */
static void note_move(struct vfs *vfs, struct vfs_node *dir, const char *name)
{
    struct vfs_entry entry;
    if (BELOW(lookup, dir, name, &entry) < 0)
        return;
    hook_paths_moved(&hooks_of(vfs)->paths, dir, name, entry.node);
    BELOW(forget, entry.node);
}

static int rename_below(struct vfs *vfs, struct vfs_node *dir, const char *name, struct vfs_node *new_dir,
                        const char *new_name, uint32_t flags)
{
    int rc = BELOW(rename, dir, name, new_dir, new_name, flags);
    if (rc < 0)
        return rc;
    note_move(vfs, new_dir, new_name);
    if (flags & RENAME_EXCHANGE)
        note_move(vfs, dir, name);
    return rc;
}

static int hooked_rename(struct vfs *vfs, struct vfs_node *dir, const char *name, struct vfs_node *new_dir,
                         const char *new_name, uint32_t flags)
{
    struct asking a;
    about_node(vfs, &a, HOOK_RENAME, dir, name);
    about_other(vfs, &a, new_dir, new_name);
    return (int)ASKED(&a, rename_below(vfs, dir, name, new_dir, new_name, flags));
}

/* ---- attributes ---- */

static int hooked_setattr(struct vfs *vfs, struct vfs_node *node, struct vfs_file *file,
                          const struct fuse_setattr_in *set, struct fuse_attr *out)
{
    const uint32_t times = FATTR_ATIME | FATTR_MTIME | FATTR_ATIME_NOW | FATTR_MTIME_NOW;
    const uint32_t changes = FATTR_SIZE | FATTR_MODE | FATTR_UID | FATTR_GID | times;
    const struct {
        uint32_t bit;
        enum hook_number number;
        uint64_t value;
    } parts[] = {{FATTR_SIZE, HOOK_SIZE, set->size},
                 {FATTR_MODE, HOOK_MODE, set->mode},
                 {FATTR_UID, HOOK_UID, set->uid},
                 {FATTR_GID, HOOK_GID, set->gid}};
    if (!(set->valid & changes)) /* the guest's kernel says that a write follows, which will be reported */
        return BELOW(setattr, node, file, set, out);
    struct asking a;
    about_node(vfs, &a, HOOK_SETATTR, node, NULL);
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        if (set->valid & parts[i].bit)
            hook_event_number(&a.event, parts[i].number, parts[i].value);
    a.event.times = set->valid & times;
    int rc = (int)ASKED(&a, BELOW(setattr, node, file, set, out));
    if (rc == 0)
        keep_nothing(out);
    return rc;
}

static int hooked_setxattr(struct vfs *vfs, struct vfs_node *node, const char *name, const void *value, size_t size,
                           int flags)
{
    struct asking a;
    about_node(vfs, &a, HOOK_SETXATTR, node, NULL);
    a.event.name = name;
    hook_event_number(&a.event, HOOK_SIZE, size);
    return (int)ASKED(&a, BELOW(setxattr, node, name, value, size, flags));
}

static int hooked_removexattr(struct vfs *vfs, struct vfs_node *node, const char *name)
{
    struct asking a;
    about_node(vfs, &a, HOOK_REMOVEXATTR, node, NULL);
    a.event.name = name;
    return (int)ASKED(&a, BELOW(removexattr, node, name));
}

/* ---- files ---- */

static int opened(struct vfs *vfs, struct vfs_node *node, int rc, struct vfs_file **file)
{
    if (rc < 0)
        return rc;
    rc = hook_paths_open(&hooks_of(vfs)->paths, node, *file);
    if (rc < 0)
        BELOW(release, *file);
    return rc;
}

static int create_below(struct vfs *vfs, const struct vfs_cred *cred, struct vfs_node *dir, const char *name,
                        uint32_t mode, int flags, unsigned how, struct vfs_entry *out, struct vfs_file **file)
{
    hook_lock_making(hooks_of(vfs)->hook);
    int rc = BELOW(create, cred, dir, name, mode, flags, how, out, file);
    hook_unlock_making(hooks_of(vfs)->hook);
    if (rc < 0)
        return rc;
    rc = made(vfs, dir, name, rc, out);
    if (rc < 0) {
        BELOW(release, *file);
        return rc;
    }
    rc = opened(vfs, out->node, rc, file);
    if (rc < 0)
        hooked_forget(vfs, out->node);
    return rc;
}

static int hooked_create(struct vfs *vfs, const struct vfs_cred *cred, struct vfs_node *dir, const char *name,
                         uint32_t mode, int flags, unsigned how, struct vfs_entry *out, struct vfs_file **file)
{
    struct asking a;
    about_node(vfs, &a, HOOK_CREATE, dir, name);
    about_open(&a.event, flags);
    hook_event_number(&a.event, HOOK_MODE, mode);
    return (int)ASKED(&a, create_below(vfs, cred, dir, name, mode, flags, how, out, file));
}

static int hooked_open(struct vfs *vfs, struct vfs_node *node, int flags, unsigned how, struct vfs_file **file)
{
    struct asking a;
    about_node(vfs, &a, HOOK_OPEN, node, NULL);
    about_open(&a.event, flags);
    return (int)ASKED(&a, opened(vfs, node, BELOW(open, node, flags, how, file), file));
}

static int hooked_opendir(struct vfs *vfs, struct vfs_node *node, struct vfs_file **file)
{
    struct asking a;
    about_node(vfs, &a, HOOK_OPENDIR, node, NULL);
    return (int)ASKED(&a, BELOW(opendir, node, file));
}

static void hooked_release(struct vfs *vfs, struct vfs_file *file)
{
    hook_paths_release(&hooks_of(vfs)->paths, file);
    BELOW(release, file);
}

static ssize_t hooked_read(struct vfs *vfs, struct vfs_file *file, void *buf, size_t size, uint64_t offset, unsigned how)
{
    struct asking a;
    about_file(vfs, &a, HOOK_READ, file, offset, size);
    return ASKED(&a, BELOW(read, file, buf, size, offset, how));
}

static ssize_t hooked_write(struct vfs *vfs, struct vfs_file *file, const void *buf, size_t size, uint64_t offset,
                            unsigned how)
{
    struct asking a;
    about_file(vfs, &a, HOOK_WRITE, file, offset, size);
    return ASKED(&a, BELOW(write, file, buf, size, offset, how));
}

static int hooked_fallocate(struct vfs *vfs, struct vfs_file *file, uint32_t mode, uint64_t offset, uint64_t length)
{
    struct asking a;
    about_file(vfs, &a, HOOK_FALLOCATE, file, offset, length);
    return (int)ASKED(&a, BELOW(fallocate, file, mode, offset, length));
}

static ssize_t hooked_copy(struct vfs *vfs, struct vfs_file *in, uint64_t offset_in, struct vfs_file *out,
                           uint64_t offset_out, size_t length)
{
    struct asking a;
    about_file(vfs, &a, HOOK_COPY, in, offset_in, length);
    if (a.error == 0)
        a.error = hook_paths_of_file(&hooks_of(vfs)->paths, out, a.to, sizeof a.to);
    a.event.to = a.to;
    return ASKED(&a, BELOW(copy, in, offset_in, out, offset_out, length));
}

static void set_operations(struct vfs_ops *ops)
{
    ops->root = hooked_root;
    ops->forget = hooked_forget;
    ops->lookup = hooked_lookup;
    ops->setattr = hooked_setattr;
    ops->mknod = hooked_mknod;
    ops->mkdir = hooked_mkdir;
    ops->symlink = hooked_symlink;
    ops->link = hooked_link;
    ops->unlink = hooked_unlink;
    ops->rmdir = hooked_rmdir;
    ops->rename = hooked_rename;
    ops->create = hooked_create;
    ops->open = hooked_open;
    ops->opendir = hooked_opendir;
    ops->release = hooked_release;
    ops->read = hooked_read;
    ops->write = hooked_write;
    ops->fallocate = hooked_fallocate;
    ops->copy = hooked_copy;
    ops->setxattr = hooked_setxattr;
    ops->removexattr = hooked_removexattr;
}

struct vfs *hooks_new(struct vfs *below, struct hook *hook, const char *mount)
{
    struct hooks *h = calloc(1, sizeof *h);
    if (!h)
        return NULL;
    h->hook = hook;
    h->mount = mount;
    stacked_init(&h->stacked, below);
    set_operations(&h->stacked.ops);
    int rc = hook_paths_init(&h->paths, below);
    if (rc == 0)
        return &h->stacked.vfs;
    hook_paths_fini(&h->paths);
    free(h);
    errno = -rc;
    return NULL;
}

void hooks_free(struct vfs *vfs)
{
    if (!vfs)
        return;
    hook_paths_fini(&hooks_of(vfs)->paths);
    free(vfs);
}
