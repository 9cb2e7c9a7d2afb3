/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fuse.h>
#include <poll.h>
#include <stdio.h>

#include "src/record.h"
#include "tests/unit/controlbench.h"

enum { KEPT = 64 };

static const char line[] = "a line of some length\n"; /* 22 bytes: two whole ones are kept */

static int record_file_open(struct control_handle *handle)
{
    return record_open(control_handle_object(handle), handle);
}

static void record_file_release(struct control_handle *handle)
{
    record_release(control_handle_object(handle), handle);
}

static void record_file_read(struct control_handle *handle, size_t size, off_t offset, struct control_request *request)
{
    record_read(control_handle_object(handle), handle, size, offset, request);
}

static unsigned record_file_poll(struct control_handle *handle)
{
    return record_poll(control_handle_object(handle), handle);
}

static void take_write(struct control_handle *handle, const char *data, size_t len, off_t offset,
                       struct control_request *request)
{
    (void)handle, (void)data, (void)offset;
    control_reply_written(request, len);
}

static off_t record_file_size(void *object)
{
    return record_size(object);
}

static const struct control_ops ops = {.open = record_file_open,
                                       .release = record_file_release,
                                       .read = record_file_read,
                                       .write = take_write,
                                       .poll = record_file_poll,
                                       .size = record_file_size};

struct bench {
    struct controlbench *b;
    struct record *record;
    char text[400];
    int h;
    off_t offset; /* of h, as the kernel would keep it */
};

static struct bench make(const char *text)
{
    struct bench t = {.b = cb_new(), .record = record_new(KEPT, "[%llu lost]\n")};
    control_add(control_root(t.b->control), "log", S_IFREG | 0600, &ops, t.record);
    record_add(t.record, text, strlen(text));
    t.h = cb_open(t.b, "log", O_RDONLY);
    return t;
}

static void end(struct bench *t)
{
    control_close_handles(t->b->control);
    record_free(t->record);
    cb_free(t->b);
}

static void add(struct bench *t, const char *text)
{
    record_add(t->record, text, strlen(text));
}

static void add_lines(struct bench *t, int count)
{
    for (int i = 0; i < count; i++)
        add(t, line);
}

static const char *at(struct bench *t, off_t offset, size_t size)
{
    ssize_t n = cb_read_at(t->b, t->h, t->text, size, offset, 0);
    cr_assert_geq(n, 0);
    t->offset = offset + n;
    return t->text;
}

static const char *next(struct bench *t, size_t size)
{
    return at(t, t->offset, size);
}

static uint64_t size_of(struct bench *t)
{
    struct fuse_getattr_in in = {0};
    struct fuse_attr_out out;
    cr_assert_eq(cb_ask(t->b, FUSE_GETATTR, cb_lookup(t->b, "log"), &in, sizeof in), 0);
    memcpy(&out, cb_reply(t->b, t->b->unique)->body, sizeof out);
    cr_expect_eq(out.attr_valid, 0u, "a size that grows must not be kept");
    return out.attr.size;
}

Test(record, ends_and_goes_on_when_it_has_grown)
{
    struct bench t = make("one\n");
    cr_expect_eq(size_of(&t), 4u);
    cr_expect_str_eq(next(&t, 100), "one\n");
    cr_expect_str_eq(next(&t, 100), "");
    add(&t, "two\n");
    cr_expect_eq(size_of(&t), 8u);
    cr_expect_str_eq(next(&t, 2), "tw");
    cr_expect_str_eq(next(&t, 100), "o\n");
    cr_expect_str_eq(at(&t, 2, 3), "e\nt", "it can be positioned");
    cr_expect_str_eq(at(&t, 100, 3), "");
    end(&t);
}

Test(record, what_is_no_longer_kept_is_one_line_and_the_size_is_all)
{
    struct bench t = make("");
    add_lines(&t, 10);
    cr_expect_eq(size_of(&t), 220u);
    cr_expect_str_eq(next(&t, 5), "[176 ");
    cr_expect_str_eq(next(&t, 100), "lost]\n");
    cr_expect_str_eq(next(&t, 100), "a line of some length\na line of some length\n");
    cr_expect_str_eq(next(&t, 100), "");
    add(&t, "more\n");
    cr_expect_str_eq(next(&t, 100), "more\n");
    cr_expect_str_eq(at(&t, 0, 100), "[176 lost]\n", "from the beginning it is the same again");
    end(&t);
}

