/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "src/copier.h"

/* Static: the threads may outlive a test that fails. */
static struct copier copier;
static int feed, drain; /* the test's ends of the two pipes */

static void set_up(void)
{
    int in[2], out[2];
    signal(SIGPIPE, SIG_IGN);
    cr_assert_eq(pipe2(in, O_CLOEXEC), 0);
    cr_assert_eq(pipe2(out, O_CLOEXEC), 0);
    feed = in[1];
    drain = out[0];
    copier = (struct copier){.from = in[0], .to = out[1], .close_to = true, .escape = -1, .wake_at = UINT64_MAX,
                             .notify_fd = eventfd(0, EFD_CLOEXEC)};
}

TestSuite(copier, .init = set_up, .timeout = 20);

static void wait_for_news(void)
{
    eventfd_t count;
    cr_assert_eq(eventfd_read(copier.notify_fd, &count), 0);
}

static size_t read_all(char *buffer, size_t size)
{
    size_t len = 0;
    for (ssize_t n = 1; n > 0 && len < size; len += (size_t)n) {
        n = read(drain, buffer + len, size - len);
        cr_assert_geq(n, 0);
    }
    return len;
}

Test(copier, every_byte_arrives_and_the_end_is_passed_on)
{
    char sent[256], got[300];
    for (int i = 0; i < 256; i++)
        sent[i] = (char)i;
    cr_assert_eq(copier_start(&copier), 0);
    cr_assert_eq(write(feed, sent, sizeof sent), 256);
    close(feed);
    cr_assert_eq(read_all(got, sizeof got), 256);
    cr_assert_eq(memcmp(sent, got, 256), 0);
    wait_for_news();
    cr_assert_eq(copier.state, COPIER_ENDED);
    cr_assert_eq(copier.copied, 256);
}

Test(copier, non_blocking_descriptors_are_waited_for)
{
    cr_assert_eq(fcntl(copier.from, F_SETFL, O_NONBLOCK), 0);
    cr_assert_eq(fcntl(copier.to, F_SETFL, O_WRONLY | O_NONBLOCK), 0);
    cr_assert_eq(copier_start(&copier), 0);
    static char block[64 * 1024], got[sizeof block * 8];
    for (int i = 0; i < 3; i++) /* what two pipes and the copier between them just hold */
        cr_assert_eq(write(feed, block, sizeof block), (ssize_t)sizeof block, "%s", strerror(errno));
    size_t len = 0;
    while (len < 2 * sizeof block) {
        ssize_t n = read(drain, got, sizeof got);
        cr_assert_gt(n, 0);
        len += (size_t)n;
    }
    close(feed);
    len += read_all(got, sizeof got);
    cr_assert_eq(len, 3 * sizeof block);
}

Test(copier, the_escape_ends_it_after_what_came_before)
{
    char got[16];
    copier.escape = 0x1d;
    cr_assert_eq(copier_start(&copier), 0);
    cr_assert_eq(write(feed, "abc\x1d" "def", 7), 7);
    wait_for_news();
    cr_assert_eq(copier.state, COPIER_ESCAPED);
    cr_assert_eq(read_all(got, sizeof got), 3);
    cr_assert_eq(memcmp(got, "abc", 3), 0);
}

Test(copier, a_reader_that_goes_away_does_not_stop_the_writer)
{
    static char block[64 * 1024];
    close(drain);
    cr_assert_eq(copier_start(&copier), 0);
    cr_assert_eq(write(feed, "x", 1), 1);
    wait_for_news();
    cr_assert_eq(copier.write_error, EPIPE);
    for (int i = 0; i < 4; i++)
        cr_assert_eq(write(feed, block, sizeof block), (ssize_t)sizeof block);
    close(feed);
    wait_for_news();
    cr_assert_eq(copier.state, COPIER_ENDED);
    cr_assert_eq(copier.copied, 4 * sizeof block + 1);
}

Test(copier, tells_when_enough_has_been_copied)
{
    copier.wake_at = 5;
    cr_assert_eq(copier_start(&copier), 0);
    cr_assert_eq(write(feed, "1234", 4), 4);
    struct pollfd p = {.fd = copier.notify_fd, .events = POLLIN};
    cr_assert_eq(poll(&p, 1, 50), 0);
    cr_assert_eq(write(feed, "5", 1), 1);
    wait_for_news();
    cr_assert_eq(copier.copied, 5);
    cr_assert_eq(copier.state, COPIER_RUNNING);
}

Test(copier, a_failed_read_is_told)
{
    copier.from = open("/", O_RDONLY | O_CLOEXEC);
    cr_assert_eq(copier_start(&copier), 0);
    wait_for_news();
    cr_assert_eq(copier.state, COPIER_FAILED);
    cr_assert_eq(copier.error, EISDIR);
}
