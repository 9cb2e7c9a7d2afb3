/* SPDX-License-Identifier: Apache-2.0 */
#include "src/vfs_hook.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "src/cleanup.h"
#include "src/printable.h"
#include "src/shquote.h"
#include "vmm/child.h"
#include "vmm/program.h"

enum { LOG_LINE = 512 };

struct vfs_hook {
    const struct vfs_hook_ops *ops;
    void *data;
    pid_t pid; /* 0: none */
    int pidfd, stderr_fd;
    struct watch *pid_watch, *stderr_watch;
    bool killed;
    char said[LOG_LINE]; /* on standard error: the line that is not yet whole */
    size_t said_len;
};

/* ---- what the option says ---- */

void vfs_hook_spec_free(struct vfs_hook_spec *spec)
{
    if (spec->words)
        close(spec->directory_fd);
    free(spec->words);
    free(spec->program);
    *spec = (struct vfs_hook_spec){0};
}

/* Not realpath: what a link is called may be what the program behind it does. */
static char *absolute(char *path)
{
    char cwd[PATH_MAX];
    char *whole = NULL;
    if (path[0] == '/')
        return path;
    if (!getcwd(cwd, sizeof cwd) || asprintf(&whole, "%s/%s", cwd, path) < 0)
        whole = NULL;
    free(path);
    return whole;
}

static int find(struct vfs_hook_spec *spec, struct err *err)
{
    const char *name = spec->words[0];
    char *path = program_find(name);
    if (!path && errno == ENOENT)
        return err_set(err, ENOENT, "--vfs-hook: %.300s: there is no such program%s", name,
                       strchr(name, '/') ? "" : " on the PATH; ./ before it means this directory");
    if (!path && errno == EACCES)
        return err_set(err, EACCES, "--vfs-hook: %.300s: not an executable file; chmod +x makes a script one", name);
    spec->program = path ? absolute(path) : NULL;
    if (!spec->program)
        return err_errno(err, errno, "--vfs-hook: %.300s", name);
    spec->words[0] = spec->program;
    return 0;
}

