#!/bin/sh
# Eight sandboxes at once: each its own machine and files, all found by name, all gone afterwards.
. "$GONDOLIN_SOURCE/tests/integration/lib.sh"

waiting=
for n in 1 2 3 4 5 6 7 8; do
    timeout 100 gondolin mount --image busybox --memory 128M "$scratch/sb$n" >/dev/null 2>"$scratch/mount$n.log" &
    waiting="$waiting $!"
done
for pid in $waiting; do
    wait "$pid" || fail 'one of eight did not become ready'
done
[ "$(gondolin list -q | wc -l)" = 8 ] || fail "list shows: $(gondolin list)"
for n in 1 2 3 4 5 6 7 8; do
    echo "$n" >"$scratch/sb$n/root/srv/number"
done
for n in 1 2 3 4 5 6 7 8; do
    [ "$(timeout 20 gondolin exec "sb$n" -- cat /srv/number)" = "$n" ] || fail "sandbox $n has not its own files"
done
# One of them dies; the others do not notice.
kill -9 "$(sed -n 's/^supervisor_pid //p' "$scratch/sb5/status")"
fewer() {
    [ "$(gondolin list -q | wc -l)" = 7 ]
}
eventually 3 fewer || fail "list shows: $(gondolin list)"
gondolin list -q | timeout 60 xargs gondolin umount || fail 'umount of all'
expect_nothing_left
