/* SPDX-License-Identifier: Apache-2.0 */
/* States of a tree in memory that memory_save has not written: one good one, and what is wrong with others. */
#include <criterion/criterion.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "fs/memory.h"
#include "fs/memory_internal.h"
#include "fs/memory_state.h"
#include "tests/tools/treedump.h"

enum { LIMIT = 1 << 20, NAMES = 4, PAGES = 2, XATTRS = 2, TEXT = 300, DIR = 1, FILE_ = 2, LINK = 3 };

/* "/dd" (with "aa", which is the file), "/ff", "/ll". Only the texts' and lists' beginnings are written, as long as the
 * records say; an inode follows a name that leads to the place it has in the good state, unless there is only the root. */
struct parts {
    struct state_header header;
    struct state_inode root, dir, file, link;
    struct state_name name[NAMES];
    char text[NAMES][TEXT];
    struct state_xattr xattr[XATTRS];
    char xattr_name[XATTRS][TEXT];
    struct state_page page[PAGES];
    char target[PATH_MAX + 1];
    size_t more; /* bytes after the end */
};

static const struct parts good = {
    .header = {.magic = MEMORY_STATE_MAGIC, .inodes = 4, .names = 4, .last_ino = MEMORY_FIRST_INO + 9},
    .root = {.ino = MEMORY_FIRST_INO + 1, .mode = S_IFDIR | 0755, .size = 9, .count = 3},
    .dir = {.ino = MEMORY_FIRST_INO + 2, .mode = S_IFDIR | 01777, .size = 5, .count = 1},
    .file = {.ino = MEMORY_FIRST_INO + 9, .mode = S_IFREG | 04711, .rdev = 7, .size = 12300, .count = 2,
             .span = 4, .xattrs = 2},
    .link = {.ino = MEMORY_FIRST_INO + 3, .mode = S_IFLNK | 0777, .size = 6},
    .name = {{.inode = DIR, .cookie = 3, .len = 2},
             {.inode = FILE_, .cookie = 4, .len = 2},
             {.inode = LINK, .cookie = 9, .len = 2},
             {.inode = FILE_, .cookie = 5, .len = 2}},
    .text = {"dd", "ff", "ll", "aa"},
    .xattr = {{.name_len = 6, .size = 3}, {.name_len = 6, .size = 0}},
    .xattr_name = {"user.a", "user.b"},
    .page = {{.index = 1}, {.index = 3}},
    .target = "target",
};

static void put_file(const struct parts *p, FILE *out)
{
    static const uint8_t data[MEMORY_PAGE] = "data", value[MEMORY_XATTRS_LIMIT + 1];
    fwrite(&p->file, sizeof p->file, 1, out);
    for (unsigned i = 0; i < XATTRS && i < p->file.xattrs; i++) {
        fwrite(&p->xattr[i], sizeof p->xattr[i], 1, out);
        fwrite(p->xattr_name[i], 1, p->xattr[i].name_len, out);
        fwrite(value, 1, p->xattr[i].size, out);
    }
    for (unsigned i = 0; i < PAGES && i < p->file.count; i++) {
        fwrite(&p->page[i], sizeof p->page[i], 1, out);
        fwrite(data, sizeof data, 1, out);
    }
}

static void put_name(const struct parts *p, unsigned i, FILE *out)
{
    fwrite(&p->name[i], sizeof p->name[i], 1, out);
    fwrite(p->text[i], 1, p->name[i].len, out);
}

static void put_tree(const struct parts *p, FILE *out)
{
    put_name(p, 0, out);
    fwrite(&p->dir, sizeof p->dir, 1, out);
    put_name(p, 1, out);
    if (p->name[1].inode == FILE_)
        put_file(p, out);
    put_name(p, 2, out);
    if (p->name[2].inode == LINK) {
        fwrite(&p->link, sizeof p->link, 1, out);
        fwrite(p->target, 1, S_ISLNK(p->link.mode) && p->link.size <= PATH_MAX ? p->link.size : 0, out);
    }
    if (p->dir.count > 0)
        put_name(p, 3, out);
}

static uint8_t *state_of(const struct parts *p, size_t *len)
{
    char *state = NULL;
    FILE *out = open_memstream(&state, len);
    fwrite(&p->header, sizeof p->header, 1, out);
    fwrite(&p->root, sizeof p->root, 1, out);
    if (p->header.inodes != 1)
        put_tree(p, out);
    for (size_t i = 0; i < p->more; i++)
        fputc(0, out);
    fclose(out);
    return (uint8_t *)state;
}

/* Whether it is refused with this error, leaving nothing. */
static void expect(const struct parts *p, int error, const char *what)
{
    struct vfs *vfs = memory_new(LIMIT);
    size_t len, before_len, after_len;
    uint8_t *before = tree_dump(vfs, &before_len), *state = state_of(p, &len), *exact = malloc(len);
    memcpy(exact, state, len);
    cr_expect_eq(memory_load(vfs, exact, len), error, "%s", what);
    free(exact);
    uint8_t *after = tree_dump(vfs, &after_len);
    if (error)
        cr_expect(before_len == after_len && memcmp(before, after, before_len) == 0, "%s: the tree is not as before", what);
    free(state);
    state = state_of(&good, &len);
    cr_expect_eq(memory_load(vfs, state, len), error ? 0 : -EBUSY, "%s: and then the good one", what);
    free(before);
    free(after);
    free(state);
    memory_free(vfs);
}

