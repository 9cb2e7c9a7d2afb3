/* SPDX-License-Identifier: Apache-2.0 */
/* fsx FILE SEED COUNT: does COUNT random things to a file (write, append, read, truncate, mmap, holes, copies, reopen) and
 * compares it after each with a model in memory. Prints the history's last steps and exits 1 at the first difference.
 * In the spirit of the fsx of the BSDs and xfstests. */
#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum { LIMIT = 512 * 1024, LONGEST = 200 * 1024, HISTORY = 16 };

struct fsx {
    const char *path;
    int fd;
    uint64_t random;
    size_t size;
    uint8_t model[LIMIT], buf[LIMIT];
    char history[HISTORY][80];
    unsigned steps;
};

static uint32_t draw(struct fsx *x, uint32_t below)
{
    x->random = x->random * 6364136223846793005u + 1442695040888963407u;
    return below ? (uint32_t)(x->random >> 33) % below : 0;
}

__attribute__((noreturn)) static void die(const struct fsx *x, const char *what)
{
    fprintf(stderr, "fsx: %s: step %u: %s (%s); the last steps:\n", x->path, x->steps, what, strerror(errno));
    for (unsigned i = x->steps < HISTORY ? 0 : x->steps - HISTORY; i < x->steps; i++)
        fprintf(stderr, "  %s\n", x->history[i % HISTORY]);
    exit(1);
}

static void note(struct fsx *x, const char *what, size_t at, size_t len)
{
    snprintf(x->history[x->steps % HISTORY], sizeof x->history[0], "%u: %s at %zu, %zu bytes, size %zu", x->steps, what,
             at, len, x->size);
    x->steps++;
}

/* A place and a length; most are small, some long, many end on a page boundary or the end of the file. */
static void draw_range(struct fsx *x, size_t limit, size_t *at, size_t *len)
{
    *at = draw(x, (uint32_t)limit);
    if (draw(x, 4) == 0)
        *at &= ~(size_t)4095;
    *len = 1 + draw(x, draw(x, 4) ? 10000 : LONGEST);
    if (*len > limit - *at)
        *len = limit - *at;
}

static void grow_model(struct fsx *x, size_t size)
{
    if (size > x->size) {
        memset(x->model + x->size, 0, size - x->size);
        x->size = size;
    }
}

static void fill(struct fsx *x, uint8_t *to, size_t len)
{
    uint8_t seed = (uint8_t)draw(x, 256);
    for (size_t i = 0; i < len; i++)
        to[i] = (uint8_t)(seed + i * 7 + (i >> 8));
}

static void step_write(struct fsx *x)
{
    size_t at, len;
    draw_range(x, LIMIT, &at, &len);
    note(x, "write", at, len);
    grow_model(x, at);
    fill(x, x->model + at, len);
    if (x->size < at + len)
        x->size = at + len;
    for (size_t done = 0; done < len;) {
        ssize_t n = pwrite(x->fd, x->model + at + done, len - done, (off_t)(at + done));
        if (n <= 0)
            die(x, "write");
        done += (size_t)n;
    }
}

static void step_append(struct fsx *x)
{
    size_t len = 1 + draw(x, 5000);
    if (len > LIMIT - x->size)
        return;
    note(x, "append", x->size, len);
    int fd = open(x->path, O_WRONLY | O_APPEND | O_CLOEXEC);
    fill(x, x->model + x->size, len);
    if (fd < 0 || write(fd, x->model + x->size, len) != (ssize_t)len || close(fd) < 0)
        die(x, "append");
    x->size += len;
}

static void compare(struct fsx *x, size_t at, size_t len)
{
    if (memcmp(x->buf, x->model + at, len) == 0)
        return;
    for (size_t i = 0; i < len; i++) {
        if (x->buf[i] != x->model[at + i]) {
            fprintf(stderr, "fsx: byte %zu is %02x, not %02x\n", at + i, x->buf[i], x->model[at + i]);
            break;
        }
    }
    errno = 0;
    die(x, "data differ");
}

static void step_read(struct fsx *x)
{
    size_t at, len;
    if (x->size == 0)
        return;
    draw_range(x, x->size, &at, &len);
    note(x, "read", at, len);
    if (pread(x->fd, x->buf, len, (off_t)at) != (ssize_t)len)
        die(x, "short read");
    compare(x, at, len);
}

