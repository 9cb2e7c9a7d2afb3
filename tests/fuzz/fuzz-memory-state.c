/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as the state of a tree in memory. The input is a byte that says how much the memory may hold, and the state.
 * What is accepted is walked through the provider's operations, and has to come back the same when it is saved and loaded
 * again, also after changes; what is refused has to leave an empty tree that takes another one.
 * SOURCES: fs/hash.c fs/memory*.c tests/tools/treedump.c */
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <string.h>

#include "fs/memory.h"
#include "fs/vfs.h"
#include "tests/fuzz/fuzz.h"
#include "tests/tools/treedump.h"

struct bytes {
    uint8_t *data;
    size_t len;
};

static struct bytes save(struct vfs *vfs)
{
    struct bytes state = {0};
    char *data = NULL;
    FILE *out = open_memstream(&data, &state.len);
    fuzz_require(out && memory_save(vfs, out) == 0);
    fuzz_require(fclose(out) == 0);
    state.data = (uint8_t *)data;
    return state;
}

static struct bytes dump(struct vfs *vfs)
{
    struct bytes bytes;
    bytes.data = tree_dump(vfs, &bytes.len);
    return bytes;
}

static bool is_same(struct bytes a, struct bytes b)
{
    return a.len == b.len && memcmp(a.data, b.data, a.len) == 0;
}

static void free_both(struct bytes a, struct bytes b)
{
    free(a.data);
    free(b.data);
}

static void save_and_load_again(struct vfs *vfs, uint64_t size)
{
    struct vfs *next = memory_new(size);
    struct bytes state = save(vfs);
    fuzz_require(next && memory_load(next, state.data, state.len) == 0);
    struct bytes again = save(next), before = dump(vfs), after = dump(next);
    fuzz_require(is_same(state, again) && is_same(before, after));
    free_both(state, again);
    free_both(before, after);
    memory_free(next);
}

/* Things that may fail, and must leave a tree that can be saved. */
static void change(struct vfs *vfs)
{
    static const struct vfs_cred user = {.uid = 1};
    struct vfs_entry root, entry;
    struct vfs_file *file;
    fuzz_require(vfs->ops->root(vfs, &root) == 0);
    if (vfs->ops->create(vfs, &user, root.node, "a", 0600, O_RDWR, 0, &entry, &file) == 0) {
        vfs->ops->write(vfs, file, "text", 4, 9000, 0);
        vfs->ops->release(vfs, file);
        vfs->ops->setxattr(vfs, entry.node, "user.m", "v", 1, 0);
        vfs->ops->rename(vfs, root.node, "a", root.node, "b", 0);
        vfs->ops->forget(vfs, entry.node);
    }
    vfs->ops->unlink(vfs, root.node, "c");
    vfs->ops->rmdir(vfs, root.node, "d");
    vfs->ops->forget(vfs, root.node);
}

static void check_refused(struct vfs *vfs, uint64_t size)
{
    struct vfs *fresh = memory_new(size);
    struct bytes state = save(fresh), now = save(vfs);
    fuzz_require(state.len == now.len); /* its times are others */
    fuzz_require(memory_load(vfs, state.data, state.len) == 0);
    struct bytes loaded = save(vfs);
    fuzz_require(is_same(loaded, state));
    free_both(state, now);
    free(loaded.data);
    memory_free(fresh);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    uint64_t limit = (data[0] + UINT64_C(1)) * 1024;
    uint8_t *exact = malloc(size > 1 ? size - 1 : 1);
    struct vfs *vfs = memory_new(limit);
    fuzz_require(exact && vfs);
    memcpy(exact, data + 1, size - 1);
    int rc = memory_load(vfs, exact, size - 1);
    free(exact);
    fuzz_require(rc == 0 || rc == -EPROTO || rc == -ENOSPC);
    if (rc < 0) {
        check_refused(vfs, limit);
    } else {
        save_and_load_again(vfs, limit);
        change(vfs);
        save_and_load_again(vfs, limit);
    }
    memory_free(vfs);
    return 0;
}
