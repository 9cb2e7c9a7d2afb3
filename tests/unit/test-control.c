/* SPDX-License-Identifier: Apache-2.0 */
/* Rules that hold for every control file. */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fuse.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "tests/unit/controlbench.h"

/* A value, a file that refuses, and one that waits. */
static char value[64] = "old";
static struct control_request *parked;
static unsigned freed;
static struct control_node *dir_node, *fixed_node;

static void render_value(void *object, FILE *out)
{
    (void)object;
    fprintf(out, "%s\n", value);
}

static void write_value(struct control_handle *handle, const char *data, size_t len, off_t offset,
                        struct control_request *request)
{
    (void)handle, (void)offset;
    if (len && data[0] == '!') {
        control_reply_error(request, EINVAL, "value: \"%.*s\" is no value", (int)len, data);
        return;
    }
    snprintf(value, sizeof value, "%.*s", (int)len, data);
    control_reply_written(request, len);
}

static void interrupted(struct control_request *request, void *data)
{
    (void)data;
    parked = NULL;
    control_reply_error(request, EINTR, "interrupted");
}

static void read_later(struct control_handle *handle, size_t size, off_t offset, struct control_request *request)
{
    (void)size, (void)offset;
    if (control_handle_flags(handle) & O_NONBLOCK) {
        control_reply_error(request, EAGAIN, "not yet");
        return;
    }
    parked = request;
    control_request_on_interrupt(request, interrupted, NULL);
}

static void count_freed(void *object)
{
    (void)object;
    freed++;
}

static const struct control_ops value_ops = {.render = render_value, .write = write_value, .freed = count_freed,
                                             .sized = true};
static const struct control_ops later_ops = {.read = read_later, .stream = true};
static const struct control_ops fixed_ops = {.render = render_value};
static const struct control_ops dir_ops = {0};

static struct controlbench *tree(void)
{
    struct controlbench *b = cb_new();
    struct control_node *root = control_root(b->control);
    dir_node = control_add(root, "dir", S_IFDIR | 0755, &dir_ops, NULL);
    control_add(root, "value", S_IFREG | 0600, &value_ops, NULL);
    control_add(root, "later", S_IFREG | 0400, &later_ops, NULL);
    fixed_node = control_add(root, "fixed", S_IFREG | 0444, &fixed_ops, NULL);
    control_add(dir_node, "inner", S_IFREG | 0600, &value_ops, NULL);
    return b;
}

Test(control, a_value_reads_as_it_was_written)
{
    struct controlbench *b = tree();
    cr_expect_str_eq(cb_get(b, "value"), "old\n");
    cr_expect_eq(cb_put(b, "value", "new"), 0);
    cr_expect_str_eq(cb_get(b, "value"), "new\n");
    cb_free(b);
}

Test(control, a_refused_write_is_explained_on_the_descriptor_and_in_error)
{
    struct controlbench *b = tree();
    char text[200];
    int h = cb_open(b, "value", O_RDWR);
    cr_expect_eq(cb_write(b, h, "!x\033[2J", 6), -EINVAL);
    cr_expect_str_eq(control_last_error(b->control), "value: \"!x?[2J\" is no value");
    cr_expect_eq(cb_read_at(b, h, text, 5, 0, 0), 5, "in pieces, whatever the offset");
    cr_expect_str_eq(text, "value");
    cr_expect_gt(cb_read_at(b, h, text, 100, 77, 0), 0);
    cr_expect_str_eq(text, ": \"!x?[2J\" is no value\n");
    cr_expect_eq(cb_read(b, h, text, 100), 0, "then it ends");
    cr_expect_eq(cb_write(b, h, "good", 4), 0);
    cr_expect_gt(cb_read(b, h, text, 100), 0);
    cr_expect_str_eq(text, "good\n", "and after a good write the value can be read");
    cr_expect_eq(cb_write(b, h, "!", 1), -EINVAL);
    cr_expect_eq(cb_write(b, h, "!again", 6), -EINVAL);
    cr_expect_gt(cb_read(b, h, text, 100), 0);
    cr_expect_str_eq(text, "value: \"!again\" is no value\n", "from its beginning");
    cb_release(b, h);
    h = cb_open(b, "value", O_WRONLY);
    cr_expect_eq(cb_write(b, h, "!", 1), -EINVAL);
    cb_free(b);
}

