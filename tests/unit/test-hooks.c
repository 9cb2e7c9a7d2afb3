/* SPDX-License-Identifier: Apache-2.0 */
/* The provider that asks a program, over memory; the program is the test's other end of the socket. */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "fs/hook.h"
#include "fs/hooks.h"
#include "fs/memory.h"
#include "fs/vfs.h"

enum { LIMIT = 1 << 20, PATIENCE_MS = 5000 };
static const struct vfs_cred user = {.uid = 1, .gid = 1};

struct program {
    int fd;
    FILE *in;
    pthread_t thread;
};

struct bench {
    struct vfs *memory, *vfs;
    struct hook *hook;
    struct vfs_entry root;
    struct program program;
    char why[256]; /* it is dead; "": it is not */
};

static void note_death(void *data, const char *why)
{
    struct bench *b = data;
    snprintf(b->why, sizeof b->why, "%s", why);
}

static void say(struct program *p, const char *text)
{
    if (*text)
        cr_assert_eq(send(p->fd, text, strlen(text), MSG_NOSIGNAL), (ssize_t)strlen(text));
}

/* Greets, so that hook_new finds the hello there already. */
static void bench_start(struct bench *b, const char *hello)
{
    int ends[2];
    cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
    *b = (struct bench){.memory = memory_new(LIMIT), .program.fd = ends[1]};
    b->program.in = fdopen(dup(ends[1]), "r");
    say(&b->program, hello);
    b->hook = hook_new(ends[0], note_death, b);
    cr_assert(b->hook);
    b->vfs = hooks_new(b->memory, b->hook, "/srv");
    b->memory->top = b->vfs;
    cr_assert_eq(b->vfs->ops->root(b->vfs, &b->root), 0);
}

static void bench_end(struct bench *b)
{
    b->vfs->ops->forget(b->vfs, b->root.node);
    hook_free(b->hook);
    hooks_free(b->vfs);
    memory_free(b->memory);
    fclose(b->program.in);
    if (b->program.fd >= 0)
        close(b->program.fd);
}

/* ---- programs ---- */

static char *next_line(struct program *p, char line[1024])
{
    return fgets(line, 1024, p->in);
}

static unsigned long long id_in(const char *line)
{
    unsigned long long id = 0;
    cr_assert_eq(sscanf(line, "{\"id\":%llu,", &id), 1, "%s", line);
    return id;
}

/* Refuses what has "secret" in its line, allows the rest. */
static void *judge(void *data)
{
    struct program *p = data;
    char line[1024], reply[64];
    while (next_line(p, line)) {
        if (!strstr(line, "\"op\""))
            continue;
        snprintf(reply, sizeof reply, strstr(line, "secret") ? "{\"id\":%llu,\"errno\":\"EPERM\"}\n"
                                                             : "{\"id\":%llu,\"allow\":true}\n", id_in(line));
        say(p, reply);
    }
    return NULL;
}

static void start_judge(struct bench *b)
{
    cr_assert_eq(pthread_create(&b->program.thread, NULL, judge, &b->program), 0);
}

static void end_judged(struct bench *b)
{
    b->vfs->ops->forget(b->vfs, b->root.node);
    hook_free(b->hook);
    pthread_join(b->program.thread, NULL);
    hooks_free(b->vfs);
    memory_free(b->memory);
    fclose(b->program.in);
    close(b->program.fd);
}

/* ---- what the guest does ---- */

static int make_dir(struct bench *b, struct vfs_node *dir, const char *name, struct vfs_entry *out)
{
    return b->vfs->ops->mkdir(b->vfs, &user, dir, name, 0700, out);
}

static int make_file(struct bench *b, struct vfs_node *dir, const char *name, struct vfs_entry *out,
                     struct vfs_file **file)
{
    return b->vfs->ops->create(b->vfs, &user, dir, name, 0600, O_RDWR, 0, out, file);
}

static void forget(struct bench *b, struct vfs_entry *entry)
{
    b->vfs->ops->forget(b->vfs, entry->node);
}

static long ms_since(const struct timespec *then)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (now.tv_sec - then->tv_sec) * 1000 + (now.tv_nsec - then->tv_nsec) / 1000000;
}

static void expect_said(struct bench *b, const char *part)
{
    char line[1024] = "";
    cr_assert(next_line(&b->program, line), "nothing instead of %s", part);
    cr_expect(strstr(line, part), "%s instead of %s", line, part);
}

static void expect_silence(struct bench *b)
{
    struct pollfd fd = {.fd = b->program.fd, .events = POLLIN};
    cr_expect_eq(poll(&fd, 1, 0), 0, "something was said");
}

