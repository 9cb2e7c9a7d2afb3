#!/bin/sh
# The main job from end to end: mount, edit, run, read back, unmount.
. "$GONDOLIN_SOURCE/tests/integration/lib.sh"

sandbox
[ "$(status_of state)" = running ] || fail "state is $(status_of state)"

echo 'echo hello from the guest' >"$sb/root/srv/hello.sh"
echo 'sh /srv/hello.sh' >"$sb/run"
[ "$(cat "$sb/last/stdout")" = 'hello from the guest' ] || fail "stdout: $(cat "$sb/last/stdout")"

echo 'echo changed by the guest >>/srv/hello.sh' >"$sb/run"
grep -q 'changed by the guest' "$sb/root/srv/hello.sh" || fail 'a change by the guest is not seen at once'

if sh -c "echo 'exit 3' >'$sb/run'" 2>/dev/null; then fail 'a failing command did not fail the write'; fi
grep -q 'exited with 3' "$sb/error" || fail "error says: $(cat "$sb/error")"

timeout 20 gondolin umount "$sb"
[ ! -e "$sb" ] || fail 'the mount point that mount made is still there'
expect_nothing_left
