#!/bin/sh
# A guest that does not answer: whoever waits for its files can be killed and interrupted, the control files go on
# answering, and when it answers again nothing is lost.
. "$GONDOLIN_SOURCE/tests/integration/lib.sh"

sandbox
# shellcheck disable=SC2016 # for the guest's shell
echo 'mkdir /srv/d && seq 1 200 | while read n; do : >/srv/d/$n; done; seq 1 1000000 >/srv/in; : >/srv/out' >"$sb/run"
sum=$(seq 1 1000000 | md5sum)
exec 6>"$sb/root/srv/kept" 7<"$sb/root/srv/in" 8<"$sb/root/srv/in" 9>>"$sb/root/srv/out"
vm=$(status_of vm_pid)
kill -STOP "$vm"

# Starts a command that will wait; a background job of sh ignores SIGINT unless told otherwise.
waits() {
    env --default-signal=INT "$@" >/dev/null 2>&1 &
    waiters="$waiters $!"
}

all_gone() {
    for pid in $waiters; do
        is_over "$pid" || return 1
    done
}

for signal in KILL INT; do
    waiters=
    waits stat "$sb/root/srv/d/7"
    waits cat "$sb/root/srv/d/8"
    waits ls -l "$sb/root/srv/d"
    waits mkdir "$sb/root/srv/$signal"
    # Not one that handles SIGINT itself: the kernel lets nothing less than a fatal signal end a wait for cached pages.
    env --default-signal=INT head -c 100000 <&7 >/dev/null &
    waiters="$waiters $!"
    env --default-signal=INT head -c 500000 /dev/zero >&9 2>/dev/null &
    waiters="$waiters $!"
    sleep 0.3
    if all_gone; then fail 'nobody waits for a guest that does not answer'; fi
    # shellcheck disable=SC2086
    kill -$signal $waiters
    eventually 2 all_gone || fail "SIG$signal did not end all of$waiters: $(ps -o pid,stat,wchan:20,args -p "${waiters# }")"
    wait || true
done

[ "$(timeout 2 cat "$sb/status" | sed -n 's/^state //p')" = running ] || fail 'status does not answer'
timeout 2 cat "$sb/ctl" "$sb/error" >/dev/null || fail 'ctl does not answer'
timeout 2 ls "$sb" "$sb/jobs" >/dev/null || fail 'the control files cannot be listed'
mkdir "$sb/jobs/later"
echo 'echo it goes on' >"$sb/jobs/later/cmd"
# shellcheck disable=SC2016
timeout 2 sh -c 'echo start >"$0"' "$sb/jobs/later/ctl" || fail 'a job cannot be started'
[ "$(timeout 2 gondolin list -q)" = "$sb" ] || fail 'list does not answer'

# Written while the guest stalls, as far as the kernel's buffers and ours take it.
(timeout 20 sh -c 'echo written while it stalled && sync -d /proc/self/fd/1' >&6) &
writer=$!
sleep 0.3
kill -CONT "$vm"
wait $writer || fail 'a write that waited failed'
[ "$(timeout 5 cat "$sb/jobs/later/stdout")" = 'it goes on' ] || fail 'a job that was started meanwhile did not run'
[ "$(timeout 20 cat <&8 | md5sum)" = "$sum" ] || fail 'a file that was open before is damaged'
[ "$(cat "$sb/root/srv/kept")" = 'written while it stalled' ] || fail "a write that waited is lost"
# shellcheck disable=SC2012
[ "$(timeout 10 ls -l "$sb/root/srv/d" | wc -l)" = 201 ] || fail 'the directory cannot be read any more'
nothing_under_way() {
    [ "$(status_of files_in_guest)" = 0 ]
}
eventually 3 nothing_under_way || fail "requests are still under way: $(grep files_ "$sb/status")"
exec 6>&- 7<&- 8<&- 9>&-

# It stalls for good: ctl still ends it.
kill -STOP "$vm"
waiters=
waits stat "$sb/root/srv/d/9"
sleep 0.2
# shellcheck disable=SC2016
timeout 5 sh -c 'echo kill >"$0"' "$sb/ctl" || fail 'ctl kill does not answer'
eventually 3 nothing_left || fail "left behind: $(leftovers)"
eventually 1 all_gone || fail 'a waiting stat was left waiting'
ended_because "$sb" 'kill written to ctl'
