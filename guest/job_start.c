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
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "guest/job_stdio.h"
#include "guest/programs.h"
#include "src/cleanup.h"

enum { CHILD_STACK = 64 * 1024, JOB_NOFILE_SOFT = 1024 };

enum stage { STAGE_TERMINAL, STAGE_USER, STAGE_CWD, STAGE_EXEC };

struct request {
    const struct jobspec *spec;
    const struct account *account;
    const char *path;
    char **env;
    struct job_stdio *stdio;
    struct rlimit nofile;
    sigset_t old_mask;
    /* written by the child */
    enum stage stage;
    int error;
    bool found; /* the program is there, but cannot be run */
};

static bool set_user(const struct account *account)
{
    size_t count = (size_t)account->group_count;
    /* An unprivileged agent (unit tests) may still start jobs as itself. */
    if (geteuid() != 0 && account->uid == geteuid())
        return true;
    return syscall(SYS_setgroups, count, account->groups) == 0 &&
           syscall(SYS_setresgid, account->gid, account->gid, account->gid) == 0 &&
           syscall(SYS_setresuid, account->uid, account->uid, account->uid) == 0;
}

/* The agent is exempt from the OOM killer; its jobs must not be. */
static void reset_oom_score(void)
{
    int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return;
    if (write(fd, "0", 1) < 0) {
        /* Not worth failing the job for: without privilege the score was never lowered. */
    }
    close(fd);
}

static bool enter_directory(const struct request *r)
{
    if (r->spec->cwd)
        return chdir(r->spec->cwd) == 0;
    return chdir(r->account->home) == 0 || chdir("/") == 0;
}

/* Returns errno of one attempt. */
static int try_execute(struct request *r, const char *file)
{
    execve(file, r->spec->argv, r->env);
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
    const char *name = r->spec->argv[0];
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
    if (r->stdio->is_tty && ioctl(r->stdio->child[0], TIOCSCTTY, 0) < 0)
        goto failed;
    for (int i = 0; i < 3; i++) {
        if (dup2(r->stdio->child[i], i) < 0)
            goto failed;
    }
    /* All of ours are close-on-exec already; this is for a library that forgets it. */
    syscall(SYS_close_range, 3, ~0U, CLOSE_RANGE_CLOEXEC);
    reset_oom_score();
    setrlimit(RLIMIT_NOFILE, &r->nofile);
    umask(022);
    r->stage = STAGE_USER;
    if (!set_user(r->account))
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

/* Returns the pid or -errno of clone. */
static pid_t clone_child(struct request *r)
{
    char *stack = mmap(NULL, CHILD_STACK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
    if (stack == MAP_FAILED)
        return -errno;
    /* No handler of ours may run in the child while it uses our memory. */
    sigset_t all;
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, &r->old_mask);
    pid_t pid = clone(child, stack + CHILD_STACK, CLONE_VM | CLONE_VFORK | SIGCHLD, r);
    int saved = errno;
    sigprocmask(SIG_SETMASK, &r->old_mask, NULL);
    munmap(stack, CHILD_STACK);
    return pid < 0 ? -saved : pid;
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

static int describe_failure(const struct request *r, struct job_start_result *result, struct err *err)
{
    const char *program = r->spec->argv[0];
    result->code = EXIT_CANNOT_EXECUTE;
    switch (r->stage) {
    case STAGE_TERMINAL:
        return err_errno(err, r->error, "start %s: set up its terminal", program);
    case STAGE_USER:
        return err_errno(err, r->error, "start %s: become user %s", program, r->account->name);
    case STAGE_CWD:
        return err_errno(err, r->error, "start %s: cwd: %s", program, r->spec->cwd ? r->spec->cwd : "/");
    case STAGE_EXEC:
        break;
    }
    if (r->found)
        return err_set(err, r->error, "start %s: %s%s", program, strerror(r->error), advice(r->error));
    result->code = EXIT_NOT_FOUND;
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

static void fill_result(struct job_stdio *stdio, struct job_start_result *result)
{
    result->in = steal_fd(&stdio->ours[0]);
    result->out = steal_fd(&stdio->ours[1]);
    result->err = steal_fd(&stdio->ours[2]);
}

static int start_with_env(const struct jobspec *spec, struct envlist *env, const struct account *account,
                          struct job_start_result *result, struct err *err)
{
    struct job_stdio stdio;
    int rc = job_stdio_open(&stdio, spec, account->uid, err);
    if (rc < 0)
        return rc;
    struct request r = {.spec = spec, .account = account, .path = envlist_get(env, "PATH"), .env = env->entries,
                        .stdio = &stdio};
    getrlimit(RLIMIT_NOFILE, &r.nofile);
    if (r.nofile.rlim_cur > JOB_NOFILE_SOFT)
        r.nofile.rlim_cur = JOB_NOFILE_SOFT;

    pid_t pid = clone_child(&r);
    if (pid < 0)
        rc = err_errno(err, -pid, "start %s: make a process", spec->argv[0]);
    else if (r.error)
        rc = describe_failure(&r, result, err);
    else
        fill_result(&stdio, result);
    result->pid = pid;
    job_stdio_close(&stdio);
    return rc;
}

int job_start(const struct jobspec *spec, const struct envlist *session_env, const struct account_files *accounts,
              struct job_start_result *result, struct err *err)
{
    *result = (struct job_start_result){.pid = -1, .in = -1, .out = -1, .err = -1, .code = EXIT_CANNOT_EXECUTE};
    struct account account;
    int rc = account_find(accounts, spec->user, &account, err);
    if (rc < 0)
        return err_wrap(err, "start %s", spec->argv[0]);
    struct envlist env = {0};
    rc = make_env(spec, session_env, &account, &env);
    if (rc < 0)
        rc = err_errno(err, ENOMEM, "start %s", spec->argv[0]);
    else
        rc = start_with_env(spec, &env, &account, result, err);
    envlist_clear(&env);
    return rc;
}
