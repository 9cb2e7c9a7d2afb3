/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>

#include "src/follow.h"
#include "tests/unit/controlbench.h"

enum { KEPT = 64 };

static int follow_file_open(struct control_handle *handle)
{
    return follow_open(control_handle_object(handle), handle);
}

static void follow_file_release(struct control_handle *handle)
{
    follow_release(control_handle_object(handle), handle);
}

static void follow_file_read(struct control_handle *handle, size_t size, off_t offset, struct control_request *request)
{
    (void)offset;
    follow_read(control_handle_object(handle), handle, size, request);
}

static unsigned follow_file_poll(struct control_handle *handle)
{
    return follow_poll(control_handle_object(handle), handle);
}

static const struct control_ops ops = {.open = follow_file_open,
                                       .release = follow_file_release,
                                       .read = follow_file_read,
                                       .poll = follow_file_poll,
                                       .stream = true};

struct bench {
    struct controlbench *b;
    struct follow *follow;
    char text[200];
};

static struct bench make(void)
{
    struct bench t = {.b = cb_new(), .follow = follow_new(KEPT, "[%llu lost]\n")};
    control_add(control_root(t.b->control), "events", S_IFREG | 0444, &ops, t.follow);
    return t;
}

static void end(struct bench *t)
{
    control_close_handles(t->b->control);
    follow_free(t->follow);
    cb_free(t->b);
}

static void add(struct bench *t, const char *text)
{
    follow_add(t->follow, text, strlen(text));
}

static const char *next(struct bench *t, int h, size_t size)
{
    ssize_t n = cb_read(t->b, h, t->text, size);
    return n > 0 && n != CB_PENDING ? t->text : n == 1 ? t->text : n == CB_PENDING ? "(waits)" : "(nothing)";
}

Test(follow, readers_are_each_at_their_own_place)
{
    struct bench t = make();
    add(&t, "before\n");
    int first = cb_open(t.b, "events", O_RDONLY);
    add(&t, "one\n");
    cr_expect_str_eq(next(&t, first, 100), "one\n");
    int second = cb_open(t.b, "events", O_RDONLY);
    add(&t, "two\n");
    cr_expect_str_eq(next(&t, second, 100), "two\n");
    cr_expect_str_eq(next(&t, first, 2), "tw");
    cr_expect_str_eq(next(&t, first, 100), "o\n");
    end(&t);
}

Test(follow, a_reader_waits_and_is_woken)
{
    struct bench t = make();
    add(&t, "before\n");
    int h = cb_open(t.b, "events", O_RDONLY);
    cr_expect_eq(cb_read(t.b, h, t.text, 3), CB_PENDING);
    uint64_t unique = t.b->unique;
    cr_expect_eq(cb_poll(t.b, h) & POLLIN, 0);
    add(&t, "after\n");
    cr_expect_str_eq(cb_took(t.b, unique), "aft", "no more than was asked for");
    cr_expect_eq(t.b->handles[h].notified, 1u);
    cr_expect(cb_poll(t.b, h) & POLLIN);
    cr_expect_str_eq(next(&t, h, 100), "er\n");
    cr_expect_eq(cb_read_at(t.b, h, t.text, 3, 0, O_NONBLOCK), -EAGAIN);
    cr_expect_eq(cb_read(t.b, h, t.text, 3), CB_PENDING);
    unique = t.b->unique;
    cr_expect_eq(cb_read(t.b, h, t.text, 3), -EBUSY);
    cr_expect_eq(cb_interrupt(t.b, unique), -EINTR);
    cr_expect_eq(cb_read(t.b, h, t.text, 3), CB_PENDING);
    unique = t.b->unique;
    control_close_handles(t.b->control);
    cr_expect_str_eq(cb_took(t.b, unique), "", "the end of the sandbox is end of file");
    end(&t);
}

Test(follow, who_is_overtaken_is_told_and_goes_on_at_a_line)
{
    struct bench t = make();
    int h = cb_open(t.b, "events", O_RDONLY);
    add(&t, "first\n");
    cr_expect_str_eq(next(&t, h, 3), "fir");
    for (int i = 0; i < 20; i++)
        add(&t, "a line of some length\n");
    cr_expect(cb_poll(t.b, h) & POLLIN);
    cr_expect_str_eq(next(&t, h, 100), "\n[399 lost]\n", "not in the middle of the line it was reading");
    cr_expect_str_eq(next(&t, h, 100), "a line of some length\na line of some length\n");
    for (int i = 0; i < 20; i++)
        add(&t, "a line of some length\n");
    char all[40] = "";
    for (int i = 0; i < 11; i++) /* as a shell reads */
        strcat(all, next(&t, h, 1));
    cr_expect_str_eq(all, "[396 lost]\n");
    cr_expect_str_eq(next(&t, h, 6), "a line");
    end(&t);
}
