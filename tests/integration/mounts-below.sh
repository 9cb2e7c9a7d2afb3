#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# File systems that the host has mounted below a directory are seen by the guest as file systems of their own, those mounted
# later, too, if it has not looked before.
. "$GONDOLIN_SOURCE/tests/integration/lib.sh"
[ "$(id -u)" = 0 ] || skip 'needs root, to mount a small tmpfs'

in_guest() {
    timeout 60 gondolin exec "$sb" -- sh -c "$1"
}

data=$scratch/dir
at_end() {
    umount -l "$data/early" "$data/late" 2>/dev/null || true
}
mkdir "$data" "$data/early" "$data/late"
mount -t tmpfs -o size=1m below "$data/early" 2>/dev/null || skip 'no tmpfs can be mounted here'
echo early >"$data/early/file"
sandbox sb --bind "$data:/d"
[ "$(in_guest 'cat /d/early/file')" = early ] || fail "what is mounted below is not seen"

mount -t tmpfs -o size=1m below "$data/late"
echo late >"$data/late/file"
[ "$(in_guest 'cat /d/late/file')" = late ] || fail "what is mounted later is not seen"
[ "$(in_guest 'stat -c %i /d/early /d/late | sort -u | wc -l')" = 2 ] || fail "two file systems share inode numbers"
in_guest 'ln /d/early/file /d/linked' 2>"$scratch/out" && fail "a hard link to another file system"
grep -q 'ross-device' "$scratch/out" || fail "linked: $(cat "$scratch/out")"
in_guest 'mv /d/early/file /d/moved && cat /d/moved' >/dev/null || fail "mv to another file system"
[ "$(cat "$data/moved")" = early ] || fail "moved: $(ls -R "$data")"
in_guest 'dd if=/dev/zero of=/d/late/big bs=64k count=64' 2>"$scratch/out" && fail "more than fits was written"
grep -q 'No space left' "$scratch/out" || fail "full: $(cat "$scratch/out")"

gondolin umount "$sb"
umount "$data/early" "$data/late" || fail "the host's file systems are still busy"
