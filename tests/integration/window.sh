#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The data of reads and writes goes through the memory that host and guest share, in both directions, and not through the ports:
# all would work without, and be slow.
. "$GONDOLIN_SOURCE/tests/integration/lib.sh"
mib=8
mkdir "$scratch/d"
head -c ${mib}M /dev/urandom >"$scratch/d/file"
sandbox sb --bind "$scratch/d:/d"
supervisor=$(status_of supervisor_pid) worker=$(status_of mounts_pid)
[ -r "/proc/$worker/io" ] || echo "$name: only root may see what gondolin-vfs moves; the host's side is looked at alone"

# What a process has read and written by system calls, in MiB: `moved PID`.
moved() {
    (cat "/proc/$1/io" 2>/dev/null || true) | awk '/^[rw]char/ { sum += $2 } END { print int(sum / 1048576) }'
}
# Each byte once, to or from the file or the kernel's FUSE; the port would be as much again.
through_window() {
    [ $(($(moved "$1") - $2)) -lt $((mib + mib / 2)) ] || fail "$3: $(($(moved "$1") - $2)) MiB were moved for $mib"
}
before=$(moved "$worker")
gondolin exec "$sb" -- cmp /d/file /d/file
gondolin exec "$sb" -- md5sum /d/file >"$scratch/sum"
through_window "$worker" "$before" 'a read in the guest'
[ "$(cut -d' ' -f1 "$scratch/sum")" = "$(md5sum <"$scratch/d/file" | cut -d' ' -f1)" ] || fail 'the guest reads something else'
before=$(moved "$worker")
gondolin exec "$sb" -- cp /d/file /d/copy
through_window "$worker" "$before" 'a write in the guest'
cmp "$scratch/d/file" "$scratch/d/copy" || fail 'the guest has written something else'

gondolin exec "$sb" -- cp /d/file /srv/file
before=$(moved "$supervisor")
cmp "$scratch/d/file" "$sb/root/srv/file" || fail 'the host reads something else'
through_window "$supervisor" "$before" 'a read on the host'
before=$(moved "$supervisor")
cp "$scratch/d/file" "$sb/root/srv/written"
through_window "$supervisor" "$before" 'a write on the host'
[ "$(gondolin exec "$sb" -- md5sum /srv/written | cut -d' ' -f1)" = "$(cut -d' ' -f1 "$scratch/sum")" ] ||
    fail 'the host has written something else'