/* ---- watching ---- */

Test(hooks, one_that_watches_reads_what_was_done, .timeout = 20)
{
    struct bench b;
    struct vfs_entry dir, file;
    struct vfs_file *open;
    char text[4];
    bench_start(&b, "{\"hook\":1}\n");
    cr_assert_eq(make_dir(&b, b.root.node, "d", &dir), 0);
    cr_assert_eq(make_file(&b, dir.node, "f", &file, &open), 0);
    cr_assert_eq(b.vfs->ops->write(b.vfs, open, "text", 4, 3, 0), 4);
    cr_assert_eq(b.vfs->ops->read(b.vfs, open, text, 4, 5, 0), 2);
    cr_assert_eq(b.vfs->ops->unlink(b.vfs, dir.node, "g"), -ENOENT);
    expect_said(&b, "{\"id\":1,\"op\":\"mkdir\",\"mount\":\"/srv\",\"path\":\"d\",\"mode\":448,\"result\":0}");
    expect_said(&b, "{\"id\":2,\"op\":\"create\",\"mount\":\"/srv\",\"path\":\"d/f\",\"access\":\"rw\",\"mode\":384,\"result\":0}");
    expect_said(&b, "\"path\":\"d/f\",\"offset\":3,\"size\":4,\"result\":4}");
    expect_said(&b, "\"path\":\"d/f\",\"offset\":5,\"size\":4,\"result\":2}");
    expect_said(&b, "\"op\":\"unlink\",\"mount\":\"/srv\",\"path\":\"d/g\",\"result\":-2,\"errno\":\"ENOENT\"}");
    expect_silence(&b);
    b.vfs->ops->release(b.vfs, open);
    forget(&b, &file);
    forget(&b, &dir);
    bench_end(&b);
}

Test(hooks, only_what_it_has_chosen_is_reported, .timeout = 20)
{
    struct bench b;
    struct vfs_entry dir;
    bench_start(&b, "{\"hook\":1,\"ops\":[\"rmdir\"]}\n");
    cr_assert_eq(make_dir(&b, b.root.node, "d", &dir), 0);
    forget(&b, &dir);
    cr_assert_eq(b.vfs->ops->rmdir(b.vfs, b.root.node, "d"), 0);
    expect_said(&b, "\"op\":\"rmdir\"");
    expect_silence(&b);
    bench_end(&b);
}

Test(hooks, one_that_does_not_read_is_dead_after_its_time, .timeout = 20)
{
    struct bench b;
    struct timespec began;
    int rc = 0;
    bench_start(&b, "{\"hook\":1,\"timeout_ms\":200}\n");
    clock_gettime(CLOCK_MONOTONIC, &began);
    for (unsigned i = 0; i < 100000 && rc != -EIO; i++)
        rc = b.vfs->ops->unlink(b.vfs, b.root.node, "none");
    cr_expect_eq(rc, -EIO);
    cr_expect(ms_since(&began) >= 200 && ms_since(&began) < PATIENCE_MS, "after %ld ms", ms_since(&began));
    cr_expect(strstr(b.why, "has not read its input for 200 ms"), "%s", b.why);
    bench_end(&b);
}

/* ---- paths ---- */

Test(hooks, paths_follow_renames_and_last_as_long_as_the_file, .timeout = 20)
{
    struct bench b;
    struct vfs_entry outer, inner, file, again;
    struct vfs_file *open;
    bench_start(&b, "{\"hook\":1,\"ops\":[\"write\",\"rename\",\"link\"]}\n");
    const struct vfs_ops *ops = b.vfs->ops;
    cr_assert_eq(make_dir(&b, b.root.node, "a", &outer), 0);
    cr_assert_eq(make_dir(&b, outer.node, "b", &inner), 0);
    cr_assert_eq(make_file(&b, inner.node, "f", &file, &open), 0);
    cr_assert_eq(ops->rename(b.vfs, b.root.node, "a", b.root.node, "z", 0), 0);
    expect_said(&b, "\"path\":\"a\",\"to\":\"z\"");
    ops->write(b.vfs, open, "x", 1, 0, 0);
    expect_said(&b, "\"path\":\"z/b/f\"");
    cr_assert_eq(ops->rename(b.vfs, outer.node, "b", b.root.node, "y", 0), 0);
    expect_said(&b, "\"path\":\"z/b\",\"to\":\"y\"");
    forget(&b, &outer);
    forget(&b, &inner); /* before what lies in it: no kernel does that */
    cr_assert_eq(ops->lookup(b.vfs, b.root.node, "y", &inner), 0);
    cr_assert_eq(ops->rename(b.vfs, b.root.node, "y", b.root.node, "x", 0), 0);
    expect_said(&b, "\"path\":\"y\",\"to\":\"x\"");
    ops->write(b.vfs, open, "x", 1, 0, 0);
    expect_said(&b, "\"path\":\"x/f\"");
    cr_assert_eq(ops->link(b.vfs, file.node, b.root.node, "l", &again), 0);
    expect_said(&b, "\"path\":\"x/f\",\"to\":\"l\"");
    ops->write(b.vfs, open, "x", 1, 0, 0);
    expect_said(&b, "\"path\":\"l\"");
    forget(&b, &again);
    forget(&b, &file);
    ops->write(b.vfs, open, "x", 1, 0, 0);
    expect_said(&b, "\"path\":\"l\"");
    ops->release(b.vfs, open);
    forget(&b, &inner);
    bench_end(&b);
}

