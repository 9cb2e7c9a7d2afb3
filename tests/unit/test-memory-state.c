/* SPDX-License-Identifier: Apache-2.0 */
/* Trees in memory that go on in another process. */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fs/memory.h"
#include "fs/worker_proto.h"
#include "fs/worker_stack.h"
#include "tests/tools/treedump.h"
#include "tests/unit/peer.h"

enum { ROOT = FUSE_ROOT_ID, LIMIT = 1 << 20, PAGE = 4096 };

static const struct vfs_cred user = {.uid = 1000, .gid = 100, .umask = 022};

struct bytes {
    uint8_t *data;
    size_t len;
};

static struct bytes save(struct vfs *vfs)
{
    struct bytes state;
    char *data = NULL;
    FILE *out = open_memstream(&data, &state.len);
    cr_assert_eq(worker_stack_save(vfs, out), 0);
    fclose(out);
    state.data = (uint8_t *)data;
    return state;
}

static struct bytes dump(struct vfs *vfs)
{
    struct bytes bytes;
    bytes.data = tree_dump(vfs, &bytes.len);
    return bytes;
}

/* Of two that are freed. */
static void expect_same(struct bytes a, struct bytes b, const char *what)
{
    cr_expect_eq(a.len, b.len, "%s", what);
    cr_expect(a.len == b.len && memcmp(a.data, b.data, a.len) == 0, "%s: not the same bytes", what);
    free(a.data);
    free(b.data);
}

/* Another memory with what is in this one, which is freed. */
static struct vfs *move_to(struct vfs *old, uint64_t size)
{
    struct bytes state = save(old), before = dump(old);
    struct vfs *vfs = memory_new(size);
    cr_assert_eq(memory_load(vfs, state.data, state.len), 0);
    expect_same(dump(vfs), before, "the tree");
    expect_same(save(vfs), state, "its state");
    memory_free(old);
    return vfs;
}

static struct vfs_node *root_of(struct vfs *vfs)
{
    struct vfs_entry root;
    cr_assert_eq(vfs->ops->root(vfs, &root), 0);
    return root.node;
}

static void forget(struct vfs *vfs, struct vfs_node *node)
{
    vfs->ops->forget(vfs, node);
}

static struct vfs_node *make(struct vfs *vfs, struct vfs_node *dir, const char *name, uint32_t mode)
{
    struct vfs_entry entry;
    cr_assert_eq(S_ISDIR(mode) ? vfs->ops->mkdir(vfs, &user, dir, name, mode & 07777, &entry)
                               : vfs->ops->mknod(vfs, &user, dir, name, mode, 0, &entry),
                 0, "%s", name);
    return entry.node;
}

static void put(struct vfs *vfs, struct vfs_node *node, const char *text, uint64_t offset)
{
    struct vfs_file *file;
    cr_assert_eq(vfs->ops->open(vfs, node, O_RDWR, 0, &file), 0);
    cr_assert_eq(vfs->ops->write(vfs, file, text, strlen(text), offset, 0), (ssize_t)strlen(text));
    vfs->ops->release(vfs, file);
}

static void allocate(struct vfs *vfs, struct vfs_node *node, uint32_t mode, uint64_t offset, uint64_t len)
{
    struct vfs_file *file;
    cr_assert_eq(vfs->ops->open(vfs, node, O_RDWR, 0, &file), 0);
    cr_assert_eq(vfs->ops->fallocate(vfs, file, mode, offset, len), 0);
    vfs->ops->release(vfs, file);
}

static void set(struct vfs *vfs, struct vfs_node *node, const struct fuse_setattr_in *what)
{
    struct fuse_attr attr;
    cr_assert_eq(vfs->ops->setattr(vfs, node, NULL, what, &attr), 0);
}

