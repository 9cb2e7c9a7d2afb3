#!/bin/sh
# A restore whose sandbox ends meanwhile, or that is given up: nothing hangs, and nothing is used after it
# is gone.
. "$GONDOLIN_SOURCE/tests/integration/lib.sh"
requires flock util-linux
requires pgrep procps

sandbox
timeout 30 mkdir "$sb/checkpoints/one" || fail "mkdir: $(cat "$sb/error")"
timeout 20 gondolin umount "$sb"
manifest=$GONDOLIN_STORE/checkpoints/one/manifest.json

# Makes the restore of a sandbox that does not lie on the checkpoint wait at its beginning, as it does for one who
# removes the checkpoint; sets $holder and $restore.
held_restore() {
    flock -F -x "$manifest" sleep 30 &
    holder=$!
    eventually 5 sh -c "! flock -sn '$manifest' true" || fail 'the lock is not taken'
    sh -c "echo 'restore one' >'$sb/ctl'" 2>/dev/null &
    restore=$!
    sleep 0.3
}

# Interrupted: it does not come to pass later.
sandbox
echo mark >"$sb/root/srv/mark"
held_restore
kill -KILL $restore
ends_within 5 $restore
kill $holder
ends_within 5 $holder
eventually 5 grep -q 'restore one: given up' "$sb/log" || fail "the log says: $(tail -n 3 "$sb/log")"
echo 'echo on' >"$sb/run" || fail "run: $(cat "$sb/error")"
[ "$(cat "$sb/root/srv/mark")" = mark ] || fail 'a restore that was interrupted came to pass'

# The machine is killed before the checkpoint has been read.
held_restore
timeout 20 mkdir "$sb/checkpoints/two" 2>"$scratch/mkdir.log" &
queued=$!
sleep 0.3
kill -KILL "$(status_of vm_pid)"
sleep 0.5
kill $holder
ends_within 5 $holder
ends_within 5 $restore
[ "$code" != 0 ] || fail 'a restore of a dead sandbox worked'
ends_within 5 $queued
grep -q 'not connected' "$scratch/mkdir.log" || fail "a checkpoint of a dead sandbox: $(cat "$scratch/mkdir.log")"
expect_nothing_left
ended_because "$sb" 'killed by signal 9'

# The sandbox is told to end while the new machine is made: it ends in order.
sandbox
mkdir "$sb/jobs/slow"
echo 'trap "sleep 0.8; exit" TERM; echo on; while :; do sleep 0.1; done' >"$sb/jobs/slow/cmd"
echo start >"$sb/jobs/slow/ctl"
[ "$(timeout 10 sed 1q "$sb/jobs/slow/stdout" 2>/dev/null)" = on ] || fail 'the job does not run'
held_restore
old=$(status_of vm_pid)
supervisor=$(status_of supervisor_pid)
new_machine() {
    new=$(pgrep -P "$supervisor" qemu | grep -vx "$old")
}
kill $holder
ends_within 5 $holder
eventually 5 new_machine || fail 'no second machine'
kill -STOP "$new"
kill -TERM "$supervisor" # the kernel lets one write to ctl at a time
kill -CONT "$new" 2>/dev/null || true # when the first one was quick
ends_within 15 $restore
[ "$code" != 0 ] || fail 'a restore of a sandbox that ends worked'
eventually 6 nothing_left || fail "left behind: $(leftovers)"
ended_because "$sb" TERM