Test(control, what_is_too_long_or_not_writable_is_refused)
{
    struct controlbench *b = tree();
    static char big[128 * 1024];
    int h = cb_open(b, "value", O_RDWR);
    cr_expect_eq(cb_write(b, h, big, 4097), -EMSGSIZE);
    cr_expect_eq(cb_write(b, h, big, sizeof big), -EMSGSIZE);
    cr_expect(strstr(control_last_error(b->control), "131072 bytes"));
    cr_expect_eq(cb_write(b, h, big, 4096), 0);
    cr_expect_eq(cb_open(b, "fixed", O_RDWR), -EACCES);
    cr_expect_eq(cb_open(b, "fixed", O_WRONLY), -EACCES);
    cr_expect_str_eq(control_last_error(b->control), "fixed: can only be read");
    cb_free(b);
}

Test(control, editors_and_copies_find_what_they_need)
{
    struct controlbench *b = tree();
    uint64_t node = cb_lookup(b, "value"), dir = cb_lookup(b, "dir");
    struct fuse_setattr_in truncate = {.valid = FATTR_SIZE}, times = {.valid = FATTR_MTIME | FATTR_ATIME},
                           mode = {.valid = FATTR_MODE, .mode = 0777}, same = {.valid = FATTR_MODE | FATTR_UID, .mode = 0600,
                                                                               .uid = 1000};
    struct fuse_fsync_in sync = {0};
    int h = cb_open(b, "value", O_RDWR);
    sync.fh = b->handles[h].fh;
    cr_expect_eq(cb_ask(b, FUSE_SETATTR, node, &truncate, sizeof truncate), 0);
    cr_expect_eq(cb_ask(b, FUSE_SETATTR, node, &times, sizeof times), 0);
    cr_expect_eq(cb_ask(b, FUSE_SETATTR, node, &mode, sizeof mode), -EPERM);
    cr_expect_eq(cb_ask(b, FUSE_SETATTR, node, &same, sizeof same), 0, "what changes nothing is no harm");
    cr_expect_eq(cb_ask(b, FUSE_FSYNC, node, &sync, sizeof sync), 0);
    cr_expect_eq(cb_ask(b, FUSE_UNLINK, CONTROL_ROOT_ID, "value", 6), -EPERM);
    cr_expect_eq(cb_ask(b, FUSE_RMDIR, CONTROL_ROOT_ID, "dir", 4), -EPERM);
    cr_expect_eq(cb_mkdir(b, "dir", "new"), -EPERM);
    cr_expect_eq(cb_mkdir(b, "", "dir"), -EEXIST);
    struct {
        struct fuse_create_in in;
        char name[4];
    } create = {.name = "new"};
    cr_expect_eq(cb_ask(b, FUSE_CREATE, dir, &create, sizeof create), -EPERM);
    cr_expect(strstr(control_last_error(b->control), "create: new"), "%s", control_last_error(b->control));
    struct {
        uint64_t newdir;
        char names[10];
    } rename = {dir, "value\0new"};
    cr_expect_eq(cb_ask(b, FUSE_RENAME, CONTROL_ROOT_ID, &rename, sizeof rename), -EPERM);
    cb_free(b);
}

Test(control, nothing_is_missing_for_the_whole_connection)
{
    struct controlbench *b = tree();
    uint64_t node = cb_lookup(b, "value");
    uint64_t body[16] = {0};
    int h = cb_open(b, "value", O_RDWR);
    body[0] = b->handles[h].fh;
    static const uint32_t opcodes[] = {FUSE_FLUSH, FUSE_FSYNC, FUSE_LSEEK, FUSE_FALLOCATE, FUSE_IOCTL, FUSE_POLL,
                                       FUSE_COPY_FILE_RANGE, FUSE_STATFS};
    for (size_t i = 0; i < sizeof opcodes / sizeof *opcodes; i++)
        cr_expect_neq(cb_ask(b, opcodes[i], node, body, sizeof body), -ENOSYS, "opcode %u", opcodes[i]);
    char get[24] = "\0\0\0\0\0\0\0\0user.x";
    cr_expect_eq(cb_ask(b, FUSE_GETXATTR, node, get, 15), -ENODATA);
    cb_free(b);
}

