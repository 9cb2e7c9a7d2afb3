#!/bin/sh
# A real machine is saved while it runs, several times over, and loaded by several others; see tests/tools/save-machine.c.
. "$GONDOLIN_SOURCE/tests/integration/lib.sh"

[ "$(uname -m)" = x86_64 ] || skip 'the machine is an x86_64 one'
requires qemu-system-x86_64 qemu-system-x86
requires qemu-img qemu-utils
requires cpio cpio
image=$(find "$shared_store/images" -mindepth 1 -maxdepth 1 -type d | head -n 1)
[ -f "$image/vmlinux" ] || skip 'no image with an uncompressed kernel'

# The image's initramfs has the modules; what comes later in the archive takes the place of its init.
mkdir "$scratch/root" "$scratch/machines" "$scratch/small"
cp "$GONDOLIN_BUILD/tests/tools/counting-init" "$scratch/root/init"
(cd "$scratch/root" && find . | cpio -o -H newc --quiet) >"$scratch/own.cpio"
cat "$image/initramfs.cpio" "$scratch/own.cpio" >"$scratch/initramfs"
qemu-img create -q -f qcow2 "$scratch/disk.qcow2" 64M
small=$scratch/small
mount -t tmpfs -o size=8m none "$small" 2>/dev/null || small=-

timeout -s KILL 240 "$GONDOLIN_BUILD/tests/tools/save-machine" "$image/vmlinux" "$scratch/initramfs" \
    "$scratch/disk.qcow2" "$scratch/machines" "$small" >"$scratch/machines.log" 2>&1 || fail 'saving or loading failed'
cat "$scratch/machines.log"
for disk in "$scratch"/machines/*.qcow2; do
    qemu-img check -q "$disk" || [ $? = 3 ] || fail "$disk is damaged" # 3: clusters that a killed machine did not use
done
if [ "$small" != - ]; then umount "$small"; fi
