#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# kill -9 of gondolin-vfs, of QEMU and of the supervisor while both sides are busy in a host directory: nobody hangs, nothing
# is left behind, and the host's processes notice nothing in the directory.
. "$GONDOLIN_SOURCE/tests/integration/lib.sh"
requires flock util-linux

d=

# Starts what keeps the directory busy; $guest and $host are lists of what is to end by itself, and what is not to.
busy() {
    guest='' host=''
    # shellcheck disable=SC2016 # the guest expands
    for work in 'dd if=/dev/zero of=/srv/d/big bs=64k count=32 conv=fsync' 'cat /srv/d/*' 'ls -lR /srv; mkdir /srv/d/x; rmdir /srv/d/x' \
        'echo x >>/srv/d/log; echo alive >>/tmp/alive'; do
        gondolin exec "$sb" -- sh -c "while :; do $work; done" >/dev/null 2>&1 &
        guest="$guest $!"
    done
    gondolin exec "$sb" -- sh -c ': >/srv/d/lock; exec flock -x /srv/d/lock echo got' >"$scratch/lock.out" 2>&1 &
    guest="$guest $!"
    sh -c 'while :; do echo host >"$0/from-host" && cat "$0/file" && mv "$0/from-host" "$0/moved" || exit; done' "$d" \
        >/dev/null 2>"$scratch/host.log" &
    host="$host $!"
    sh -c 'while ls -lR "$0/root/srv" && echo x >"$0/root/srv/file"; do :; done' "$sb" >/dev/null 2>&1 &
    guest="$guest $!"
    eventually 20 grep -q x "$d/log" || fail 'the guest does not work in the directory'
}

# All of the guest's are over, and the host's go on.
all_over() {
    for pid in $guest; do
        is_over "$pid" || return 1
    done
}

waiters() {
    for pid in $guest; do
        ps -o pid=,stat=,wchan:24=,args= -p "$pid" || true
    done
}

host_goes_on() {
    for pid in $host; do
        is_over "$pid" && fail "a process of the host was disturbed: $(cat "$scratch/host.log")"
        kill "$pid"
        wait "$pid" || true
    done
}

restarted() {
    [ "$(status_of mounts_restarts)" = "$1" ]
}

grows() {
    [ "$(stat -c %s "$d/log")" -gt "$1" ]
}

# A new sandbox on a new directory.
start() {
    d=$(mktemp -d "$scratch/d.XXXXXX")
    seq 1000 >"$d/file"
    touch "$d/lock"
    # The guest has no flock(1); it runs the host's.
    sandbox sb --bind "$d:/srv/d" --bind "$(command -v flock):/bin/flock:ro" --bind /lib:/lib:ro --bind /lib64:/lib64:ro
}

start
exec 5<"$d/lock"
flock -x 5
busy
for death in 1 2 3; do
    kill -9 "$(status_of mounts_pid)"
    eventually 10 restarted "$death" || fail "gondolin-vfs was not started again after death $death"
    eventually 60 grows "$(stat -c %s "$d/log")" || fail "the guest does not go on after death $death"
done
is_over "${guest##* }" && fail "the host's view of the guest was disturbed"
grep -q got "$scratch/lock.out" && fail 'who waited for a lock got it from a worker that died'
flock -u 5
timeout 60 gondolin exec "$sb" -- flock -w 20 /srv/d/lock true || fail 'a lock cannot be had any more'
exec 5<&-
kill -9 "$(status_of vm_pid)"
eventually 2 nothing_left || fail "after the machine was killed: $(leftovers)"
eventually 2 all_over || fail "somebody waits for a machine that was killed: $(waiters)"
host_goes_on

start
busy
kill -9 "$(status_of supervisor_pid)"
eventually 2 nothing_left || fail "after the supervisor was killed: $(leftovers)"
eventually 2 all_over || fail "somebody waits for a supervisor that was killed: $(waiters)"
host_goes_on
