/* SPDX-License-Identifier: Apache-2.0 */
#include "guest/power.h"

#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/reboot.h>
#include <sys/wait.h>
#include <unistd.h>

#include "guest/job.h"
#include "guest/log.h"

/* After SIGKILL a process can still be busy in the kernel; the last frames can still be on their way. */
enum { KILLED_WAIT_MS = 2000, LAST_FRAMES_WAIT_MS = 1000 };

enum stage { STAGE_UP, STAGE_TERMINATING, STAGE_KILLING, STAGE_LEAVING };

struct power {
    struct loop *loop;
    struct session *session;
    struct timer *timer;
    enum stage stage;
    enum power_action action;
    uint64_t due_ms;
    void (*finish)(void *data);
    void *data;
};

struct power *power_new(struct loop *loop, void (*finish)(void *data), void *data)
{
    struct power *power = calloc(1, sizeof *power);
    if (power)
        *power = (struct power){.loop = loop, .finish = finish, .data = data};
    return power;
}

void power_set_session(struct power *power, struct session *session)
{
    power->session = session;
}

static void end_machine(enum power_action action)
{
    reboot(action == POWER_REBOOT ? RB_AUTOBOOT : RB_POWER_OFF);
    /* Not reached where the machine can do either. */
    log_line(LOG_LEVEL_ERROR, "power off: not supported by this machine; halted");
    reboot(RB_HALT_SYSTEM);
    for (;;)
        pause();
}

void power_off_now(void)
{
    sync();
    end_machine(POWER_OFF);
    for (;;)
        pause();
}

static void end_now(void *data)
{
    struct power *power = data;
    end_machine(power->action);
}

static void leave(struct power *power)
{
    power->stage = STAGE_LEAVING;
    power->finish(power->data);
    if (!power->session)
        end_now(power);
    session_goodbye(power->session);
    /* A host that does not read keeps the machine for no more than this. */
    if (session_queued(power->session) == 0 || !loop_timer(power->loop, LAST_FRAMES_WAIT_MS, end_now, power))
        end_now(power);
}

static void next_stage(void *data);

static void wait_for(struct power *power, uint64_t ms)
{
    timer_cancel(power->timer);
    power->due_ms = loop_now_ms() + ms;
    power->timer = loop_timer(power->loop, ms, next_stage, power);
    if (!power->timer)
        leave(power);
}

static void next_stage(void *data)
{
    struct power *power = data;
    power->timer = NULL;
    if (power->stage == STAGE_TERMINATING) {
        power->stage = STAGE_KILLING;
        kill(-1, SIGKILL);
        wait_for(power, KILLED_WAIT_MS);
    } else if (power->stage == STAGE_KILLING) {
        leave(power);
    }
}

void power_down(struct power *power, enum power_action action, uint64_t grace_ms)
{
    if (power->stage == STAGE_UP) {
        power->stage = STAGE_TERMINATING;
        power->action = action;
        if (power->session)
            jobs_shutdown(session_jobs(power->session), SIGTERM);
        kill(-1, SIGTERM);
        kill(-1, SIGCONT);
        wait_for(power, grace_ms);
        power_children_changed(power);
    } else if (power->stage == STAGE_TERMINATING && loop_now_ms() + grace_ms < power->due_ms) {
        wait_for(power, grace_ms);
    }
}

/* Every process descends from PID 1, so when it has no children there is nobody else. */
void power_children_changed(struct power *power)
{
    siginfo_t info;
    if (power->stage != STAGE_TERMINATING && power->stage != STAGE_KILLING)
        return;
    if (waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) == 0 || errno != ECHILD)
        return;
    timer_cancel(power->timer);
    power->timer = NULL;
    if (power->session)
        jobs_take_rest(session_jobs(power->session));
    leave(power);
}