static void add_files(struct vfs *vfs, struct vfs_node *dir)
{
    struct vfs_node *sparse = make(vfs, dir, "sparse", S_IFREG | 0640), *ahead = make(vfs, dir, "ahead", S_IFREG | 0600);
    put(vfs, sparse, "begin", 0);
    put(vfs, sparse, "across two pages", 3 * PAGE - 5);
    set(vfs, sparse, &(struct fuse_setattr_in){.valid = FATTR_SIZE, .size = 40 * PAGE + 1});
    allocate(vfs, ahead, FALLOC_FL_KEEP_SIZE, 0, 3 * PAGE);
    allocate(vfs, ahead, FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE, PAGE, PAGE);
    set(vfs, ahead, &(struct fuse_setattr_in){.valid = FATTR_ATIME | FATTR_MTIME, .atime = 1, .atimensec = 999999999,
                                             .mtime = 2, .mtimensec = 7});
    set(vfs, ahead, &(struct fuse_setattr_in){.valid = FATTR_UID | FATTR_GID, .uid = 5, .gid = 6});
    set(vfs, ahead, &(struct fuse_setattr_in){.valid = FATTR_MODE, .mode = 06751});
    cr_assert_eq(vfs->ops->setxattr(vfs, ahead, "user.z", "a\0b", 3, 0), 0);
    cr_assert_eq(vfs->ops->setxattr(vfs, ahead, "user.a", "", 0, 0), 0);
    forget(vfs, make(vfs, dir, "empty", S_IFREG | 0600));
    forget(vfs, sparse);
    forget(vfs, ahead);
}

static void add_links(struct vfs *vfs, struct vfs_node *dir, struct vfs_node *other)
{
    struct vfs_node *file = make(vfs, dir, "linked", S_IFREG | 0600);
    struct vfs_entry entry;
    put(vfs, file, "one file", 0);
    cr_assert_eq(vfs->ops->link(vfs, file, other, "elsewhere", &entry), 0);
    forget(vfs, entry.node);
    cr_assert_eq(vfs->ops->link(vfs, file, dir, "here", &entry), 0);
    forget(vfs, entry.node);
    cr_assert_eq(vfs->ops->symlink(vfs, &user, dir, "symlink", "/some/where/else", &entry), 0);
    forget(vfs, entry.node);
    forget(vfs, file);
}

/* All that there can be, with names that went and came. */
static struct vfs *a_tree(void)
{
    struct vfs *vfs = memory_new(LIMIT);
    struct vfs_node *root = root_of(vfs), *a = make(vfs, root, "a", S_IFDIR | 02755);
    struct vfs_node *b = make(vfs, root, "b", S_IFDIR | 0700);
    struct vfs_node *deep = make(vfs, a, "deep", S_IFDIR | 01777), *gone = make(vfs, root, "gone", S_IFREG | 0600);
    add_files(vfs, deep);
    add_links(vfs, b, deep);
    forget(vfs, make(vfs, root, "fifo", S_IFIFO | 0644));
    forget(vfs, make(vfs, b, "socket", S_IFSOCK | 0755));
    cr_assert_eq(vfs->ops->unlink(vfs, root, "gone"), 0);
    cr_assert_eq(vfs->ops->rename(vfs, b, "here", root, "there", 0), 0);
    cr_assert_eq(vfs->ops->rename(vfs, root, "a", b, "socket", RENAME_EXCHANGE), 0);
    cr_assert_eq(vfs->ops->setxattr(vfs, root, "user.root", "x", 1, 0), 0);
    set(vfs, root, &(struct fuse_setattr_in){.valid = FATTR_MODE | FATTR_UID, .mode = 0751, .uid = 3});
    struct vfs_node *const nodes[] = {root, a, b, deep, gone};
    for (size_t i = 0; i < sizeof nodes / sizeof *nodes; i++)
        forget(vfs, nodes[i]);
    return vfs;
}

Test(memory_state, all_of_a_tree_comes_back)
{
    struct vfs *vfs = a_tree();
    for (int i = 0; i < 3; i++)
        vfs = move_to(vfs, LIMIT);
    memory_free(vfs);
}

