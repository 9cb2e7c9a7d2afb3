#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Locks on a host directory between processes of the guest and of the host; those among the guest's own are checked by
# tests/tools/lock-checks.py, on this machine's own mount of a directory and of memory.
. "$GONDOLIN_SOURCE/tests/integration/lib.sh"
requires flock util-linux

mkdir "$scratch/d"
touch "$scratch/d/file"
# The guest has no flock(1); it runs the host's.
sandbox sb --bind "$scratch/d:/srv/d" --bind "$(command -v flock):/bin/flock:ro" --bind /lib:/lib:ro --bind /lib64:/lib64:ro

# the guest holds, the host waits; then the other way round
mkfifo "$scratch/go"
timeout 60 gondolin exec "$sb" -- flock -x /srv/d/file sh -c 'echo held; read go' <"$scratch/go" >"$scratch/held" &
holder=$!
exec 4>"$scratch/go"
eventually 20 grep -q held "$scratch/held" || fail "the guest does not get the lock"
flock -n "$scratch/d/file" true && fail "the host does not see the guest's lock"
flock -w 20 "$scratch/d/file" true 4>&- &
waiter=$!
exec 4>&-
ends_within 20 "$holder"
ends_within 20 "$waiter"
[ "$code" = 0 ] || fail "the host does not get what the guest gave back"

exec 5<"$scratch/d/file"
flock -x 5
timeout 60 gondolin exec "$sb" -- flock -n /srv/d/file true && fail "the guest does not see the host's lock"
timeout 60 gondolin exec "$sb" -- flock -x /srv/d/file echo got >"$scratch/got" 5<&- &
waiter=$!
sleep 1
[ ! -s "$scratch/got" ] || fail "the guest does not wait for the host"
exec 5<&-
ends_within 20 "$waiter"
grep -q got "$scratch/got" || fail "the guest does not get what the host gave back"

# one who waits and is killed does not hold it afterwards
exec 5<"$scratch/d/file"
flock -x 5
timeout 60 gondolin exec "$sb" -- timeout -s KILL 1 flock -x /srv/d/file true && fail "the guest got a lock that the host has"
exec 5<&-
flock -w 5 "$scratch/d/file" true || fail "a dead process of the guest holds the lock"

# the server alone: every kind of lock among processes of one kernel
requires python3 python3
for what in "$scratch/d" memory:; do
    mkdir "$scratch/mnt"
    "$GONDOLIN_BUILD/tests/tools/serve-dir" "$what" "$scratch/mnt" >"$scratch/ready" 2>"$scratch/serve.log" &
    server=$!
    eventually 10 grep -q ready "$scratch/ready" || fail "serve-dir did not mount"
    echo x >"$scratch/mnt/file"
    timeout 60 python3 "$GONDOLIN_SOURCE/tests/tools/lock-checks.py" "$scratch/mnt/file" || failed="locks on $what"
    kill "$server"
    wait "$server" || fail "serve-dir ended with $?"
    rmdir "$scratch/mnt"
    : >"$scratch/ready"
    [ -z "${failed-}" ] || fail "$failed"
done