static void step_truncate(struct fsx *x)
{
    size_t size = draw(x, LIMIT);
    note(x, "truncate", size, 0);
    if ((draw(x, 2) ? ftruncate(x->fd, (off_t)size) : truncate(x->path, (off_t)size)) < 0)
        die(x, "truncate");
    grow_model(x, size);
    x->size = size;
}

static void step_mmap(struct fsx *x)
{
    size_t at, len;
    if (x->size == 0)
        return;
    draw_range(x, x->size, &at, &len);
    bool writing = draw(x, 2);
    note(x, writing ? "mmap write" : "mmap read", at, len);
    uint8_t *map = mmap(NULL, x->size, PROT_READ | PROT_WRITE, MAP_SHARED, x->fd, 0);
    if (map == MAP_FAILED)
        die(x, "mmap");
    if (writing) {
        fill(x, x->model + at, len);
        memcpy(map + at, x->model + at, len);
    }
    memcpy(x->buf, map + at, len);
    if (munmap(map, x->size) < 0)
        die(x, "munmap");
    compare(x, at, len);
}

static void step_punch(struct fsx *x)
{
    size_t at, len;
    draw_range(x, LIMIT, &at, &len);
    note(x, "punch", at, len);
    if (fallocate(x->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)at, (off_t)len) < 0 &&
        errno != EOPNOTSUPP)
        die(x, "punch");
    if (at < x->size)
        memset(x->model + at, 0, len < x->size - at ? len : x->size - at);
}

static void step_allocate(struct fsx *x)
{
    size_t at, len;
    draw_range(x, LIMIT, &at, &len);
    note(x, "allocate", at, len);
    if (fallocate(x->fd, 0, (off_t)at, (off_t)len) < 0)
        die(x, "allocate");
    grow_model(x, at + len);
}

static void step_copy(struct fsx *x)
{
    size_t from, len, to = draw(x, LIMIT);
    if (x->size == 0)
        return;
    draw_range(x, x->size, &from, &len);
    if (len > LIMIT - to)
        len = LIMIT - to;
    if (len == 0 || (from < to + len && to < from + len))
        return;
    note(x, "copy", from, len);
    off_t in = (off_t)from, out = (off_t)to;
    for (size_t done = 0; done < len;) {
        ssize_t n = copy_file_range(x->fd, &in, x->fd, &out, len - done, 0);
        if (n <= 0)
            die(x, "copy");
        done += (size_t)n;
    }
    grow_model(x, to);
    memcpy(x->model + to, x->model + from, len);
    if (x->size < to + len)
        x->size = to + len;
}

static void step_reopen(struct fsx *x)
{
    note(x, "reopen", 0, 0);
    if (draw(x, 4) == 0 && fsync(x->fd) < 0)
        die(x, "fsync");
    if (close(x->fd) < 0 || (x->fd = open(x->path, O_RDWR | O_CLOEXEC)) < 0)
        die(x, "reopen");
}

static void check_size(struct fsx *x)
{
    struct stat st;
    errno = 0;
    if ((draw(x, 2) ? fstat(x->fd, &st) : stat(x->path, &st)) < 0 || (size_t)st.st_size != x->size)
        die(x, "size differs");
}

int main(int argc, char **argv)
{
    static void (*const steps[])(struct fsx *) = {
        step_write, step_write, step_read,     step_read, step_mmap,   step_mmap, step_append,
        step_punch, step_copy,  step_allocate, step_copy, step_reopen, step_truncate,
    };
    if (argc != 4) {
        fprintf(stderr, "usage: fsx FILE SEED COUNT\n");
        return 2;
    }
    struct fsx *x = calloc(1, sizeof *x);
    if (!x)
        return 2;
    x->path = argv[1];
    x->random = strtoull(argv[2], NULL, 10);
    x->fd = open(x->path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (x->fd < 0)
        die(x, "open");
    for (long count = strtol(argv[3], NULL, 10); count > 0; count--) {
        steps[draw(x, sizeof steps / sizeof *steps)](x);
        check_size(x);
    }
    if (pread(x->fd, x->buf, LIMIT, 0) != (ssize_t)x->size)
        die(x, "short read");
    compare(x, 0, x->size);
    free(x);
    return 0;
}