Test(memory_state, an_empty_tree_comes_back)
{
    memory_free(move_to(memory_new(LIMIT), LIMIT));
}

Test(memory_state, holes_stay_holes)
{
    struct vfs *vfs = move_to(a_tree(), LIMIT);
    struct vfs_node *root = root_of(vfs);
    struct fuse_kstatfs before, after;
    cr_assert_eq(vfs->ops->statfs(vfs, root, &before), 0);
    forget(vfs, root);
    vfs = move_to(vfs, LIMIT);
    root = root_of(vfs);
    cr_assert_eq(vfs->ops->statfs(vfs, root, &after), 0);
    cr_expect_eq(before.bfree, after.bfree);
    cr_expect_eq(before.files, after.files);
    forget(vfs, root);
    memory_free(vfs);
}

Test(memory_state, what_has_no_name_is_left_out_and_its_number_not_given_again)
{
    struct vfs *vfs = memory_new(LIMIT);
    struct vfs_node *root = root_of(vfs), *open = make(vfs, root, "open", S_IFREG | 0600);
    struct fuse_attr last, next;
    cr_assert_eq(vfs->ops->getattr(vfs, open, NULL, &last), 0);
    cr_assert_eq(vfs->ops->unlink(vfs, root, "open"), 0);
    struct bytes state = save(vfs);
    forget(vfs, open);
    forget(vfs, root);
    memory_free(vfs);
    vfs = memory_new(LIMIT);
    cr_assert_eq(memory_load(vfs, state.data, state.len), 0);
    root = root_of(vfs);
    struct vfs_node *node = make(vfs, root, "open", S_IFREG | 0600);
    cr_assert_eq(vfs->ops->getattr(vfs, node, NULL, &next), 0);
    cr_expect_gt(next.ino, last.ino);
    forget(vfs, node);
    forget(vfs, root);
    free(state.data);
    memory_free(vfs);
}

struct listing {
    char names[16];
    uint64_t next;
    unsigned most;
};

static int take_name(void *data, const struct vfs_dirent *entry)
{
    struct listing *l = data;
    if (strlen(l->names) == l->most)
        return 1;
    strncat(l->names, entry->name, 1);
    l->next = entry->next;
    return 0;
}

static void list(struct vfs *vfs, struct vfs_node *dir, struct listing *l)
{
    struct vfs_file *file;
    l->names[0] = '\0';
    cr_assert_eq(vfs->ops->opendir(vfs, dir, &file), 0);
    cr_assert_eq(vfs->ops->readdir(vfs, file, l->next, take_name, l), 0);
    vfs->ops->release(vfs, file);
}

Test(memory_state, listings_go_on_where_they_were)
{
    struct vfs *vfs = memory_new(LIMIT);
    struct vfs_node *root = root_of(vfs);
    struct listing l = {.most = 4};
    for (char name[] = "a"; *name <= 'f'; ++*name)
        forget(vfs, make(vfs, root, name, S_IFREG | 0600));
    cr_assert_eq(vfs->ops->unlink(vfs, root, "a"), 0);
    cr_assert_eq(vfs->ops->unlink(vfs, root, "f"), 0);
    list(vfs, root, &l);
    cr_expect_str_eq(l.names, "..bc");
    forget(vfs, root);
    vfs = move_to(vfs, LIMIT);
    root = root_of(vfs);
    forget(vfs, make(vfs, root, "g", S_IFREG | 0600));
    cr_assert_eq(vfs->ops->unlink(vfs, root, "c"), 0);
    list(vfs, root, &l);
    cr_expect_str_eq(l.names, "deg");
    forget(vfs, root);
    memory_free(vfs);
}

