/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <unistd.h>

#include "fs/caller.h"

static uint64_t bit(int signal)
{
    return UINT64_C(1) << (signal - 1);
}

static bool gives_up(uint64_t pending, uint64_t blocked, uint64_t ignored, uint64_t caught, bool alarms)
{
    char status[400];
    snprintf(status, sizeof status,
             "Name:\tx\nSigQ:\t0/1\nSigPnd:\t%016llx\nShdPnd:\t%016llx\nSigBlk:\t%016llx\nSigIgn:\t%016llx\n"
             "SigCgt:\t%016llx\nCapInh:\t0\n",
             (unsigned long long)(pending & 0xffff), (unsigned long long)(pending & ~UINT64_C(0xffff)),
             (unsigned long long)blocked, (unsigned long long)ignored, (unsigned long long)caught);
    return caller_status_gives_up(status, alarms);
}

Test(caller, dies_of_what_it_does_not_catch)
{
    cr_expect(gives_up(bit(SIGKILL), 0, 0, ~bit(SIGKILL), false));
    cr_expect(gives_up(bit(SIGUSR1), 0, 0, 0, false));
    cr_expect(gives_up(bit(SIGSEGV), 0, 0, 0, false));
    cr_expect_not(gives_up(bit(SIGCHLD) | bit(SIGWINCH) | bit(SIGURG) | bit(SIGTSTP) | bit(SIGSTOP), 0, 0, 0, true));
    cr_expect_not(gives_up(0, 0, 0, 0, true), "woken by something else");
}

Test(caller, is_asked_to_stop)
{
    cr_expect(gives_up(bit(SIGINT), 0, 0, bit(SIGINT), false));
    cr_expect(gives_up(bit(SIGTERM), 0, 0, bit(SIGTERM), false));
    cr_expect_not(gives_up(bit(SIGUSR1), 0, 0, bit(SIGUSR1), true));
    cr_expect_not(gives_up(bit(SIGALRM), 0, 0, bit(SIGALRM), false));
    cr_expect(gives_up(bit(SIGALRM), 0, 0, bit(SIGALRM), true));
    cr_expect_not(gives_up(bit(SIGINT), bit(SIGINT), 0, 0, true), "blocked");
    cr_expect_not(gives_up(bit(SIGHUP), 0, bit(SIGHUP), 0, true), "ignored");
}

Test(caller, nothing_known_is_no_reason_to_wait)
{
    cr_expect(caller_status_gives_up("", false));
    cr_expect(caller_status_gives_up("SigPnd:\t0\n", false));
    cr_expect(caller_gives_up(0, false));
    cr_expect(caller_gives_up(0x7ffffffe, false));
}

static void *answer(void *data)
{
    *(pid_t *)data = gettid();
    return NULL;
}

Test(caller, threads_can_be_asked_about)
{
    pid_t tid = 0;
    pthread_t thread;
    pthread_create(&thread, NULL, answer, &tid);
    pthread_join(thread, NULL);
    cr_expect_not(caller_gives_up(getpid(), true));
    cr_expect_neq(tid, getpid());
}
