/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "vmm/pages.h"

enum { PAGE = 4096, PAGES = 1024 };

static int base, copy;
static char *mapping;
static pid_t child;

static int make_file(void)
{
    char path[] = "/var/tmp/test-pages-XXXXXX"; /* on a disk: in tmpfs a hole that is read is one no longer */
    int fd = mkstemp(path);
    cr_assert_geq(fd, 0);
    unlink(path);
    cr_assert_eq(ftruncate(fd, PAGES * PAGE), 0);
    return fd;
}

static void set_up(void)
{
    base = make_file();
    copy = make_file();
    for (int i = 0; i < PAGES; i += 4)
        cr_assert_eq(pwrite(base, "base", 4, i * PAGE), 4);
}

static void tear_down(void)
{
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    close(base);
    close(copy);
}

TestSuite(pages, .init = set_up, .fini = tear_down, .timeout = 20);

/* Starts a child that has written to its private mapping, and stands still. */
static void start_child(int flags)
{
    int ready[2];
    char byte;
    cr_assert_eq(pipe(ready), 0);
    mapping = mmap(NULL, PAGES * PAGE, PROT_READ | PROT_WRITE, flags, flags & MAP_ANONYMOUS ? -1 : base, 0);
    cr_assert_neq(mapping, MAP_FAILED);
    child = fork();
    if (child == 0) {
        for (int i = 0; i < PAGES; i += 64)
            memcpy(mapping + i * PAGE, "mine", 4);
        memset(mapping + 4 * PAGE, 0, PAGE);            /* written, and all zeros */
        memset(mapping + 600 * PAGE, 'x', 300 * PAGE);  /* longer than one read */
        volatile char seen = mapping[8 * PAGE];         /* only read */
        (void)seen;
        _exit(write(ready[1], "r", 1) == 1 ? pause() : 1);
    }
    cr_assert_eq(read(ready[0], &byte, 1), 1);
}

static int dump(bool over_base, uint64_t *written, struct err *err)
{
    const struct pages_source source = {
        .pid = child, .address = (uintptr_t)mapping, .size = PAGES * PAGE, .over_base = over_base};
    return pages_dump(&source, copy, NULL, written, err);
}

/* The copy is what the child sees, byte for byte. */
static void expect_same(void)
{
    char path[64];
    static char theirs[PAGES * PAGE], ours[PAGES * PAGE];
    snprintf(path, sizeof path, "/proc/%d/mem", child);
    int memory = open(path, O_RDONLY);
    cr_assert_eq(pread(memory, theirs, sizeof theirs, (off_t)(uintptr_t)mapping), (ssize_t)sizeof theirs);
    cr_assert_eq(pread(copy, ours, sizeof ours, 0), (ssize_t)sizeof ours);
    cr_assert_eq(memcmp(ours, theirs, sizeof ours), 0);
    close(memory);
}

Test(pages, anonymous_memory_is_copied_without_its_zeros)
{
    uint64_t written;
    struct err err = {.code = 0};
    struct stat st;
    start_child(MAP_PRIVATE | MAP_ANONYMOUS);
    cr_assert_eq(dump(false, &written, &err), 0, "%s", err.text);
    expect_same();
    cr_assert_eq(written, (300 + PAGES / 64 - 5) * PAGE, "%lu", written / PAGE); /* 5 of them lie among the 300 */
    fstat(copy, &st);
    cr_assert_leq((uint64_t)st.st_blocks * 512, written + 16 * PAGE, "holes are holes");
}

Test(pages, of_a_private_file_mapping_only_what_was_written_is_copied)
{
    uint64_t written;
    struct err err = {.code = 0};
    start_child(MAP_PRIVATE);
    for (int i = 0; i < PAGES; i += 4)
        cr_assert_eq(pwrite(copy, "base", 4, i * PAGE), 4);
    cr_assert_eq(dump(true, &written, &err), 0, "%s", err.text);
    expect_same();
    cr_assert_leq(written, (300 + PAGES / 64) * PAGE, "%lu", written / PAGE);
}

Test(pages, a_second_copy_also_writes_what_became_zero)
{
    uint64_t written;
    struct err err = {.code = 0};
    start_child(MAP_PRIVATE | MAP_ANONYMOUS);
    memset(mapping, 0, 1);
    cr_assert_eq(pwrite(copy, "stale", 5, 4 * PAGE), 5);
    cr_assert_eq(dump(true, &written, &err), 0, "%s", err.text);
    expect_same();
}

Test(pages, errors_are_told)
{
    uint64_t written;
    struct err err = {.code = 0};
    start_child(MAP_PRIVATE | MAP_ANONYMOUS);
    mapping -= PAGE; /* not all of it is mapped */
    struct pages_source source = {.pid = child, .address = 0x1000, .size = PAGE};
    cr_assert_eq(pages_dump(&source, copy, NULL, &written, &err), -EFAULT);
    mapping += PAGE;
    int read_only = open("/dev/null", O_RDONLY);
    source = (struct pages_source){.pid = child, .address = (uintptr_t)mapping, .size = PAGES * PAGE};
    cr_assert_eq(pages_dump(&source, read_only, NULL, &written, &err), -EBADF);
    const atomic_bool cancel = true;
    cr_assert_eq(pages_dump(&source, copy, &cancel, &written, &err), -ECANCELED);
    kill(child, SIGKILL);
    siginfo_t info;
    waitid(P_PID, (id_t)child, &info, WEXITED | WNOWAIT);
    cr_assert_lt(dump(false, &written, &err), 0);
    close(read_only);
}
