/* SPDX-License-Identifier: Apache-2.0 */
/* Resources released at the end of the scope that owns them; errno is preserved. */
#ifndef GONDOLIN_SRC_CLEANUP_H
#define GONDOLIN_SRC_CLEANUP_H

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static inline void cleanup_freep(void *p)
{
    int saved = errno;
    free(*(void **)p);
    errno = saved;
}

static inline void cleanup_closep(const int *fd)
{
    int saved = errno;
    if (*fd >= 0)
        close(*fd);
    errno = saved;
}

static inline void cleanup_fclosep(FILE **f)
{
    int saved = errno;
    if (*f)
        fclose(*f);
    errno = saved;
}

static inline void cleanup_closedirp(DIR **d)
{
    int saved = errno;
    if (*d)
        closedir(*d);
    errno = saved;
}

#define cleanup_free __attribute__((cleanup(cleanup_freep)))
#define cleanup_close __attribute__((cleanup(cleanup_closep)))
#define cleanup_fclose __attribute__((cleanup(cleanup_fclosep)))
#define cleanup_closedir __attribute__((cleanup(cleanup_closedirp)))

/* Hands ownership of a fd out of a cleanup_close variable. */
static inline int steal_fd(int *fd)
{
    int out = *fd;
    *fd = -1;
    return out;
}

/* Hands ownership of a pointer out of a cleanup_free variable. */
#define steal_pointer(p)                                                                           \
    __extension__({                                                                                \
        __typeof__(*(p)) stolen_ = *(p);                                                           \
        *(p) = NULL;                                                                               \
        stolen_;                                                                                   \
    })

#endif