int vfs_hook_spec_read(const char *text, struct vfs_hook_spec *out, struct err *err)
{
    size_t count;
    *out = (struct vfs_hook_spec){0};
    int rc = shquote_split(text, strlen(text), &out->words, &count);
    if (rc == -EINVAL)
        return err_set(err, EINVAL, "--vfs-hook: \"%.200s\": a quote is not closed; quote as for sh(1)", text);
    if (rc < 0)
        return err_errno(err, -rc, "--vfs-hook");
    out->directory_fd = open(".", O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (out->directory_fd < 0)
        rc = err_errno(err, errno, "--vfs-hook: the working directory");
    else if (count == 0)
        rc = err_set(err, EINVAL, "--vfs-hook: it is empty; a program, and perhaps arguments, are expected");
    rc = rc ? rc : find(out, err);
    if (rc < 0)
        vfs_hook_spec_free(out);
    return rc;
}

/* ---- standard error ---- */

static void log_line(struct vfs_hook *h)
{
    char text[LOG_LINE], line[LOG_LINE + 8];
    printable_copy(text, sizeof text, h->said, h->said_len);
    snprintf(line, sizeof line, "hook: %s", text);
    if (h->said_len > 0)
        h->ops->log(h->data, line);
    h->said_len = 0;
}

/* False when nothing more can be read now. */
static bool read_stderr(struct vfs_hook *h)
{
    char bytes[1024];
    ssize_t n = read(h->stderr_fd, bytes, sizeof bytes);
    for (ssize_t i = 0; i < n; i++) {
        if (bytes[i] == '\n' || h->said_len == sizeof h->said - 1)
            log_line(h);
        if (bytes[i] != '\n')
            h->said[h->said_len++] = bytes[i];
    }
    return n > 0;
}

static void stderr_ready(void *data, uint32_t events)
{
    struct vfs_hook *h = data;
    if (!read_stderr(h) && (events & EPOLLHUP)) {
        watch_del(h->stderr_watch);
        h->stderr_watch = NULL;
    }
}

/* ---- the process ---- */

static void tell_end(struct vfs_hook *h, int status)
{
    char line[128];
    snprintf(line, sizeof line, "hook: the program %s %d", WIFSIGNALED(status) ? "was killed by signal" : "ended with status",
             WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
    h->ops->log(h->data, line);
}

/* What it has started goes with it, and with that the last other holder of its socket. The group is killed while the process
 * is not reaped, so that its number can mean no other one. */
static void process_ended(void *data, uint32_t events)
{
    struct vfs_hook *h = data;
    int status = 0;
    (void)events;
    while (read_stderr(h))
        ;
    log_line(h);
    kill(-h->pid, SIGKILL);
    while (waitpid(h->pid, &status, 0) < 0 && errno == EINTR)
        ;
    h->pid = 0;
    watch_del(h->pid_watch);
    h->pid_watch = NULL;
    if (!h->killed)
        tell_end(h, status);
    h->ops->ended(h->data);
}

static int spawn(struct vfs_hook *h, const struct vfs_hook_spec *spec, int socket, struct err *err)
{
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) < 0)
        return err_errno(err, errno, "start %.300s", spec->program);
    h->stderr_fd = ends[0];
    cleanup_close int theirs = ends[1];
    const struct child_spec child = {.argv = spec->words, .stdin_fd = socket, .stdout_fd = socket, .stderr_fd = theirs,
                                     .directory_fd = spec->directory_fd};
    if (fcntl(h->stderr_fd, F_SETFL, O_NONBLOCK) < 0)
        return err_errno(err, errno, "start %.300s", spec->program);
    return child_start(&child, &h->pid, &h->pidfd, err);
}

static int start(struct vfs_hook *h, struct loop *loop, const struct vfs_hook_spec *spec, int *other_end,
                 struct err *err)
{
    int ends[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) < 0)
        return err_errno(err, errno, "start %.300s", spec->program);
    cleanup_close int ours = ends[0], theirs = ends[1];
    int rc = spawn(h, spec, theirs, err);
    if (rc < 0)
        return rc;
    h->pid_watch = loop_watch(loop, h->pidfd, EPOLLIN, process_ended, h);
    h->stderr_watch = loop_watch(loop, h->stderr_fd, EPOLLIN, stderr_ready, h);
    if (!h->pid_watch || !h->stderr_watch)
        return err_errno(err, errno, "start %.300s", spec->program);
    *other_end = steal_fd(&ours);
    return 0;
}

struct vfs_hook *vfs_hook_start(struct loop *loop, const struct vfs_hook_spec *spec, const struct vfs_hook_ops *ops,
                                void *data, int *socket, struct err *err)
{
    struct vfs_hook *h = calloc(1, sizeof *h);
    if (!h) {
        err_errno(err, ENOMEM, "start %.300s", spec->program);
        return NULL;
    }
    *h = (struct vfs_hook){.ops = ops, .data = data, .pidfd = -1, .stderr_fd = -1};
    if (start(h, loop, spec, socket, err) == 0)
        return h;
    vfs_hook_free(h);
    return NULL;
}

pid_t vfs_hook_pid(const struct vfs_hook *h)
{
    return h->pid;
}

void vfs_hook_kill(struct vfs_hook *h)
{
    h->killed = true;
    if (h->pid > 0)
        kill(-h->pid, SIGKILL);
}

void vfs_hook_free(struct vfs_hook *h)
{
    if (!h)
        return;
    vfs_hook_kill(h);
    watch_del(h->pid_watch);
    watch_del(h->stderr_watch);
    if (h->pidfd >= 0)
        close(h->pidfd);
    if (h->stderr_fd >= 0)
        close(h->stderr_fd);
    free(h);
}