Test(control, a_parked_read_is_interrupted)
{
    struct controlbench *b = tree();
    char text[10];
    int h = cb_open(b, "later", O_RDONLY);
    cr_expect_eq(cb_read(b, h, text, 5), CB_PENDING);
    uint64_t unique = b->unique;
    cr_expect_eq(control_caller(b->control, unique), getpid());
    cr_expect_eq(cb_interrupt(b, unique), -EINTR);
    cr_expect_eq(control_caller(b->control, unique), -1);
    cr_expect_str_eq(control_last_error(b->control), "", "giving up is no failure");
    cr_expect_eq(cb_read_at(b, h, text, 5, 0, O_NONBLOCK), -EAGAIN, "as the descriptor is now, not as it was opened");
    cb_free(b);
}

Test(control, an_end_answers_what_is_parked)
{
    struct controlbench *b = tree();
    char text[10];
    int h = cb_open(b, "later", O_RDONLY);
    cr_expect_eq(cb_read(b, h, text, 5), CB_PENDING);
    uint64_t unique = b->unique;
    control_abort_requests(b->control);
    cr_expect_eq(cb_result(b, unique), -ENOTCONN);
    cb_free(b);
}

Test(control, nodes_live_while_somebody_knows_them)
{
    struct controlbench *b = tree();
    uint64_t dir = cb_lookup(b, "dir"), inner = cb_lookup(b, "dir/inner"); /* two references to dir */
    int h = cb_open(b, "dir/inner", O_RDWR);
    char text[10];
    control_remove(dir_node);
    cr_expect_eq(freed, 0u);
    cr_expect_eq(cb_lookup(b, "dir"), 0u);
    cr_expect_eq(cb_write(b, h, "x", 1), -ESTALE);
    cr_expect_gt(cb_read(b, h, text, 5), 0, "what was read at the open can be read on");
    struct fuse_forget_in forget = {.nlookup = 2};
    cb_ask(b, FUSE_FORGET, inner, &forget, sizeof forget);
    cr_expect_eq(freed, 0u);
    cb_release(b, h);
    cr_expect_eq(freed, 1u);
    struct fuse_getattr_in in = {0};
    cr_expect_eq(cb_ask(b, FUSE_GETATTR, dir, &in, sizeof in), -ESTALE);
    cr_expect_eq(cb_ask(b, FUSE_GETATTR, inner, &in, sizeof in), -ESTALE);
    cb_free(b);
}

Test(control, listings_are_snapshots)
{
    struct controlbench *b = tree();
    struct fuse_open_in open = {0};
    struct fuse_open_out opened;
    cr_assert_eq(cb_ask(b, FUSE_OPENDIR, CONTROL_ROOT_ID, &open, sizeof open), 0);
    memcpy(&opened, cb_reply(b, b->unique)->body, sizeof opened);
    control_remove(fixed_node);
    struct fuse_read_in in = {.fh = opened.fh, .size = 4096};
    cr_assert_eq(cb_ask(b, FUSE_READDIR, CONTROL_ROOT_ID, &in, sizeof in), 0);
    size_t full = cb_reply(b, b->unique)->len;
    in.size = 64; /* one or two entries at a time */
    size_t total = 0;
    for (unsigned i = 0; i < 20; i++) {
        cr_assert_eq(cb_ask(b, FUSE_READDIR, CONTROL_ROOT_ID, &in, sizeof in), 0);
        const struct cb_reply *reply = cb_reply(b, b->unique);
        if (!reply->len)
            break;
        total += reply->len;
        struct fuse_dirent entry;
        for (size_t at = 0; at < reply->len; at += FUSE_DIRENT_SIZE(&entry)) {
            memcpy(&entry, reply->body + at, sizeof entry);
            in.offset = entry.off;
        }
    }
    cr_expect_eq(total, full);
    struct fuse_release_in release = {.fh = opened.fh};
    cr_expect_eq(cb_ask(b, FUSE_RELEASEDIR, CONTROL_ROOT_ID, &release, sizeof release), 0);
    cb_free(b);
}

/* For the leak sanitizer. */
Test(control, a_listing_that_nobody_closes_ends_with_the_tree)
{
    struct controlbench *b = tree();
    struct fuse_open_in open = {0};
    for (int i = 0; i < 2; i++)
        cr_assert_eq(cb_ask(b, FUSE_OPENDIR, CONTROL_ROOT_ID, &open, sizeof open), 0);
    control_remove(fixed_node);
    cb_free(b);
}
