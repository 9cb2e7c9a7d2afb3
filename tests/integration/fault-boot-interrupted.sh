#!/bin/sh
# Ctrl-C, SIGTERM and kill -9 while a sandbox boots take all of it with them; so does the end of gondolin run.
. "$GONDOLIN_SOURCE/tests/integration/lib.sh"

booting() {
    [ -n "$(registered vm_pid)" ]
}

# interrupted SIGNAL CODE: gondolin mount, signalled while it waits for the guest. A background job of sh ignores SIGINT
# unless told otherwise.
interrupted() {
    env --default-signal=INT gondolin mount --image busybox "$scratch/sb" >"$scratch/out" 2>"$scratch/said" &
    eventually 60 booting || fail 'no machine was started'
    kill -"$1" $!
    ends_within 15 $!
    [ "$code" = "$2" ] || fail "SIG$1 while it boots: exit code $code: $(cat "$scratch/said")"
    [ ! -s "$scratch/out" ] || fail "SIG$1: it says that it is ready"
    [ "$1" = KILL ] || nothing_left || fail "SIG$1: left behind when it returned: $(leftovers)"
    eventually 2 nothing_left || fail "SIG$1: left behind: $(leftovers)"
    [ ! -e "$scratch/sb" ] || fail "SIG$1: the mount point it made is still there"
}

interrupted INT 130
interrupted TERM 143
interrupted KILL 137

# gondolin run, while it boots and while its command runs.
run_signalled() {
    rm -f "$scratch/out" # what the one before has said
    env --default-signal=INT gondolin run --image busybox -- sh -c 'echo running; exec sleep 1000' >"$scratch/out" 2>/dev/null &
    eventually 60 "$3" || fail "run: $3 did not come about"
    kill -"$1" $!
    ends_within 15 $!
    [ "$code" = "$2" ] || fail "run, SIG$1, $3: exit code $code"
    eventually 3 nothing_left || fail "run, SIG$1, $3: left behind: $(leftovers)"
}

running() {
    grep -q running "$scratch/out" 2>/dev/null
}

run_signalled KILL 137 booting
run_signalled KILL 137 running
run_signalled INT 130 running
run_signalled TERM 143 running