/* Until nothing more fits, not even an inode. */
static void fill_up(struct vfs *vfs)
{
    struct vfs_node *root = root_of(vfs), *file = make(vfs, root, "file", S_IFREG | 0600);
    struct vfs_entry entry;
    char name[16];
    put(vfs, file, "x", 20 * PAGE); /* its list of pages is longer than it has to be */
    cr_assert_eq(vfs->ops->setxattr(vfs, file, "user.x", name, sizeof name, 0), 0);
    for (unsigned i = 0;; i++) {
        snprintf(name, sizeof name, "%u", i);
        int rc = i % 2 ? vfs->ops->symlink(vfs, &user, root, name, "target", &entry)
                       : vfs->ops->mkdir(vfs, &user, root, name, 0700, &entry);
        if (rc < 0)
            break;
        forget(vfs, entry.node);
    }
    forget(vfs, file);
    forget(vfs, root);
}

/* What a failed load leaves takes another one. */
static void expect_untouched(struct vfs *vfs, struct bytes fresh, const char *what)
{
    struct bytes now = dump(vfs);
    cr_expect(now.len == fresh.len && memcmp(now.data, fresh.data, now.len) == 0, "%s: the tree is not as before", what);
    free(now.data);
}

Test(memory_state, a_full_memory_fits_into_its_like_and_into_no_smaller_one)
{
    struct vfs *vfs = memory_new(LIMIT), *smaller = memory_new(LIMIT - PAGE);
    fill_up(vfs);
    struct bytes state = save(vfs), fresh = dump(smaller);
    cr_expect_eq(memory_load(smaller, state.data, state.len), -ENOSPC);
    expect_untouched(smaller, fresh, "too small");
    free(fresh.data);
    free(state.data);
    memory_free(smaller);
    memory_free(move_to(vfs, LIMIT));
}

Test(memory_state, what_is_cut_off_is_refused)
{
    struct vfs *vfs = a_tree(), *next = memory_new(LIMIT);
    struct bytes state = save(vfs), fresh = dump(next);
    for (size_t len = 0; len < state.len; len++) {
        uint8_t *exact = malloc(len ? len : 1);
        memcpy(exact, state.data, len);
        cr_expect_eq(memory_load(next, exact, len), -EPROTO, "%zu bytes of %zu", len, state.len);
        if (len % 97 == 0)
            expect_untouched(next, fresh, "cut off");
        free(exact);
    }
    cr_expect_eq(memory_load(next, state.data, state.len), 0);
    expect_same(dump(next), dump(vfs), "after all");
    cr_expect_eq(memory_load(next, state.data, state.len), -EBUSY);
    expect_same(dump(next), dump(vfs), "loaded twice");
    free(state.data);
    free(fresh.data);
    memory_free(vfs);
    memory_free(next);
}

Test(memory_state, a_tree_may_be_deeper_than_a_stack)
{
    enum { DEPTH = 100000 };
    static const uint64_t size = UINT64_C(1) << 30;
    struct vfs *vfs = memory_new(size), *next = memory_new(size);
    struct vfs_node *dir = root_of(vfs);
    char path[PATH_MAX];
    for (unsigned i = 0; i < DEPTH; i++) {
        struct vfs_node *below = make(vfs, dir, "d", S_IFDIR | 0700);
        forget(vfs, dir);
        dir = below;
    }
    cr_expect_eq(vfs->ops->path(vfs, dir, path, sizeof path), -ENAMETOOLONG);
    forget(vfs, dir);
    struct bytes state = save(vfs);
    cr_expect_eq(memory_load(next, state.data, state.len - 1), -EPROTO);
    cr_expect_eq(memory_load(next, state.data, state.len), 0);
    free(state.data);
    memory_free(vfs);
    memory_free(next);
}

static void expect_path(struct vfs *vfs, struct vfs_node *node, const char *expected)
{
    char path[PATH_MAX];
    cr_assert_eq(vfs->ops->path(vfs, node, path, sizeof path), 0);
    cr_expect_str_eq(path, expected);
}

