#!/bin/sh
# Unmounting what is in use: refused, naming who holds it; --force ends it all the same.
. "$GONDOLIN_SOURCE/tests/integration/lib.sh"

# The system's own way, as whoever mounted may use it.
plain_umount() {
    if [ "$(id -u)" = 0 ]; then umount "$1"; else fusermount3 -u "$1"; fi
}

sandbox
(cd "$sb/root/srv" && exec sleep 1000) &
sitting=$!
exec 9>"$sb/root/srv/open"
eventually 2 grep -q sleep "/proc/$sitting/comm" || fail 'no sleep'
if plain_umount "$sb" 2>"$scratch/said"; then fail 'umount of a busy mount did not fail'; fi
grep -qi busy "$scratch/said" || fail "umount says: $(cat "$scratch/said")"
refused 125 "sleep (pid $sitting, working directory)" gondolin umount "$sb"
grep -q 'root/srv/open' "$scratch/said" || fail "the open file is not named: $(cat "$scratch/said")"
[ "$(status_of state)" = running ] || fail 'a refused umount ended the sandbox'
echo 'still there' >&9

timeout 20 gondolin umount --force "$sb" || fail '--force failed'
nothing_left || fail "left behind when umount --force returned: $(leftovers)"
[ -d "/proc/$sitting" ] || fail 'the process that sat in it was killed'
if sh -c 'echo lost >&9' 2>/dev/null; then fail 'a write into a sandbox that has gone succeeded'; fi
exec 9>&-
kill $sitting
ended_because "$sb" 'unmounted\|TERM'

# Not in use: the plain commands do it, asynchronously; whoever comes too late is told.
sandbox
plain_umount "$sb" || fail 'plain umount failed'
eventually 10 nothing_left || fail "left behind after umount: $(leftovers)"
refused 125 'ended .* ago: unmounted' gondolin umount "$sb"

# A supervisor that hangs is no obstacle to --force.
sandbox
kill -STOP "$(status_of supervisor_pid)"
timeout 30 gondolin umount --force "$sb" || fail '--force failed against a stopped supervisor'
nothing_left || fail "left behind: $(leftovers)"
