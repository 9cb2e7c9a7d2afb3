/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "images/digest.h"
#include "src/cleanup.h"

enum { BLOCK = 64 * 1024 };

static int sparse(off_t size)
{
    int fd = memfd_create("file", MFD_CLOEXEC);
    cr_assert_eq(ftruncate(fd, size), 0);
    return fd;
}

static void put(int fd, const char *text, off_t offset)
{
    cr_assert_eq(pwrite(fd, text, strlen(text), offset), (ssize_t)strlen(text));
}

static void fill_with_zeros(int fd, off_t begin, off_t end)
{
    for (; begin < end; begin++)
        cr_assert_eq(pwrite(fd, "", 1, begin), 1);
}

Test(digest, a_sparse_file_has_the_same_as_one_without_holes)
{
    char one[DIGEST_HEX_SIZE], other[DIGEST_HEX_SIZE];
    cleanup_close int holes = sparse(10 * BLOCK + 77), full = sparse(10 * BLOCK + 77);
    fill_with_zeros(full, 0, 10 * BLOCK + 77);
    for (int i = 0; i < 2; i++) {
        put(i ? full : holes, "across", 3 * BLOCK - 3);
        put(i ? full : holes, "end", 10 * BLOCK + 74);
    }
    cr_assert_eq(digest_sparse_fd(holes, NULL, one), 0);
    cr_assert_eq(digest_sparse_fd(full, NULL, other), 0);
    cr_expect_str_eq(one, other);
}

Test(digest, is_given_up_when_a_signal_arrives)
{
    char hex[DIGEST_HEX_SIZE];
    struct interrupt interrupt;
    struct signalfd_siginfo taken;
    cleanup_close int fd = sparse(3 * BLOCK);
    put(fd, "x", BLOCK);
    cr_assert_eq(interrupt_begin(&interrupt), 0);
    cr_expect_eq(digest_fd(fd, &interrupt, hex), 0);
    cr_expect_eq(digest_sparse_fd(fd, &interrupt, hex), 0);
    raise(SIGTERM);
    cr_expect_eq(digest_fd(fd, &interrupt, hex), -EINTR);
    cr_expect_eq(digest_sparse_fd(fd, &interrupt, hex), -EINTR);
    cr_assert_eq(read(interrupt.fd, &taken, sizeof taken), (ssize_t)sizeof taken, "else it ends the test");
    interrupt_end(&interrupt);
}

Test(digest, size_and_place_count)
{
    char digests[5][DIGEST_HEX_SIZE];
    cleanup_close int a = sparse(BLOCK), b = sparse(BLOCK + 1), c = sparse(2 * BLOCK), d = sparse(2 * BLOCK), e = sparse(0);
    put(c, "x", 0);
    put(d, "x", BLOCK);
    const int fds[] = {a, b, c, d, e};
    for (int i = 0; i < 5; i++) {
        cr_assert_eq(digest_sparse_fd(fds[i], NULL, digests[i]), 0);
        for (int j = 0; j < i; j++)
            cr_expect_str_neq(digests[i], digests[j]);
    }
}

/* As anybody can compute it: printf '\1\0\0\0\0\0\0\0x' and so on into sha256sum. */
Test(digest, is_what_the_header_says)
{
    char hex[DIGEST_HEX_SIZE], expected[DIGEST_HEX_SIZE];
    cleanup_close int fd = sparse(BLOCK + 1);
    put(fd, "x", BLOCK);
    cr_assert_eq(digest_sparse_fd(fd, NULL, hex), 0);
    struct digest *digest = digest_new();
    digest_add(digest, "\1\0\0\0\0\0\0\0x\1\0\1\0\0\0\0\0", 17);
    digest_end(digest, expected);
    cr_expect_str_eq(hex, expected);
}