Test(memory_state, a_path_is_that_of_some_name)
{
    struct vfs *vfs = memory_new(LIMIT);
    struct vfs_node *root = root_of(vfs), *dir = make(vfs, root, "dir", S_IFDIR | 0700);
    struct vfs_node *file = make(vfs, dir, "file", S_IFREG | 0600);
    struct vfs_entry link;
    char path[PATH_MAX];
    expect_path(vfs, root, "");
    expect_path(vfs, file, "dir/file");
    cr_expect_eq(vfs->ops->path(vfs, file, path, 8), -ENAMETOOLONG);
    cr_expect_eq(vfs->ops->path(vfs, file, path, 0), -ENAMETOOLONG);
    cr_expect_eq(vfs->ops->path(vfs, file, path, 9), 0);
    cr_assert_eq(vfs->ops->link(vfs, file, root, "link", &link), 0);
    forget(vfs, link.node);
    cr_assert_eq(vfs->ops->unlink(vfs, dir, "file"), 0);
    expect_path(vfs, file, "link");
    cr_assert_eq(vfs->ops->rename(vfs, root, "link", dir, "moved", 0), 0);
    expect_path(vfs, file, "dir/moved");
    cr_assert_eq(vfs->ops->rename(vfs, root, "dir", root, "other", 0), 0);
    expect_path(vfs, file, "other/moved");
    forget(vfs, make(vfs, root, "swapped", S_IFREG | 0600));
    cr_assert_eq(vfs->ops->rename(vfs, root, "swapped", dir, "moved", RENAME_EXCHANGE), 0);
    expect_path(vfs, file, "swapped");
    cr_assert_eq(vfs->ops->unlink(vfs, root, "swapped"), 0);
    cr_expect_eq(vfs->ops->path(vfs, file, path, sizeof path), -ENOENT);
    forget(vfs, file);
    forget(vfs, dir);
    forget(vfs, root);
    memory_free(vfs);
}

/* ---- sessions ---- */

/* Stacks are never freed. */
static struct {
    struct worker_message mount;
    struct vfs *stack;
} kept[16];

static struct vfs *stack_new(const char *shadows, int root_fd, unsigned flags)
{
    static unsigned count;
    struct worker_message *mount = &kept[count].mount;
    *mount = (struct worker_message){.flags = flags, .cache = WORKER_CACHE_NONE};
    if (root_fd < 0) {
        mount->flags |= WORKER_MOUNT_MEMORY;
        mount->size = LIMIT;
    }
    strcpy(mount->text, shadows);
    struct vfs *stack = worker_stack_new(mount, root_fd, &(struct worker_common){.mounts_fd = 0});
    cr_assert_not_null(stack);
    return kept[count++].stack = stack;
}

static struct peer *peer_on(const char *shadows, bool memory, struct vfs **stack)
{
    struct peer *peer = peer_new(&(struct peer_options){.no_init = true});
    *stack = stack_new(shadows, memory ? -1 : peer->tree_fd, 0);
    peer_new_server(peer, &(struct peer_options){.vfs = *stack});
    cr_assert_eq(peer_init(peer), 0);
    return peer;
}

/* What the server knows and what is in memory, both to a new process. */
static struct vfs *hand_over(struct peer *peer, struct vfs *stack, const char *shadows, bool memory)
{
    size_t len;
    uint8_t *session = peer_save(peer, &len);
    struct bytes tree = save(stack);
    struct vfs *next = stack_new(shadows, memory ? -1 : peer->tree_fd, 0);
    cr_assert_eq(worker_stack_load(next, tree.data, tree.len), 0);
    peer_new_server(peer, &(struct peer_options){.vfs = next});
    cr_assert_eq(server_adopt(peer->server, session, len), 0);
    free(session);
    free(tree.data);
    return next;
}

static int make_directory(struct peer *peer, uint64_t dir, const char *name)
{
    struct fuse_mkdir_in in = {.mode = 0755};
    return PEER_CALL(peer, FUSE_MKDIR, dir, PEER_ARGS(in), PEER_NAME(name));
}

