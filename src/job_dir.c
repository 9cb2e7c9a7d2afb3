/* SPDX-License-Identifier: Apache-2.0 */
/* The directory jobs/ with its `clone`, the symlink `last`, and the table's beginning and end. */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "src/jobs_internal.h"

enum { NAME_MAX_LENGTH = 64 };

/* Names of digits alone belong to jobs without a chosen name. */
bool job_name_valid(const char *name)
{
    size_t len = strlen(name), digits = strspn(name, "0123456789");
    if (!len || len > NAME_MAX_LENGTH || digits == len || name[0] == '.' || name[0] == '-')
        return false;
    for (const char *c = name; *c; c++)
        if (!isalnum((unsigned char)*c) && !strchr("._-", *c))
            return false;
    return true;
}

/* job_new with the sentence for `error`. */
static struct job *new_job(struct jobs *jobs, const char *verb, const char *name)
{
    struct job *job = job_new(jobs, name, false);
    int code = job ? 0 : errno;
    if (code == ENOSPC)
        control_set_error(jobs->control, "%s: there are %d jobs already; remove some with rmdir", verb, JOBS_MAX);
    else if (code)
        control_set_error(jobs->control, "%s: %s", verb, strerror(code));
    errno = code;
    return job;
}

static int jobs_mkdir(void *object, const char *name)
{
    struct jobs *jobs = object;
    if (!job_name_valid(name)) {
        control_set_error(jobs->control, "mkdir: jobs: a name is 1 to 64 of A-Z a-z 0-9 . _ -, not all digits, and does "
                                         "not begin with . or -");
        return EINVAL;
    }
    return new_job(jobs, "mkdir", name) ? 0 : errno;
}

static const struct control_ops jobs_dir_ops = {.mkdir = jobs_mkdir};

/* Only a read-write open makes a job: cat, grep -r and indexers open read-only. */
static int clone_open(struct control_handle *handle)
{
    struct jobs *jobs = control_handle_object(handle);
    if ((control_handle_flags(handle) & O_ACCMODE) != O_RDWR) {
        control_set_error(jobs->control, "clone: makes a job when it is opened for reading and writing, not otherwise");
        return EACCES;
    }
    struct job *job = new_job(jobs, "clone", NULL);
    if (!job)
        return errno;
    job->on_clone = true;
    job->references++;
    control_handle_set_state(handle, job);
    char line[16];
    int len = snprintf(line, sizeof line, "%s\n", job->name);
    control_handle_set_answer(handle, line, (size_t)len);
    return 0;
}

static void clone_release(struct control_handle *handle)
{
    struct job *job = control_handle_state(handle);
    if (job->dir)
        job_remove(job);
    job_unref(job);
}

static void clone_write(struct control_handle *handle, const char *data, size_t len, off_t offset,
                        struct control_request *request)
{
    (void)offset;
    struct job *job = control_handle_state(handle);
    if (job->dir)
        job_ctl_run(job, data, len, request);
    else
        control_reply_error(request, ESTALE, "ctl: job %s has been removed", job->name);
}

static const struct control_ops clone_ops = {.open = clone_open, .release = clone_release, .write = clone_write};

/* The newest one that was started and is still there. */
static char *last_readlink(void *object)
{
    const struct jobs *jobs = object;
    const struct job *last = NULL;
    char *target = NULL;
    for (const struct job *job = jobs->first; job; job = job->next)
        if (job->start_number > (last ? last->start_number : 0))
            last = job;
    return last && asprintf(&target, "jobs/%s", last->name) >= 0 ? target : NULL;
}

static const struct control_ops last_ops = {.readlink = last_readlink};

int job_dir_add(struct jobs *jobs)
{
    struct control_node *root = control_root(jobs->control);
    jobs->dir = control_add(root, "jobs", S_IFDIR | 0700, &jobs_dir_ops, jobs);
    if (!jobs->dir || !control_add(jobs->dir, "clone", S_IFREG | 0600, &clone_ops, jobs) ||
        !control_add(root, "run", S_IFREG | 0600, &job_run_ops, jobs) ||
        !control_add(root, "last", S_IFLNK | 0777, &last_ops, jobs))
        return -errno;
    return 0;
}

struct jobs *jobs_new(struct control *control, const char *spool_dir, const struct jobs_events *events, void *data)
{
    struct jobs *jobs = calloc(1, sizeof *jobs);
    if (!jobs)
        return NULL;
    *jobs = (struct jobs){.control = control, .spool_dir = spool_dir, .events = events, .events_data = data};
    int rc = job_dir_add(jobs);
    if (rc < 0) {
        free(jobs);
        errno = -rc;
        return NULL;
    }
    return jobs;
}

void jobs_free(struct jobs *jobs)
{
    if (!jobs)
        return;
    while (jobs->first)
        job_remove(jobs->first);
    free(jobs);
}
