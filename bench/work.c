/* SPDX-License-Identifier: Apache-2.0 */
#include "bench/work.h"

#include <fcntl.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench/clock.h"

enum { MAX_BLOCK = 1 << 20 };

static char block_bytes[MAX_BLOCK];

static size_t size_of(const char *word)
{
    return strtoul(word, NULL, 10);
}

static size_t smaller(size_t a, size_t b)
{
    return a < b ? a : b;
}

static int read_file(char **argv)
{
    size_t block = smaller(size_of(argv[0]), MAX_BLOCK);
    int fd = open(argv[1], O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : 1;
    while (n > 0)
        n = read(fd, block_bytes, block);
    return n < 0 || close(fd) < 0;
}

static int write_file(char **argv)
{
    size_t left = size_of(argv[0]), block = smaller(size_of(argv[1]), MAX_BLOCK);
    int fd = open(argv[2], O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    ssize_t n = fd < 0 ? -1 : 1;
    for (; n > 0 && left > 0; left -= (size_t)n)
        n = write(fd, block_bytes, smaller(left, block));
    return n <= 0 || close(fd) < 0;
}

/* Calls `each` with the paths DIRECTORY/1 to DIRECTORY/COUNT. */
static int for_files(char **argv, int (*each)(const char *path))
{
    size_t count = size_of(argv[0]);
    char path[PATH_MAX];
    int failed = 0;
    for (size_t i = 1; i <= count && !failed; i++) {
        snprintf(path, sizeof path, "%s/%zu", argv[1], i);
        failed = each(path);
    }
    return failed;
}

static int stat_one(const char *path)
{
    struct stat st;
    return stat(path, &st) < 0;
}

static int create_one(const char *path)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
    return fd < 0 || close(fd) < 0 || unlink(path) < 0;
}

static int stat_files(char **argv)
{
    return for_files(argv, stat_one);
}

static int create_files(char **argv)
{
    return for_files(argv, create_one);
}

static int exec_program(char **argv)
{
    int nowhere = open("/dev/null", O_WRONLY | O_CLOEXEC);
    if (nowhere >= 0 && dup2(nowhere, STDOUT_FILENO) >= 0)
        execv(argv[0], argv);
    return 1;
}

static const struct kind {
    const char *name;
    int words; /* at least */
    int (*run)(char **argv);
} kinds[] = {
    {"read", 2, read_file},    {"write", 3, write_file},    {"stat", 2, stat_files},
    {"create", 2, create_files}, {"exec", 1, exec_program},
};

static const struct kind *kind_of(int argc, char **argv)
{
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        if (argc > kinds[i].words && strcmp(argv[0], kinds[i].name) == 0)
            return &kinds[i];
    }
    return NULL;
}

static int run_numbered(const struct kind *kind, int argc, char **argv, int processes, int number)
{
    char last[PATH_MAX];
    if (processes > 1) {
        snprintf(last, sizeof last, "%s%d", argv[argc - 1], number);
        argv[argc - 1] = last;
    }
    return kind->run(argv + 1);
}

int work(int argc, char **argv)
{
    int processes = argc > 1 ? atoi(argv[0]) : 0;
    const struct kind *kind = processes > 0 ? kind_of(argc - 1, argv + 1) : NULL;
    if (!kind)
        return 125;
    uint64_t begin = clock_ns(CLOCK_MONOTONIC);
    int failed = 0, status;
    for (int i = 0; i < processes; i++) {
        pid_t pid = fork();
        if (pid == 0)
            _exit(run_numbered(kind, argc - 1, argv + 1, processes, i));
        failed |= pid < 0;
    }
    while (wait(&status) > 0)
        failed |= status != 0;
    printf("%llu\n", (unsigned long long)(clock_ns(CLOCK_MONOTONIC) - begin));
    return failed;
}