Test(record, who_is_overtaken_is_told_and_goes_on_at_a_line)
{
    struct bench t = make("first\n");
    cr_expect_str_eq(next(&t, 3), "fir");
    add_lines(&t, 20);
    cr_expect_str_eq(next(&t, 100), "\n[399 lost]\n", "not in the middle of the line it was reading");
    cr_expect_str_eq(next(&t, 100), "a line of some length\na line of some length\n");
    add_lines(&t, 20);
    char all[40] = "";
    for (int i = 0; i < 11; i++) /* as a shell reads */
        strcat(all, next(&t, 1));
    cr_expect_str_eq(all, "[396 lost]\n");
    cr_expect_str_eq(next(&t, 6), "a line");
    end(&t);
}

/* Bash reads a block and seeks back to behind the line. */
Test(record, a_shell_that_seeks_back_reads_each_line_once)
{
    struct bench t = make("");
    add_lines(&t, 10);
    int count = 0;
    for (; *next(&t, 40) && count < 10; count++)
        t.offset -= (off_t)strlen(strchr(t.text, '\n') + 1);
    cr_expect_eq(count, 3, "the note and two lines");
    end(&t);
}

Test(record, the_end_is_where_the_size_says)
{
    struct bench t = make("");
    add_lines(&t, 10);
    cr_expect_str_eq(at(&t, 220 - 7, 100), "length\n");
    cr_expect_str_eq(at(&t, 10, 4), "\n\n\n\n", "behind the back of who reads backwards are empty lines");
    cr_expect_str_eq(at(&t, 155, 10), "\n", "up to what is kept");
    cr_expect_str_eq(at(&t, 0, 100), "[176 lost]\n", "and who was there may begin anew");
    cr_expect_str_eq(at(&t, 220, 100), "", "the end by its size, not by what was read");
    add(&t, "new\n");
    cr_expect_str_eq(next(&t, 100), "new\n");
    end(&t);
}

Test(record, poll_says_when_there_is_more)
{
    struct bench t = make("one\n");
    cr_expect_eq(cb_poll(t.b, t.h), (unsigned)(POLLIN | POLLOUT | POLLPRI));
    next(&t, 100);
    cr_expect_eq(cb_poll(t.b, t.h), (unsigned)(POLLIN | POLLOUT), "a read at the end returns at once, as of a file");
    add(&t, "two\n");
    cr_expect_eq(t.b->handles[t.h].notified, 1u);
    cr_expect(cb_poll(t.b, t.h) & POLLPRI);
    char big[KEPT * 3 + 1];
    memset(big, 'x', sizeof big - 1);
    big[sizeof big - 1] = '\0';
    add(&t, big);
    cr_expect_str_eq(next(&t, 100), "[196 lost]\n", "no line of it is whole");
    cr_expect_str_eq(next(&t, 100), "");
    cr_expect_eq(cb_poll(t.b, t.h) & POLLPRI, 0u);
    record_end(t.record);
    cr_expect_eq(t.b->handles[t.h].notified, 3u);
    cr_expect(cb_poll(t.b, t.h) & POLLHUP);
    end(&t);
}

Test(record, writing_moves_no_reader)
{
    struct bench t = make("one\ntwo\n");
    t.h = cb_open(t.b, "log", O_RDWR);
    cr_expect_eq(cb_write(t.b, t.h, "typed\n", 6), 0);
    cr_expect_str_eq(at(&t, 6, 4), "one\n");
    cr_expect_str_eq(at(&t, 17, 100), "two\n");
    end(&t);
}

Test(record, the_last_bytes_can_be_had)
{
    struct bench t = make("");
    char tail[10];
    cr_expect_eq(record_tail(t.record, tail, 4), 0u);
    add_lines(&t, 10);
    cr_expect_eq(record_tail(t.record, tail, 4), 4u);
    cr_expect(memcmp(tail, "gth\n", 4) == 0);
    end(&t);
}
