/* SPDX-License-Identifier: Apache-2.0 */
#include "guest/vfsforget.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>

#include "guest/log.h"
#include "src/thread.h"

struct vfsforget {
    const char *place;
    pthread_t thread;
    pthread_mutex_t lock; /* for all below */
    pthread_cond_t asked_for;
    bool asked, stop;
};

/* Mounting it again, as it is, drops all names of a file system that nobody uses (reconfigure_super of Linux's fs/super.c),
 * and FUSE keeps no inode without a name. */
static void forget(const struct vfsforget *f)
{
    if (mount(NULL, f->place, NULL, MS_REMOUNT | MS_NOSUID | MS_NODEV, NULL) < 0)
        log_line(LOG_LEVEL_WARNING, "forget names of %s: %s", f->place, strerror(errno));
}

/* Whether to go on. */
static bool next(struct vfsforget *f)
{
    pthread_mutex_lock(&f->lock);
    while (!f->asked && !f->stop)
        pthread_cond_wait(&f->asked_for, &f->lock);
    bool stop = f->stop;
    f->asked = false;
    pthread_mutex_unlock(&f->lock);
    return !stop;
}

static void *act(void *data)
{
    struct vfsforget *f = data;
    while (next(f))
        forget(f);
    return NULL;
}

static void tell(struct vfsforget *f, bool *what)
{
    pthread_mutex_lock(&f->lock);
    *what = true;
    pthread_cond_signal(&f->asked_for);
    pthread_mutex_unlock(&f->lock);
}

struct vfsforget *vfsforget_new(const char *place)
{
    struct vfsforget *f = calloc(1, sizeof *f);
    if (!f)
        return NULL;
    f->place = place;
    pthread_mutex_init(&f->lock, NULL);
    pthread_cond_init(&f->asked_for, NULL);
    int rc = thread_start(&f->thread, 0, act, f);
    if (rc == 0)
        return f;
    free(f);
    errno = rc;
    return NULL;
}

void vfsforget_ask(struct vfsforget *f)
{
    tell(f, &f->asked);
}

void vfsforget_free(struct vfsforget *f)
{
    if (!f)
        return;
    tell(f, &f->stop);
    pthread_join(f->thread, NULL);
    pthread_cond_destroy(&f->asked_for);
    pthread_mutex_destroy(&f->lock);
    free(f);
}
