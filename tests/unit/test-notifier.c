/* SPDX-License-Identifier: Apache-2.0 */
/* A pipe stands in for /dev/fuse: a full one holds the thread up, as a lock in the kernel would. */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "fs/notifier.h"

struct bench {
    struct notifier *notifier;
    int ends[2];
};

static struct bench make(void)
{
    struct bench b;
    cr_assert_eq(pipe(b.ends), 0);
    b.notifier = notifier_new(b.ends[1]);
    cr_assert(b.notifier);
    return b;
}

static void end(struct bench *b)
{
    fcntl(b->ends[0], F_SETFL, O_NONBLOCK);
    notifier_stop(b->notifier);
    char drain[65536];
    while (!notifier_join(b->notifier))
        while (read(b->ends[0], drain, sizeof drain) > 0)
            ;
    close(b->ends[0]);
    close(b->ends[1]);
}

/* True when the event comes within two seconds. */
static bool event(const struct bench *b)
{
    uint64_t count;
    struct pollfd p = {.fd = notifier_event_fd(b->notifier), .events = POLLIN};
    return poll(&p, 1, 2000) == 1 && read(p.fd, &count, sizeof count) == sizeof count;
}

/* Fills the pipe: the thread then waits in its write. */
static void hold_up(struct bench *b)
{
    static char filler[4096];
    fcntl(b->ends[1], F_SETFL, O_NONBLOCK);
    while (write(b->ends[1], filler, sizeof filler) > 0)
        ;
    fcntl(b->ends[1], F_SETFL, 0);
}

static void let_go(struct bench *b)
{
    char drain[65536];
    for (size_t left = 65536; left;) {
        ssize_t n = read(b->ends[0], drain, left);
        cr_assert_gt(n, 0);
        left -= (size_t)n;
    }
}

Test(notifier, messages_are_written_in_order_and_their_end_is_told)
{
    struct bench b = make();
    char text[8];
    cr_expect(notifier_idle(b.notifier));
    notifier_send(b.notifier, "one", 3, false);
    notifier_send(b.notifier, "two", 3, false);
    notifier_end(b.notifier);
    cr_assert(event(&b));
    while (!notifier_idle(b.notifier))
        cr_assert(event(&b));
    cr_expect_eq(notifier_written(b.notifier), 1u);
    cr_expect_eq(read(b.ends[0], text, 6), 6);
    cr_expect(memcmp(text, "onetwo", 6) == 0);
    end(&b);
}

Test(notifier, a_notice_of_no_message_ends_at_once)
{
    struct bench b = make();
    notifier_await(b.notifier, 2);
    notifier_end(b.notifier);
    cr_expect_eq(notifier_written(b.notifier), 1u);
    notifier_end(b.notifier);
    cr_expect_eq(notifier_written(b.notifier), 2u);
    cr_expect(event(&b));
    end(&b);
}

Test(notifier, who_waits_for_a_notice_does_not_wait_for_what_comes_behind_it)
{
    struct bench b = make();
    static char page[4096];
    hold_up(&b);
    notifier_send(b.notifier, page, sizeof page, false);
    notifier_end(b.notifier);
    for (int i = 0; i < 100; i++) { /* more than the pipe will take */
        notifier_send(b.notifier, page, sizeof page, false);
        notifier_end(b.notifier);
    }
    notifier_await(b.notifier, 1);
    cr_expect_eq(notifier_written(b.notifier), 0u);
    cr_expect_not(notifier_idle(b.notifier));
    let_go(&b);
    cr_assert(event(&b), "the first has been written");
    cr_expect_geq(notifier_written(b.notifier), 1u);
    cr_expect_lt(notifier_written(b.notifier), 101u);
    end(&b);
}

Test(notifier, a_full_queue_drops_what_need_not_go)
{
    struct bench b = make();
    hold_up(&b);
    for (int i = 0; i < 65536 + 10; i++)
        notifier_send(b.notifier, "x", 1, false);
    cr_expect(notifier_overflowed(b.notifier));
    cr_expect_not(notifier_overflowed(b.notifier), "told once");
    notifier_send(b.notifier, "x", 1, true);
    cr_expect_not(notifier_overflowed(b.notifier), "what must go is queued");
    end(&b);
}