/* Up to two names of an open directory, from *offset on. */
static const char *read_names(struct peer *peer, uint64_t dir, uint64_t fh, uint64_t *offset)
{
    static char names[16];
    struct fuse_read_in in = {.fh = fh, .size = 2 * FUSE_DIRENT_ALIGN(FUSE_NAME_OFFSET + 1), .offset = *offset};
    names[0] = '\0';
    cr_assert_eq(PEER_CALL(peer, FUSE_READDIR, dir, PEER_ARGS(in)), 0);
    const struct peer_reply *reply = peer_reply(peer);
    for (size_t at = 0; at < reply->len;) {
        const struct fuse_dirent *entry = (const void *)((const uint8_t *)reply->body + at);
        strncat(names, entry->name, 1);
        *offset = entry->off;
        at += FUSE_DIRENT_SIZE(entry);
    }
    return names;
}

Test(memory_state, open_files_and_directories_go_on)
{
    struct vfs *stack;
    struct peer *peer = peer_on("", true, &stack);
    uint64_t node, fh, offset = 0;
    struct fuse_attr before, after;
    cr_assert_eq(make_directory(peer, ROOT, "dir"), 0);
    uint64_t dir = peer_reply(peer)->body[0];
    cr_assert_eq(peer_create(peer, dir, "a", O_RDWR, 0644, &node, &fh), 0);
    cr_assert_eq(make_directory(peer, dir, "b") | make_directory(peer, dir, "c"), 0);
    cr_assert_eq(peer_write(peer, node, fh, 0, "before", O_RDWR, 0), 0);
    cr_assert_eq(peer_getattr(peer, node, &before), 0);
    uint64_t listing = peer_opendir(peer, dir);
    cr_expect_str_eq(read_names(peer, dir, listing, &offset), "..");
    for (int i = 0; i < 2; i++)
        stack = hand_over(peer, stack, "", true);
    cr_assert_eq(peer_getattr(peer, node, &after), 0);
    cr_expect_arr_eq(&before, &after, sizeof before);
    cr_expect_str_eq(peer_read(peer, node, fh, 0, 100), "before");
    cr_expect_eq(peer_write(peer, node, fh, 6, " after", O_RDWR, 0), 0);
    cr_expect_str_eq(peer_read(peer, node, fh, 0, 100), "before after");
    cr_expect_eq(peer_lookup(peer, dir, "a"), node, "it got another number");
    cr_expect_str_eq(read_names(peer, dir, listing, &offset), "ab");
    cr_expect_str_eq(read_names(peer, dir, listing, &offset), "c");
    cr_expect_eq(peer_release(peer, node, fh, false) | peer_release(peer, dir, listing, true), 0);
    peer_free(peer);
}

Test(memory_state, another_file_of_the_same_name_and_number_is_not_it)
{
    struct vfs *stack;
    struct peer *peer = peer_on("", true, &stack);
    uint64_t node, fh;
    struct fuse_attr attr;
    size_t len;
    cr_assert_eq(peer_create(peer, ROOT, "file", O_RDWR, 0644, &node, &fh), 0);
    uint8_t *session = peer_save(peer, &len);
    struct vfs *other = stack_new("", -1, 0);
    struct vfs_node *root = root_of(other);
    forget(other, make(other, root, "file", S_IFREG | 0644));
    forget(other, root);
    peer_new_server(peer, &(struct peer_options){.vfs = other});
    cr_assert_eq(server_adopt(peer->server, session, len), 0);
    cr_expect_eq(peer_getattr(peer, node, &attr), -ESTALE);
    free(session);
    peer_free(peer);
}

#define SHADOWS "+out\n+*.tmp\n+[xyz]"