Test(hooks, exchanged_names_change_both_paths, .timeout = 20)
{
    struct bench b;
    struct vfs_entry one, two, made;
    bench_start(&b, "{\"hook\":1,\"ops\":[\"mkdir\"]}\n");
    cr_assert_eq(make_dir(&b, b.root.node, "one", &one), 0);
    cr_assert_eq(make_dir(&b, b.root.node, "two", &two), 0);
    cr_assert_eq(b.vfs->ops->rename(b.vfs, b.root.node, "one", b.root.node, "two", RENAME_EXCHANGE), 0);
    cr_assert_eq(make_dir(&b, one.node, "d", &made), 0);
    forget(&b, &made);
    cr_assert_eq(make_dir(&b, two.node, "d", &made), 0);
    expect_said(&b, "\"path\":\"one\"");
    expect_said(&b, "\"path\":\"two\"");
    expect_said(&b, "\"path\":\"two/d\"");
    expect_said(&b, "\"path\":\"one/d\"");
    forget(&b, &made);
    forget(&b, &one);
    forget(&b, &two);
    bench_end(&b);
}

/* ---- deciding ---- */

Test(hooks, one_that_decides_is_asked_first, .timeout = 20)
{
    struct bench b;
    struct vfs_entry made;
    bench_start(&b, "{\"hook\":1,\"decides\":true}\n");
    start_judge(&b);
    cr_expect_eq(make_dir(&b, b.root.node, "secret", &made), -EPERM);
    cr_expect_eq(b.vfs->ops->lookup(b.vfs, b.root.node, "secret", &made), -ENOENT, "it was made all the same");
    cr_assert_eq(make_dir(&b, b.root.node, "plain", &made), 0);
    cr_expect_eq(b.vfs->ops->rename(b.vfs, b.root.node, "plain", b.root.node, "secret", 0), -EPERM, "`to` counts, too");
    forget(&b, &made);
    cr_expect_str_empty(b.why);
    end_judged(&b);
}

struct making {
    struct bench *bench;
    const char *name;
    int rc;
    sem_t done;
};

static void *make_in_thread(void *data)
{
    struct making *m = data;
    struct vfs_entry made;
    m->rc = make_dir(m->bench, m->bench->root.node, m->name, &made);
    if (m->rc == 0)
        forget(m->bench, &made);
    sem_post(&m->done);
    return NULL;
}

static pthread_t start_making(struct making *m)
{
    pthread_t thread;
    sem_init(&m->done, 0, 0);
    cr_assert_eq(pthread_create(&thread, NULL, make_in_thread, m), 0);
    return thread;
}

Test(hooks, a_slow_decision_delays_no_other, .timeout = 20)
{
    struct bench b;
    char line[1024], reply[64];
    bench_start(&b, "{\"hook\":1,\"decides\":true}\n");
    struct making slow = {.bench = &b, .name = "slow"}, fast = {.bench = &b, .name = "fast"};
    pthread_t slow_thread = start_making(&slow);
    cr_assert(next_line(&b.program, line));
    unsigned long long slow_id = id_in(line);
    pthread_t fast_thread = start_making(&fast);
    cr_assert(next_line(&b.program, line));
    snprintf(reply, sizeof reply, "{\"id\":%llu,\"allow\":true}\n", id_in(line));
    say(&b.program, reply);
    pthread_join(fast_thread, NULL);
    cr_expect_eq(fast.rc, 0);
    cr_expect_eq(sem_trywait(&slow.done), -1, "it was not waited for");
    expect_said(&b, "\"result\":0");
    snprintf(reply, sizeof reply, "{\"id\":%llu,\"errno\":\"ENOSPC\"}\n", slow_id);
    say(&b.program, reply);
    pthread_join(slow_thread, NULL);
    cr_expect_eq(slow.rc, -ENOSPC);
    expect_said(&b, "\"result\":-28,\"errno\":\"ENOSPC\"");
    bench_end(&b);
}

