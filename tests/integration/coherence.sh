#!/bin/sh
# What a guest process changes is what the host reads next, although the host caches for a long time: as soon as the
# job's end (or output) is known, and otherwise within a moment.
. "$GONDOLIN_SOURCE/tests/integration/lib.sh"

sandbox
[ "$(status_of files_notices)" = 1 ] || fail 'the guest sends no notices'
root=$sb/root/tmp

for i in $(seq 40); do
    echo "echo $i >/tmp/file; ln -sf to$i /tmp/link; mkdir -p /tmp/dir; rm -f /tmp/dir/*; : >/tmp/dir/n$i" >"$sb/run"
    [ "$(cat "$root/file")" = "$i" ] || fail "round $i: the file says $(cat "$root/file")"
    [ "$(readlink "$root/link")" = "to$i" ] || fail "round $i: the link says $(readlink "$root/link")"
    [ "$(ls "$root/dir")" = "n$i" ] || fail "round $i: the directory has $(ls "$root/dir")"
done

# same size, same clock tick: only a notice tells
for i in 1 2 3 4 5 6 7 8 9; do
    echo "echo $i >/tmp/file" >"$sb/run"
    [ "$(cat "$root/file")" = "$i" ] || fail "rewrite $i: the file says $(cat "$root/file")"
done

# mode, owner, times, size
echo 'chmod 640 /tmp/file; touch -d @1000000000 /tmp/file; truncate -s 5000 /tmp/file' >"$sb/run"
[ "$(stat -c '%a %s' "$root/file")" = '640 5000' ] || fail "attributes: $(stat -c '%a %s' "$root/file")"

# a change that no job's end announces
cat "$root/file" >/dev/null
mkdir "$sb/jobs/later"
echo 'sleep 0.3; echo later >/tmp/file; sleep 60' >"$sb/jobs/later/cmd"
echo start >"$sb/jobs/later/ctl"
eventually 3 grep -q later "$root/file" || fail 'a change in the background is not seen'
rmdir "$sb/jobs/later"

# unlinked and made again under the same name
echo 'rm /tmp/file; echo new >/tmp/file; rm /tmp/link' >"$sb/run"
[ "$(cat "$root/file")" = new ] || fail 'a replaced file shows its old contents'
[ ! -L "$root/link" ] || fail 'a removed link is still there'
