#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# File systems that the host has mounted below a directory are seen by the guest, those mounted later too, as file systems of
# their own.
. "$GONDOLIN_SOURCE/tests/integration/lib.sh"
[ "$(id -u)" = 0 ] || skip 'needs root, to mount a small tmpfs'

in_guest() {
    timeout 60 gondolin exec "$sb" -- sh -c "$1"
}

dir=$scratch/dir
at_end() {
    umount -l "$dir/early" "$dir/late" 2>/dev/null || true
}
mkdir "$dir" "$dir/early" "$dir/late"
mount -t tmpfs -o size=1m below "$dir/early" 2>/dev/null || skip 'no tmpfs can be mounted here'
echo early >"$dir/early/file"
sandbox sb --bind "$dir:/d"
[ "$(in_guest 'ls /d/late; cat /d/early/file')" = early ] || fail "what is mounted below is not seen"

mount -t tmpfs -o size=1m below "$dir/late"
echo late >"$dir/late/file"
[ "$(in_guest 'cat /d/late/file')" = late ] || fail "what is mounted later is not seen"
[ "$(in_guest 'stat -c %i /d/early /d/late | sort -u | wc -l')" = 2 ] || fail "two file systems share inode numbers"
in_guest 'ln /d/early/file /d/linked' 2>"$scratch/out" && fail "a hard link to another file system"
grep -q 'ross-device' "$scratch/out" || fail "linked: $(cat "$scratch/out")"
in_guest 'mv /d/early/file /d/moved && cat /d/moved' >/dev/null || fail "mv to another file system"
[ "$(cat "$dir/moved")" = early ] || fail "moved: $(ls -R "$dir")"
in_guest 'dd if=/dev/zero of=/d/late/big bs=64k count=64' 2>"$scratch/out" && fail "more than fits was written"
grep -q 'No space left' "$scratch/out" || fail "full: $(cat "$scratch/out")"

gondolin umount "$sb"
umount "$dir/late" || fail "the host's file system is still busy"
