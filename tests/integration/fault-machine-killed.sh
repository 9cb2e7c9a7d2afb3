#!/bin/sh
# kill -9 of QEMU: whoever waits for the guest gets an error at once, the sandbox ends, and says why afterwards.
. "$GONDOLIN_SOURCE/tests/integration/lib.sh"

sandbox
mkdir "$sb/jobs/long"
echo 'sleep 1000' >"$sb/jobs/long/cmd"
echo start >"$sb/jobs/long/ctl"
exec 8<"$sb/jobs/long/wait" 7<"$sb/log"
tail -n +1 -s 0.02 -f <&7 >"$scratch/log" 2>/dev/null &
follower=$!
cat <&8 >"$scratch/wait" 2>/dev/null &
waiter=$!
(
    code=0
    sh -c "echo 'sleep 1000' >'$sb/run'" 2>/dev/null || code=$?
    echo "$code" >"$scratch/run-code"
) &
runner=$!
eventually 5 grep -q '^state running' "$sb/last/status" || fail 'the job of run does not run'
exec 7<&- 8<&-
kill -9 "$(status_of vm_pid)"
eventually 1 nothing_left || fail "left behind after a second: $(leftovers)"
kill $follower 2>/dev/null || true
wait $waiter || true # there is no end of file to be had from a mount that has gone
[ "$(cat "$scratch/wait")" = lost ] || fail "wait gave: $(cat "$scratch/wait")"
wait $runner
[ "$(cat "$scratch/run-code")" != 0 ] || fail 'the write to run did not fail'
grep -q 'killed by signal 9' "$scratch/log" || fail "the log does not tell: $(cat "$scratch/log")"
ended_because "$sb" 'killed by signal 9'

# While it boots: the one who waits for it is told.
(
    until vm=$(registered vm_pid) && [ -n "$vm" ]; do sleep 0.05; done
    kill -9 "$vm"
) &
refused 125 'killed by signal 9' gondolin mount --cold --image busybox "$scratch/boot"
expect_nothing_left
