#!/bin/sh
# Places that cannot be mounted on, and what happens to a mount point while it is mounted.
. "$GONDOLIN_SOURCE/tests/integration/lib.sh"

mkdir "$scratch/full" "$scratch/real"
touch "$scratch/full/file" "$scratch/file"
ln -s real "$scratch/link"
ln -s nowhere "$scratch/dangling"
refused 125 'full is not empty' gondolin mount --image busybox "$scratch/full"
refused 125 'file.*Not a directory' gondolin mount --image busybox "$scratch/file"
refused 125 'missing/sb.*No such file' gondolin mount --image busybox "$scratch/missing/sb"
refused 125 'dangling.*No such file' gondolin mount --image busybox "$scratch/dangling"
refused 125 'File name too long' gondolin mount --image busybox "$scratch/$(printf '%0300d' 0)"
[ "$(ls "$scratch/full")" = file ] || fail 'the directory that was refused is changed'

# Two at once, by different names: exactly one wins, the other says why and breaks nothing.
for dir in real link; do
    timeout 60 gondolin mount --image busybox "$scratch/$dir" >/dev/null 2>"$scratch/said.$dir" &
    eval "$dir=\$!"
done
won=0
# shellcheck disable=SC2154 # set by eval
for pid in $real $link; do
    if wait "$pid"; then won=$((won + 1)); fi
done
[ "$won" = 1 ] || fail "$won of two mounts on one path succeeded: $(cat "$scratch"/said.*)"
grep -q 'another gondolin is mounting here\|mounted already\|not empty' "$scratch"/said.* ||
    fail "the loser was told: $(cat "$scratch"/said.*)"
sb=$scratch/real
[ "$(status_of state)" = running ] || fail 'the winner does not run'
refused 125 'mounted already; gondolin umount' gondolin mount --image busybox "$sb"
refused 125 'mounted already' gondolin mount --image busybox "$scratch/link"
[ "$(gondolin list -q)" = "$sb" ] || fail 'list does not show exactly one'
timeout 20 gondolin umount "$scratch/link" || fail 'umount by another name failed'
[ -d "$sb" ] || fail 'a mount point that was there before was removed'
expect_nothing_left

# A directory above it is renamed: the mount goes with it, and is found where it is now.
mkdir "$scratch/above"
sandbox above/sb
mv "$scratch/above" "$scratch/renamed"
sb=$scratch/renamed/sb
[ "$(gondolin list -q)" = "$sb" ] || fail "list shows: $(gondolin list -q)"
[ "$(gondolin status "$sb" | sed -n 's/^state //p')" = running ] || fail 'not found under its new name'
kill -9 "$(status_of supervisor_pid)"
eventually 1 nothing_left || fail "left behind, renamed: $(leftovers)"

# It is removed in another mount namespace, which takes the mount away in all of them: the sandbox ends.
if unshare -m true 2>/dev/null; then
    sandbox removed
    # shellcheck disable=SC2016
    unshare -m --propagation private sh -c 'umount "$0" && rmdir "$0"' "$sb" || fail 'rmdir elsewhere'
    eventually 10 nothing_left || fail "left behind, removed: $(leftovers)"
    ended_because "$sb" 'unmounted'
fi
