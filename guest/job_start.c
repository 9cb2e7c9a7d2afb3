/* SPDX-License-Identifier: Apache-2.0 */
/* The child shares our memory until it executes (as with vfork): nothing is copied, which under emulation is most of
 * the cost of a start, and it reports a failure by writing it down. The price: it may only make system calls and
 * touch its own stack and the request, and must not use libc's id changing functions, which speak to all threads of
 * what they take for their own process. */
#include "guest/job_start.h"

#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <linux/close_range.h>
#include <pthread.h>
#include <sanitizer/asan_interface.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "guest/programs.h"
#include "src/cleanup.h"

enum { CHILD_STACK = 64 * 1024, JOB_NOFILE_SOFT = 1024 };

enum stage { STAGE_TERMINAL, STAGE_USER, STAGE_CWD, STAGE_EXEC };

struct request {
    struct job_start *start;
    const char *path;
    struct rlimit nofile;
    /* written by the child */
    enum stage stage;
    int error;
    bool found; /* the program is there, but cannot be run */
};

static bool set_user(const struct job_start *start)
{
    const struct account *account = &start->account;
    size_t count = (size_t)account->group_count;
    /* An agent without privilege, as in unit tests, starts jobs as itself. */
    if (geteuid() != 0 && (!start->spec.user || account->uid == geteuid()))
        return true;
    return syscall(SYS_setgroups, count, account->groups) == 0 &&
           syscall(SYS_setresgid, account->gid, account->gid, account->gid) == 0 &&
           syscall(SYS_setresuid, account->uid, account->uid, account->uid) == 0;
}

static bool enter_directory(const struct request *r)
{
    if (r->start->spec.cwd)
        return chdir(r->start->spec.cwd) == 0;
    return chdir(r->start->account.home) == 0 || chdir("/") == 0;
}

/* Returns errno of one attempt. */
static int try_execute(struct request *r, const char *file)
{
    execve(file, r->start->spec.argv, r->start->env.entries);
    int error = errno;
    struct stat st;
    /* ENOENT for a file that exists means its interpreter or loader. */
    if (error == ENOENT || error == ENOTDIR)
        r->found = r->found || stat(file, &st) == 0;
    else
        r->found = true;
    return error;
}

/* As execvp, but a file that is neither a program nor has a #! line is not given to a shell. */
static int execute(struct request *r)
{
    const char *name = r->start->spec.argv[0];
    if (strchr(name, '/'))
        return try_execute(r, name);
    int result = ENOENT;
    char file[PATH_MAX];
    for (const char *at = r->path; at; at = strchr(at, ':') ? strchr(at, ':') + 1 : NULL) {
        int dir_len = (int)strcspn(at, ":");
        int len = snprintf(file, sizeof file, "%.*s%s%s", dir_len, at, dir_len ? "/" : "./", name);
        struct stat st;
        /* A failing execve costs ten times as much. */
        if (len < 0 || len >= (int)sizeof file || stat(file, &st) < 0)
            continue;
        bool found_before = r->found;
        int error = try_execute(r, file);
        if (error != ENOENT && error != ENOTDIR && error != EACCES)
            return error;
        if (r->found && !found_before)
            result = error;
    }
    return result;
}

/* Handlers end with the execution of a program, but what is ignored stays so. */
static void reset_signals(void)
{
    static const struct sigaction default_action = {.sa_handler = SIG_DFL};
    for (int number = 1; number <= SIGSYS; number++)
        sigaction(number, &default_action, NULL);
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
}

static int child(void *data)
{
    struct request *r = data;

    r->stage = STAGE_TERMINAL;
    setsid();
    if (r->start->stdio.is_tty && ioctl(r->start->stdio.child[0], TIOCSCTTY, 0) < 0)
        goto failed;
    for (int i = 0; i < 3; i++) {
        if (dup2(r->start->stdio.child[i], i) < 0)
            goto failed;
    }
    /* All of ours are close-on-exec already; this is for a library that forgets it. */
    syscall(SYS_close_range, 3, ~0U, CLOSE_RANGE_CLOEXEC);
    setrlimit(RLIMIT_NOFILE, &r->nofile);
    umask(022);
    r->stage = STAGE_USER;
    if (!set_user(r->start))
        goto failed;
    r->stage = STAGE_CWD;
    if (!enter_directory(r))
        goto failed;
    r->stage = STAGE_EXEC;
    reset_signals();
    errno = execute(r);
failed:
    r->error = errno;
    _exit(EXIT_CANNOT_EXECUTE);
}

/* Returns 0 or the -errno of clone. The child's stack is a piece of ours, which waits: mapping and unmapping one would cost
 * as much as the clone. */
