#!/bin/sh
# What fsync has promised survives kill -9 of everything. With --root-disk the disk is written in place.
. "$GONDOLIN_SOURCE/tests/integration/lib.sh"
requires qemu-img qemu-utils

rootfs=$(sed -n 's/.*"rootfs": *"\([^"]*\)".*/\1/p' "$shared_store/images/"*/manifest.json | head -n 1)
[ -n "$rootfs" ] || rootfs=rootfs.qcow2
cp "$(readlink -f "$GONDOLIN_STORE/tags/busybox")/$rootfs" "$scratch/disk.qcow2"
chmod u+w "$scratch/disk.qcow2"

cd "$scratch"
sandbox sb --root-disk disk.qcow2
mkdir "$sb/root/srv/d"
dd if=/dev/urandom of="$scratch/data" bs=64k count=40 2>/dev/null
dd if="$scratch/data" of="$sb/root/srv/d/data" bs=64k conv=fsync 2>/dev/null
echo renamed >"$sb/root/srv/new"
sync "$sb/root/srv/new"
mv "$sb/root/srv/new" "$sb/root/srv/d/name"
sync "$sb/root/srv/d" # the directory, and with it the rename
# shellcheck disable=SC2046
kill -9 $(our_processes | cut -d ' ' -f 1)
eventually 2 no_processes || fail "processes go on: $(our_processes)"

sandbox sb --root-disk disk.qcow2
cmp "$scratch/data" "$sb/root/srv/d/data" || fail 'data that was fsynced is lost'
[ "$(cat "$sb/root/srv/d/name")" = renamed ] || fail 'a rename that was fsynced is lost'
timeout 20 gondolin umount "$sb"
qemu-img check -q disk.qcow2 || fail 'the disk is damaged'
expect_nothing_left
