#!/bin/sh
# Ends that the guest brings about: kill -9 1 (does nothing), poweroff, reboot, a panic of its kernel.
. "$GONDOLIN_SOURCE/tests/integration/lib.sh"

# Lets the guest run a command that ends it.
let_it() {
    mkdir "$sb/jobs/end"
    echo "$1" >"$sb/jobs/end/cmd"
    exec 8<"$sb/jobs/end/wait"
    echo start >"$sb/jobs/end/ctl"
    code=0
    timeout 15 cat <&8 >/dev/null 2>&1 || code=$?
    [ "$code" != 124 ] || fail "$1: the wait for the job did not end"
    exec 8<&-
    eventually 10 nothing_left || fail "$1: left behind: $(leftovers)"
}

sandbox
echo 'kill -9 1; kill -STOP 1; kill -SEGV 1; true' >"$sb/run" || fail "$(cat "$sb/error")"
[ "$(status_of state)" = running ] || fail 'signals to PID 1 ended the guest'
let_it poweroff
ended_because "$sb" 'guest powered off'
gondolin list --ended --json | grep -q '"orderly": *true' || fail 'a power-off is not an orderly end'

sandbox
let_it 'reboot -f'
ended_because "$sb" 'reboot'

sandbox
let_it 'echo 1 >/proc/sys/kernel/sysrq; echo c >/proc/sysrq-trigger'
ended_because "$sb" 'guest kernel panicked'
gondolin list --ended | grep -q '^    | ' || fail "the last console lines are missing: $(gondolin list --ended)"
