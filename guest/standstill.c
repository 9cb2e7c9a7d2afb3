/* SPDX-License-Identifier: Apache-2.0 */
#include "guest/standstill.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <string.h>
#include <unistd.h>

#include "src/cleanup.h"

enum { PRIORITY_BUSY = 1, PRIORITY_CALLER = 2, STACK = 64 * 1024 };

static void *keep_busy(void *data)
{
    struct standstill *s = data;
    while (!atomic_load_explicit(&s->over, memory_order_relaxed))
        ;
    return NULL;
}

static int set_policy(int policy, int priority)
{
    const struct sched_param param = {.sched_priority = priority};
    return sched_setscheduler(0, policy, &param) < 0 ? -errno : 0;
}

static int prepare(pthread_attr_t *attributes)
{
    const struct sched_param param = {.sched_priority = PRIORITY_BUSY};
    int code = pthread_attr_init(attributes);
    if (code)
        return code;
    code = pthread_attr_setinheritsched(attributes, PTHREAD_EXPLICIT_SCHED);
    code = code ? code : pthread_attr_setschedpolicy(attributes, SCHED_FIFO);
    code = code ? code : pthread_attr_setschedparam(attributes, &param);
    return code ? code : pthread_attr_setstacksize(attributes, STACK);
}

/* Otherwise the kernel has others run for a twentieth of each second. */
static void throttle(const char *microseconds)
{
    cleanup_close int fd = open("/proc/sys/kernel/sched_rt_runtime_us", O_WRONLY | O_CLOEXEC);
    if (fd < 0 || write(fd, microseconds, strlen(microseconds)) < 0)
        return; /* it is what the kernel was built with */
}

int standstill_begin(struct standstill *s)
{
    pthread_attr_t attributes;
    long others = sysconf(_SC_NPROCESSORS_ONLN) - 1;
    throttle("-1");
    int rc = set_policy(SCHED_FIFO, PRIORITY_CALLER);
    if (rc < 0 || others < 1)
        return rc;
    atomic_store(&s->over, false);
    int code = prepare(&attributes);
    while (!code && s->count < STANDSTILL_MAX_CPUS && (long)s->count < others) {
        code = pthread_create(&s->threads[s->count], &attributes, keep_busy, s);
        s->count += code == 0;
    }
    pthread_attr_destroy(&attributes);
    if (code)
        standstill_end(s);
    return -code;
}

void standstill_end(struct standstill *s)
{
    atomic_store(&s->over, true);
    while (s->count)
        pthread_join(s->threads[--s->count], NULL);
    set_policy(SCHED_OTHER, 0);
    throttle("950000");
}