Test(memory_state, what_is_behind_a_shadow_goes_on)
{
    struct vfs *stack;
    struct peer *peer = peer_on(SHADOWS, false, &stack);
    uint64_t node, fh, top, top_fh;
    cr_assert_eq(mkdirat(peer->tree_fd, "sub", 0755) | mkdirat(peer->tree_fd, "sub/sub", 0755), 0);
    uint64_t sub = peer_lookup(peer, peer_lookup(peer, ROOT, "sub"), "sub");
    cr_assert_eq(make_directory(peer, sub, "out"), 0);
    uint64_t out = peer_reply(peer)->body[0];
    cr_assert_eq(peer_create(peer, out, "file", O_RDWR, 0644, &node, &fh), 0);
    cr_assert_eq(peer_create(peer, ROOT, "a.tmp", O_RDWR, 0644, &top, &top_fh), 0);
    cr_assert_eq(peer_write(peer, node, fh, 0, "in memory", O_RDWR, 0), 0);
    cr_assert_eq(peer_write(peer, top, top_fh, 0, "at the top", O_RDWR, 0), 0);
    for (int i = 0; i < 2; i++)
        stack = hand_over(peer, stack, SHADOWS, false);
    cr_expect_str_eq(peer_read(peer, node, fh, 0, 100), "in memory");
    cr_expect_str_eq(peer_read(peer, top, top_fh, 0, 100), "at the top");
    cr_expect_eq(peer_lookup(peer, ROOT, "a.tmp"), top);
    cr_expect_eq(peer_lookup(peer, sub, "out"), out);
    cr_expect_eq(peer_lookup(peer, out, "file"), node);
    cr_expect_eq(faccessat(peer->tree_fd, "a.tmp", F_OK, 0) | faccessat(peer->tree_fd, "sub/sub/out", F_OK, 0), -1);
    peer_free(peer);
}

Test(memory_state, listings_of_shadowed_directories_go_on)
{
    struct vfs *stack;
    struct peer *peer = peer_on(SHADOWS, false, &stack);
    uint64_t node, fh, offset = 0;
    char all[8] = "";
    peer_put_file(peer->tree_fd, "h", "host");
    cr_assert_eq(peer_create(peer, ROOT, "x", O_RDWR, 0644, &node, &fh), 0);
    cr_assert_eq(peer_create(peer, ROOT, "y", O_RDWR, 0644, &node, &fh), 0);
    uint64_t listing = peer_opendir(peer, ROOT);
    for (const char *names; *(names = read_names(peer, ROOT, listing, &offset));) {
        strcat(all, names);
        stack = hand_over(peer, stack, SHADOWS, false);
    }
    cr_expect_eq(strlen(all), 5);
    cr_expect(strchr(all, 'h') && strchr(all, 'x') && strchr(all, 'y'), "%s", all);
    peer_free(peer);
}

Test(memory_state, what_was_in_a_directory_that_was_replaced_is_stale)
{
    struct vfs *stack;
    struct peer *peer = peer_on(SHADOWS, false, &stack);
    uint64_t node, fh;
    struct fuse_attr attr;
    cr_assert_eq(mkdirat(peer->tree_fd, "sub", 0755) | mkdirat(peer->tree_fd, "new", 0755), 0);
    uint64_t sub = peer_lookup(peer, ROOT, "sub");
    cr_assert_eq(peer_create(peer, sub, "x", O_RDWR, 0644, &node, &fh), 0);
    cr_assert_eq(renameat2(peer->tree_fd, "sub", peer->tree_fd, "new", RENAME_EXCHANGE), 0);
    size_t len;
    uint8_t *session = peer_save(peer, &len); /* sub is "new" now, and everything in it */
    cr_assert_eq(renameat2(peer->tree_fd, "sub", peer->tree_fd, "new", RENAME_EXCHANGE), 0);
    struct bytes tree = save(stack);
    struct vfs *next = stack_new(SHADOWS, peer->tree_fd, 0);
    cr_assert_eq(worker_stack_load(next, tree.data, tree.len), 0);
    peer_new_server(peer, &(struct peer_options){.vfs = next});
    cr_assert_eq(server_adopt(peer->server, session, len), 0);
    cr_expect_eq(peer_getattr(peer, sub, &attr), -ESTALE);
    cr_expect_eq(peer_getattr(peer, node, &attr), -ESTALE);
    cr_expect_eq(peer_lookup_error(peer, peer_lookup(peer, ROOT, "new"), "x"), -ENOENT);
    cr_expect_neq(peer_lookup(peer, peer_lookup(peer, ROOT, "sub"), "x"), 0);
    free(session);
    free(tree.data);
    peer_free(peer);
}