static int clone_child(struct request *r)
{
    _Alignas(16) uint8_t stack[CHILD_STACK];
    /* No handler of ours may run in the child while it uses our memory. */
    sigset_t all, old;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    int rc = clone(child, stack + CHILD_STACK, CLONE_VM | CLONE_VFORK | CLONE_PARENT_SETTID | SIGCHLD, r,
                   &r->start->pid);
    int saved = errno;
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    ASAN_UNPOISON_MEMORY_REGION(stack, CHILD_STACK); /* the child never returns from its frames */
    return rc < 0 ? -saved : 0;
}

static const char *advice(int error)
{
    switch (error) {
    case ENOEXEC:
        return " (a script needs a #! line; a program must be made for this machine)";
    case EACCES:
        return " (is it executable, and no directory?)";
    case ENOENT:
        return " (the interpreter or loader it asks for is missing)";
    case E2BIG:
        return " (arguments and environment together are too large)";
    default:
        return "";
    }
}

static int describe_failure(const struct request *r)
{
    const char *program = r->start->spec.argv[0], *cwd = r->start->spec.cwd;
    struct err *err = &r->start->err;
    r->start->code = EXIT_CANNOT_EXECUTE;
    switch (r->stage) {
    case STAGE_TERMINAL:
        return err_errno(err, r->error, "start %s: set up its terminal", program);
    case STAGE_USER:
        return err_errno(err, r->error, "start %s: become user %s", program, r->start->account.name);
    case STAGE_CWD:
        return err_errno(err, r->error, "start %s: cwd: %s", program, cwd ? cwd : "/");
    case STAGE_EXEC:
        break;
    }
    if (r->found)
        return err_set(err, r->error, "start %s: %s%s", program, strerror(r->error), advice(r->error));
    r->start->code = EXIT_NOT_FOUND;
    if (strchr(program, '/'))
        return err_set(err, r->error, "start %s: no such program", program);
    return err_set(err, r->error, "start %s: no such program in PATH %s", program, r->path);
}

static int user_env(const struct account *account, struct envlist *env)
{
    if (envlist_put(env, "HOME", account->home) < 0 || envlist_put(env, "USER", account->name) < 0 ||
        envlist_put(env, "LOGNAME", account->name) < 0 || envlist_put(env, "SHELL", account->shell) < 0)
        return -ENOMEM;
    return 0;
}

/* Later ones win: defaults, the session's, the named user's, the job's own. */
static int make_env(const struct jobspec *spec, const struct envlist *session, const struct account *account,
                    struct envlist *env)
{
    if (envlist_put(env, "PATH", PROGRAMS_DEFAULT_PATH) < 0 || user_env(account, env) < 0)
        return -ENOMEM;
    if (spec->tty && envlist_put(env, "TERM", "xterm-256color") < 0)
        return -ENOMEM;
    if (envlist_merge(env, session) < 0 || (spec->user && user_env(account, env) < 0))
        return -ENOMEM;
    return envlist_merge(env, &spec->env);
}

static int prepare(struct job_start *start, const struct envlist *session_env, const struct account_files *accounts)
{
    const char *program = start->spec.argv[0];
    if (account_find(accounts, start->spec.user, &start->account, &start->err) < 0)
        return err_wrap(&start->err, "start %s", program);
    if (make_env(&start->spec, session_env, &start->account, &start->env) < 0)
        return err_errno(&start->err, ENOMEM, "start %s", program);
    return job_stdio_open(&start->stdio, &start->spec, start->account.uid, &start->err);
}

int job_start_prepare(struct job_start *start, const void *json, size_t len, const struct envlist *session_env,
                      const struct account_files *accounts)
{
    *start = (struct job_start){.code = EXIT_CANNOT_EXECUTE};
    job_stdio_init(&start->stdio);
    int rc = jobspec_parse(json, len, &start->spec, &start->err);
    return rc < 0 ? rc : prepare(start, session_env, accounts);
}

void job_start_execute(struct job_start *start)
{
    struct request r = {.start = start, .path = envlist_get(&start->env, "PATH")};
    getrlimit(RLIMIT_NOFILE, &r.nofile);
    if (r.nofile.rlim_cur > JOB_NOFILE_SOFT)
        r.nofile.rlim_cur = JOB_NOFILE_SOFT;
    int rc = clone_child(&r);
    if (rc < 0)
        err_errno(&start->err, -rc, "start %s: make a process", start->spec.argv[0]);
    else if (r.error)
        describe_failure(&r);
    job_stdio_close_child(&start->stdio);
}

void job_start_clear(struct job_start *start)
{
    job_stdio_close(&start->stdio);
    envlist_clear(&start->env);
    jobspec_clear(&start->spec);
}