Test(memory_load, the_good_one)
{
    struct vfs *vfs = memory_new(LIMIT);
    size_t len, saved_len;
    uint8_t *state = state_of(&good, &len);
    char *saved = NULL;
    FILE *out = open_memstream(&saved, &saved_len);
    cr_assert_eq(memory_load(vfs, state, len), 0);
    cr_assert_eq(memory_save(vfs, out), 0);
    fclose(out);
    cr_assert_eq(saved_len, len);
    cr_expect_arr_eq(saved, state, len);
    expect(&good, 0, "good");
    free(saved);
    free(state);
    memory_free(vfs);
}

struct change {
    const char *what;
    int error;
    struct edit {
        size_t at, size;
        const void *bytes;
    } edit[6];
};

#define SIZE_OF(field) sizeof(((struct parts *)NULL)->field)
#define SET(field, value) {offsetof(struct parts, field), SIZE_OF(field), &(const uint64_t){value}} /* little-endian */
#define SAY(field, text) {offsetof(struct parts, field), sizeof(text), text}
#define BAD(what, ...) {what, -EPROTO, {__VA_ARGS__}}

static void expect_all(const struct change *changes, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct parts parts = good;
        for (const struct edit *e = changes[i].edit; e->bytes; e++)
            memcpy((char *)&parts + e->at, e->bytes, e->size);
        expect(&parts, changes[i].error, changes[i].what);
    }
}

#define EXPECT_ALL(...)                                                         \
    do {                                                                        \
        const struct change changes[] = {__VA_ARGS__};                          \
        expect_all(changes, sizeof changes / sizeof *changes);                  \
    } while (0)

Test(memory_load, counts)
{
    EXPECT_ALL(BAD("another magic", SAY(header.magic, "gondolin-files-")), BAD("no inodes", SET(header.inodes, 0)),
               BAD("more inodes than there are", SET(header.inodes, 5)), BAD("fewer", SET(header.inodes, 3)),
               BAD("very many", SET(header.inodes, UINT64_MAX)), BAD("more names", SET(header.names, 5)),
               BAD("fewer names", SET(header.names, 3)), BAD("something at the end", SET(more, 1)),
               BAD("names that are not there", SET(root.count, UINT64_MAX)),
               BAD("a directory with a name too few", SET(root.count, 2)),
               BAD("xattrs that are not there", SET(file.xattrs, UINT32_MAX)),
               BAD("something that is reserved", SET(file.reserved, 1)), BAD("in a name", SET(name[0].reserved, 1)));
}

Test(memory_load, numbers)
{
    EXPECT_ALL(BAD("0", SET(file.ino, 0)), BAD("one of the host's", SET(file.ino, 77)),
               BAD("twice", SET(file.ino, MEMORY_FIRST_INO + 2)), BAD("the root's", SET(link.ino, MEMORY_FIRST_INO + 1)),
               BAD("another root", SET(root.ino, MEMORY_FIRST_INO + 4)),
               BAD("after the last one", SET(file.ino, MEMORY_FIRST_INO + 10)),
               BAD("a last one before them", SET(header.last_ino, MEMORY_FIRST_INO + 8)),
               BAD("a last one after which there is none", SET(header.last_ino, UINT64_MAX)));
}

Test(memory_load, modes)
{
    EXPECT_ALL(BAD("a device", SET(link.mode, S_IFCHR | 0600), SET(link.size, 0)),
               BAD("a disk", SET(link.mode, S_IFBLK | 0600), SET(link.size, 0)),
               BAD("no type", SET(link.mode, 0600), SET(link.size, 0)),
               BAD("unknown bits", SET(file.mode, S_IFREG | 0200600)),
               BAD("a root that is a file", SET(root.mode, S_IFREG | 0600), SET(root.count, 0), SET(header.names, 0),
                   SET(header.inodes, 1)),
               {"an empty root", 0, {SET(root.count, 0), SET(header.names, 0), SET(header.inodes, 1)}},
               BAD("a fifo with a size", SET(link.mode, S_IFIFO | 0600)),
               BAD("a fifo with names", SET(link.mode, S_IFIFO | 0600), SET(link.size, 0), SET(link.count, 1)),
               BAD("a symlink with pages", SET(link.span, 1)), BAD("a directory with pages", SET(dir.span, 1)));
}

Test(memory_load, what_is_no_tree)
{
    EXPECT_ALL(BAD("a name of the root", SET(name[3].inode, 0)),
               BAD("a directory in itself", SET(name[3].inode, DIR)),
               BAD("two parents", SET(name[2].inode, DIR), SET(header.inodes, 3)),
               BAD("an inode that does not come", SET(name[3].inode, 4)),
               BAD("far from it", SET(name[3].inode, UINT64_MAX)),
               BAD("out of order", SET(name[1].inode, LINK)));
}

