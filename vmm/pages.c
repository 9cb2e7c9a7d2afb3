/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "vmm/pages.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include "src/cleanup.h"

#define PAGEMAP_PRESENT (UINT64_C(1) << 63)
#define PAGEMAP_SWAPPED (UINT64_C(1) << 62)
#define PAGEMAP_FILE (UINT64_C(1) << 61) /* still the file's page (or shared memory) */

enum {
    PAGE = 4096,
    BUFFER = 1024 * 1024,
    PAGES_PER_BUFFER = BUFFER / PAGE,
    ENTRIES = 8192,
    /* The page cache keeps what is written at once in one folio, and since Linux 6.18 maps a folio as a whole: what a clone
     * has in memory for each page that it looks at. */
    PIECE = 128 * 1024,
};

struct dump {
    const struct pages_source *source;
    const atomic_bool *cancel;
    int to;
    uint64_t written;
    char *buffer;
    struct err *err;
};

static bool is_private(uint64_t entry)
{
    return (entry & (PAGEMAP_PRESENT | PAGEMAP_SWAPPED)) && !(entry & PAGEMAP_FILE);
}

static bool is_zero(const char *page)
{
    return page[0] == 0 && memcmp(page, page + 1, PAGE - 1) == 0;
}

static int write_data(struct dump *d, const char *data, size_t length, uint64_t offset)
{
    while (length) {
        ssize_t n = pwrite(d->to, data, length < PIECE ? length : PIECE, (off_t)offset);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return err_errno(d->err, errno, "write the guest's memory");
        data += n;
        length -= (size_t)n;
        offset += (size_t)n;
        d->written += (size_t)n;
    }
    return 0;
}

/* Zeros are holes already, unless they replace something. They are not made holes again: punching one waits for the
 * disk. */
static int write_zeros(struct dump *d, const char *zeros, size_t length, uint64_t offset)
{
    if (!d->source->over_base)
        return 0;
    off_t data = lseek(d->to, (off_t)offset, SEEK_DATA);
    bool hole = data < 0 ? errno == ENXIO : (uint64_t)data >= offset + length;
    return hole ? 0 : write_data(d, zeros, length, offset);
}

static int write_pages(struct dump *d, size_t length, uint64_t offset)
{
    for (size_t begin = 0, end; begin < length; begin = end) {
        bool zero = is_zero(d->buffer + begin);
        for (end = begin + PAGE; end < length && is_zero(d->buffer + end) == zero;)
            end += PAGE;
        int rc = (zero ? write_zeros : write_data)(d, d->buffer + begin, end - begin, offset + begin);
        if (rc < 0)
            return rc;
    }
    return 0;
}

/* One run of private pages that fits the buffer. */
static int dump_run(struct dump *d, uint64_t offset, size_t length)
{
    struct iovec here = {.iov_base = d->buffer, .iov_len = length};
    struct iovec there = {.iov_base = (void *)(uintptr_t)(d->source->address + offset), .iov_len = length}; // NOLINT
    if (d->cancel && atomic_load(d->cancel))
        return err_set(d->err, ECANCELED, "copy the guest's memory: cancelled");
    ssize_t n = process_vm_readv(d->source->pid, &here, 1, &there, 1, 0);
    if (n == (ssize_t)length)
        return write_pages(d, length, offset);
    int code = n < 0 ? errno : EFAULT;
    return err_errno(d->err, code, "read the guest's memory in process %d%s", (int)d->source->pid,
                     code == EPERM ? " (tracing of children must be allowed: sysctl kernel.yama.ptrace_scope=1)" : "");
}

static int dump_entries(struct dump *d, const uint64_t *entries, size_t count, uint64_t first_page)
{
    for (size_t i = 0, end; i < count; i = end) {
        bool private = is_private(entries[i]);
        for (end = i + 1; end < count && end - i < PAGES_PER_BUFFER && is_private(entries[end]) == private;)
            end++;
        int rc = private ? dump_run(d, (first_page + i) * PAGE, (end - i) * PAGE) : 0;
        if (rc < 0)
            return rc;
    }
    return 0;
}

static int dump_mapping(struct dump *d, int pagemap)
{
    uint64_t pages = d->source->size / PAGE;
    cleanup_free uint64_t *entries = malloc(ENTRIES * sizeof *entries);
    if (!entries)
        return err_set(d->err, ENOMEM, "copy the guest's memory: out of memory");
    for (uint64_t page = 0; page < pages;) {
        size_t wanted = pages - page < ENTRIES ? (size_t)(pages - page) : ENTRIES;
        off_t at = (off_t)((d->source->address / PAGE + page) * sizeof *entries);
        ssize_t n = pread(pagemap, entries, wanted * sizeof *entries, at);
        if (n <= 0) /* end of file: the process has ended */
            return err_errno(d->err, n < 0 ? errno : ESRCH, "read the page table of process %d",
                             (int)d->source->pid);
        size_t count = (size_t)n / sizeof *entries;
        int rc = dump_entries(d, entries, count, page);
        if (rc < 0)
            return rc;
        page += count;
    }
    return 0;
}

/* The address came from the process itself: all of it has to be writable memory, or what is dumped were not the guest. */
static int check_mapped(const struct pages_source *source, struct err *err)
{
    char path[64], line[512];
    snprintf(path, sizeof path, "/proc/%d/maps", (int)source->pid);
    cleanup_fclose FILE *maps = fopen(path, "re");
    if (!maps)
        return err_errno(err, errno == ENOENT ? ESRCH : errno, "open %s", path);
    uint64_t at = source->address, end = source->address + source->size;
    while (at < end && fgets(line, sizeof line, maps)) {
        uint64_t from, to;
        char mode[5] = "";
        if (sscanf(line, "%" SCNx64 "-%" SCNx64 " %4s", &from, &to, mode) == 3 && from <= at && at < to &&
            !strncmp(mode, "rw", 2))
            at = to;
    }
    if (at < end)
        return err_set(err, EFAULT, "%s: the guest's memory is not where it should be", path);
    return 0;
}

int pages_dump(const struct pages_source *source, int to, const atomic_bool *cancel, uint64_t *written,
               struct err *err)
{
    char path[64];
    int rc = check_mapped(source, err);
    if (rc < 0)
        return rc;
    snprintf(path, sizeof path, "/proc/%d/pagemap", (int)source->pid);
    cleanup_close int pagemap = open(path, O_RDONLY | O_CLOEXEC);
    if (pagemap < 0)
        return err_errno(err, errno, "open %s", path);
    cleanup_free char *buffer = malloc(BUFFER);
    if (!buffer)
        return err_set(err, ENOMEM, "copy the guest's memory: out of memory");
    struct dump d = {.source = source, .cancel = cancel, .to = to, .buffer = buffer, .err = err};
    rc = dump_mapping(&d, pagemap);
    *written = d.written;
    return rc;
}