Test(hooks, one_that_does_not_answer_is_dead_after_its_time, .timeout = 20)
{
    struct bench b;
    struct vfs_entry made;
    struct timespec began;
    bench_start(&b, "{\"hook\":1,\"decides\":true,\"timeout_ms\":200}\n");
    clock_gettime(CLOCK_MONOTONIC, &began);
    cr_expect_eq(make_dir(&b, b.root.node, "d", &made), -EIO);
    cr_expect(ms_since(&began) >= 200 && ms_since(&began) < PATIENCE_MS, "after %ld ms", ms_since(&began));
    cr_expect(strstr(b.why, "has not answered for 200 ms"), "%s", b.why);
    clock_gettime(CLOCK_MONOTONIC, &began);
    cr_expect_eq(b.vfs->ops->unlink(b.vfs, b.root.node, "d"), -EIO);
    cr_expect_eq(b.vfs->ops->lookup(b.vfs, b.root.node, "d", &made), -EIO);
    cr_expect(ms_since(&began) < 200, "the dead are waited for");
    bench_end(&b);
}

Test(hooks, the_end_of_the_program_ends_all_that_waits, .timeout = 20)
{
    struct bench b;
    char line[1024];
    bench_start(&b, "{\"hook\":1,\"decides\":true,\"timeout_ms\":60000}\n");
    struct making one = {.bench = &b, .name = "one"}, two = {.bench = &b, .name = "two"};
    pthread_t threads[] = {start_making(&one), start_making(&two)};
    cr_assert(next_line(&b.program, line) && next_line(&b.program, line));
    shutdown(b.program.fd, SHUT_RDWR);
    pthread_join(threads[0], NULL);
    pthread_join(threads[1], NULL);
    cr_expect(one.rc == -EIO && two.rc == -EIO);
    cr_expect(strstr(b.why, "it has ended"), "%s", b.why);
    bench_end(&b);
}

/* What is said by a program that decides (`asked`: while it is being asked) or only watches, and why it then is dead. */
static void expect_fatal(const char *hello, bool asked, const char *said, const char *why)
{
    struct bench b;
    struct vfs_entry made;
    char line[1024];
    bench_start(&b, hello);
    struct making m = {.bench = &b, .name = "d"};
    pthread_t thread = asked ? start_making(&m) : 0;
    if (asked)
        cr_assert(next_line(&b.program, line));
    say(&b.program, said);
    if (asked)
        pthread_join(thread, NULL);
    while (!asked && recv(b.program.fd, line, sizeof line, 0) > 0)
        ; /* it hangs up */
    cr_expect_eq(asked ? m.rc : make_dir(&b, b.root.node, "e", &made), -EIO, "after %.40s", said);
    cr_expect(strstr(b.why, why), "%s instead of %s", b.why, why);
    bench_end(&b);
}

Test(hooks, what_is_not_in_the_protocol_is_the_end, .timeout = 20)
{
    static const char decides[] = "{\"hook\":1,\"decides\":true,\"timeout_ms\":60000}\n";
    char long_line[HOOK_LINE_LIMIT + 1];
    memset(long_line, ' ', sizeof long_line);
    long_line[HOOK_LINE_LIMIT] = '\0';
    expect_fatal(decides, true, "yes\n", "malformed answer");
    expect_fatal(decides, true, "{\"id\":99,\"allow\":true}\n", "answered 99, which it was not asked");
    expect_fatal(decides, true, long_line, "a line of more than 4096 bytes");
    expect_fatal(decides, false, "{\"id\":1,\"allow\":true}\n", "answered 1, which it was not asked");
    expect_fatal("{\"hook\":1}\n", false, "{\"id\":1,\"allow\":true}\n", "has nothing to decide");
    expect_fatal("hi\n", false, "", "no hello");
}

Test(hooks, a_program_without_a_hello_is_waited_for_only_so_long, .timeout = 20)
{
    struct bench b;
    struct timespec began;
    clock_gettime(CLOCK_MONOTONIC, &began);
    bench_start(&b, "");
    cr_expect(ms_since(&began) >= HOOK_TIMEOUT_MS);
    cr_expect(strstr(b.why, "not said hello within 5000 ms"), "%s", b.why);
    bench_end(&b);
}