Test(memory_load, names)
{
    static const char long_name[257] = {[0 ... 255] = 'n'};
    EXPECT_ALL(BAD("..", SAY(text[0], "..")), BAD(".", SAY(text[0], "."), SET(name[0].len, 1)),
               BAD("empty", SET(name[0].len, 0)), BAD("a slash", SAY(text[3], "/a")), BAD("at the end", SAY(text[3], "a/")),
               BAD("NUL", SAY(text[3], "a\0")), BAD("first", SAY(text[3], "\0a")), BAD("twice", SAY(text[2], "dd")),
               BAD("twice, one being the same file", SAY(text[0], "ff")),
               BAD("too long", {offsetof(struct parts, text[3]), sizeof long_name, long_name}, SET(name[3].len, 256)),
               BAD("longer than the state", SET(more, 0), SET(name[3].len, 3)),
               {"as long as can be", 0,
                {{offsetof(struct parts, text[3]), sizeof long_name, long_name}, SET(name[3].len, 255)}},
               {"the same in another directory", 0, {SAY(text[3], "ff")}});
}

Test(memory_load, cookies)
{
    EXPECT_ALL(BAD("those of . and ..", SET(name[0].cookie, 2)), BAD("the same", SET(name[1].cookie, 3)),
               BAD("backwards", SET(name[2].cookie, 2)), BAD("after the last one", SET(name[2].cookie, 10)),
               BAD("no room for . and ..", SET(dir.size, 1), SET(dir.count, 0), SET(header.names, 3)),
               {"just enough", 0, {SET(dir.size, 2), SET(dir.count, 0), SET(header.names, 3)}},
               BAD("no more left", SET(dir.size, UINT64_C(1) << 62)));
}

Test(memory_load, pages)
{
    EXPECT_ALL(BAD("twice", SET(page[0].index, 3)), BAD("backwards", SET(page[0].index, 2), SET(page[1].index, 1)),
               BAD("behind the end", SET(page[1].index, 4)), BAD("far behind", SET(page[1].index, UINT64_MAX)),
               BAD("an end without a page", SET(file.span, 5)), BAD("no end", SET(file.span, 0)),
               BAD("an end and no page", SET(file.count, 0)), BAD("one more than there is", SET(file.count, 3)),
               BAD("very many", SET(file.count, UINT64_MAX), SET(file.span, UINT64_MAX)),
               {"a list longer than the limit", -ENOSPC, {SET(file.span, LIMIT), SET(page[1].index, LIMIT - 1)}},
               {"much longer", -ENOSPC, {SET(file.span, UINT64_MAX), SET(page[1].index, UINT64_MAX - 1)}},
               {"one that looks short in bytes", -ENOSPC, {SET(file.span, (UINT64_C(1) << 61) + 4)}},
               {"a file too long", -ENOSPC, {SET(file.size, UINT64_MAX)}},
               {"nothing but a hole", 0, {SET(file.span, 0), SET(file.count, 0)}});
}

Test(memory_load, targets)
{
    static const char long_target[] = {[0 ... PATH_MAX] = 't'};
    EXPECT_ALL(BAD("empty", SET(link.size, 0)), BAD("NUL", SAY(target, "targ\0t")),
               BAD("too long", SAY(target, long_target), SET(link.size, PATH_MAX)),
               {"as long as can be", 0, {SAY(target, long_target), SET(link.size, PATH_MAX - 1)}},
               BAD("very long", SET(link.size, UINT64_MAX)));
}

Test(memory_load, extended_attributes)
{
    EXPECT_ALL(BAD("of the system", SAY(xattr_name[0], "syst.a")), BAD("twice", SAY(xattr_name[1], "user.a")),
               BAD("backwards", SAY(xattr_name[0], "user.c")), BAD("NUL", SAY(xattr_name[0], "user.\0")),
               BAD("no name", SET(xattr[0].name_len, 0)), BAD("a long one", SET(xattr[0].name_len, 256)),
               BAD("a value too long", SET(xattr[0].size, MEMORY_XATTRS_LIMIT + 1)),
               BAD("too long together", SET(xattr[0].size, MEMORY_XATTRS_LIMIT - 20), SET(xattr[1].size, 20)),
               {"just not", 0, {SET(xattr[0].size, MEMORY_XATTRS_LIMIT - 20), SET(xattr[1].size, 6)}});
}

/* What counts, counts from the first byte. */
Test(memory_load, more_than_the_limit)
{
    for (uint64_t size = 600; size < 12500; size += 100) {
        struct vfs *vfs = memory_new(size);
        size_t len;
        uint8_t *state = state_of(&good, &len);
        cr_expect_eq(memory_load(vfs, state, len), size < 2 * MEMORY_PAGE + 2800 ? -ENOSPC : 0, "%d", (int)size);
        free(state);
        memory_free(vfs);
    }
}
