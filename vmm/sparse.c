/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "vmm/sparse.h"

#include <errno.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

/* How much is copied between two looks at `cancel`. */
enum { CHUNK = 4 * 1024 * 1024 };

/* sendfile rather than copy_file_range: without shared blocks it was the faster one, and it crosses file systems. */
static int copy_data(int from, int to, off_t begin, off_t end, const atomic_bool *cancel, uint64_t *copied)
{
    if (lseek(to, begin, SEEK_SET) < 0)
        return -errno;
    while (begin < end) {
        if (cancel && atomic_load(cancel))
            return -ECANCELED;
        ssize_t n = sendfile(to, from, &begin, end - begin < CHUNK ? (size_t)(end - begin) : CHUNK);
        if (n < 0 && errno != EINTR)
            return -errno;
        if (n == 0)
            return -EIO; /* somebody truncated it */
        *copied += n > 0 ? (uint64_t)n : 0;
    }
    return 0;
}

int sparse_copy(int from, int to, const atomic_bool *cancel, struct sparse_report *report)
{
    struct stat st;
    *report = (struct sparse_report){.reflinked = false};
    if (fstat(from, &st) < 0)
        return -errno;
    if (ioctl(to, FICLONE, from) == 0) {
        report->reflinked = true;
        return 0;
    }
    if (ftruncate(to, st.st_size) < 0)
        return -errno;
    for (off_t end = 0; end < st.st_size;) {
        off_t begin = lseek(from, end, SEEK_DATA);
        if (begin < 0)
            return errno == ENXIO ? 0 : -errno; /* ENXIO: nothing but a hole is left */
        end = lseek(from, begin, SEEK_HOLE);
        if (end < 0)
            return -errno;
        int rc = copy_data(from, to, begin, end, cancel, &report->copied);
        if (rc < 0)
            return rc;
    }
    return 0;
}
