#!/bin/sh
# kill -9 of the supervisor: whoever waits gets an error, and the keeper takes everything down.
. "$GONDOLIN_SOURCE/tests/integration/lib.sh"

sandbox
echo 'sleep 1000 &' >"$sb/run"

{
    code=0
    cat "$sb/events" >/dev/null 2>&1 || code=$?
    echo "$code" >"$scratch/reader"
} &
exec 8<"$sb/root/bin/busybox"
kill -9 "$(status_of supervisor_pid)"
eventually 1 nothing_left || fail "left behind after a second: $(leftovers)"

[ ! -e "$sb" ] || fail 'the mount point that mount made is still there'
eventually 1 test -s "$scratch/reader" || fail 'a waiting reader goes on waiting'
[ "$(cat "$scratch/reader")" != 0 ] || fail 'a waiting reader was told nothing'
exec 8<&-
ended_because "$sb" 'supervisor'

# The keeper is killed first: it is started again and does its work. Now in a directory that was there before.
mkdir "$scratch/kept"
sandbox kept
keeper=$(registered keeper_pid)
kill -9 "$keeper"
another_keeper() {
    [ "$(registered keeper_pid)" != "$keeper" ] && [ -d "/proc/$(registered keeper_pid)" ]
}
eventually 2 another_keeper || fail 'the keeper was not started again, or the registry does not know'
kill -9 "$(status_of supervisor_pid)"
eventually 1 nothing_left || fail "left behind after a second, with the second keeper: $(leftovers)"
[ -d "$sb" ] || fail 'a mount point that was there before was removed'

# Both at once: the next command cleans up what is seen, and the next mount (over the dead one) what is not.
sandbox
kill -9 "$(registered keeper_pid)" "$(status_of supervisor_pid)"
eventually 1 no_processes || fail "processes go on: $(our_processes)"
sandbox
ended_because "$scratch/kept" 'supervisor was killed'
timeout 20 gondolin umount "$sb"
expect_nothing_left