Test(memory_state, the_path_of_what_is_behind_a_shadow)
{
    struct peer *peer = peer_new(&(struct peer_options){0});
    struct vfs *stack = stack_new(SHADOWS, peer->tree_fd, 0);
    struct vfs_node *root = root_of(stack), *x = make(stack, root, "x", S_IFDIR | 0700);
    struct vfs_node *y = make(stack, x, "y", S_IFIFO | 0600);
    int next_fd = dup(0);
    close(next_fd);
    struct vfs_node *sub = make(stack, root, "sub", S_IFDIR | 0700), *z = make(stack, sub, "z", S_IFIFO | 0600);
    char path[PATH_MAX];
    expect_path(stack, root, "");
    expect_path(stack, x, "x");
    expect_path(stack, y, "x/y");
    expect_path(stack, z, "sub/z");
    cr_expect_eq(stack->ops->path(stack, z, path, 5), -ENAMETOOLONG);
    cr_expect_eq(stack->ops->path(stack, z, path, 6), 0);
    forget(stack, sub);
    cr_expect_eq(stack->ops->path(stack, z, path, sizeof path), -ENOENT, "nobody knows the directory");
    int fd = dup(0);
    cr_expect_eq(fd, next_fd, "the directory is still held");
    close(fd);
    forget(stack, z);
    forget(stack, y);
    forget(stack, x);
    forget(stack, root);
    peer_free(peer);
}

Test(memory_state, a_stack_without_memory_has_nothing_to_save)
{
    static const char *const shadows[] = {"", "", "-hidden"};
    struct peer *peer = peer_new(&(struct peer_options){0});
    for (size_t i = 0; i < sizeof shadows / sizeof *shadows; i++) {
        struct vfs *stack = stack_new(shadows[i], peer->tree_fd, i ? WORKER_MOUNT_READONLY : 0);
        struct bytes state = save(stack);
        cr_expect_eq(state.len, 0);
        free(state.data);
        cr_expect_eq(worker_stack_load(stack, NULL, 0), 0);
        cr_expect_eq(worker_stack_load(stack, (const uint8_t *)"x", 1), -EPROTO);
    }
    peer_free(peer);
}

Test(memory_state, memory_is_found_below_other_layers)
{
    struct peer *peer = peer_new(&(struct peer_options){0});
    struct vfs *from = stack_new(SHADOWS, peer->tree_fd, 0), *to = stack_new(SHADOWS, peer->tree_fd, WORKER_MOUNT_READONLY);
    struct vfs_node *root = root_of(from);
    struct vfs_entry entry;
    forget(from, make(from, root, "x", S_IFIFO | 0600));
    forget(from, root);
    struct bytes state = save(from);
    cr_assert_gt(state.len, 0);
    cr_expect_eq(worker_stack_load(to, state.data, state.len - 1), -EPROTO);
    cr_assert_eq(worker_stack_load(to, state.data, state.len), 0);
    root = root_of(to);
    cr_expect_eq(to->ops->lookup(to, root, "x", &entry), 0);
    cr_expect_eq(entry.attr.mode, S_IFIFO | 0600);
    forget(to, entry.node);
    forget(to, root);
    expect_same(save(to), state, "saved again");
    peer_free(peer);
}
