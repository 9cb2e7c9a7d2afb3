#!/bin/sh
# The image store is on a full file system: an error that says so, and nothing left; filled up later, the guest is told.
. "$GONDOLIN_SOURCE/tests/integration/lib.sh"
[ "$(id -u)" = 0 ] || skip 'needs root, to mount a small tmpfs'

mount -t tmpfs -o size=2m,mode=0700 tmpfs "$GONDOLIN_STORE" || skip 'no tmpfs can be mounted here'
at_end() {
    umount -l "$GONDOLIN_STORE" 2>/dev/null || true
}
ln -s "$shared_store/images" "$shared_store/tags" "$shared_store/cache" "$GONDOLIN_STORE"

dd if=/dev/zero of="$GONDOLIN_STORE/filler" bs=4k 2>/dev/null && fail 'the store is not full'
refused 125 'No space left on device' gondolin mount --image busybox "$scratch/sb"
[ ! -e "$scratch/sb" ] || fail 'the mount point it made is still there'
[ -z "$(our_processes)$(ls -A "$GONDOLIN_STORE/tmp" 2>/dev/null)" ] || fail "left behind: $(leftovers)"

# Room for a boot but not for what the guest then writes: its disk fails, the rest goes on and can be ended.
rm "$GONDOLIN_STORE/filler"
sandbox
timeout 60 cat "$sb/events" >"$scratch/events" 2>/dev/null &
events=$!
code=0
dd if=/dev/zero of="$sb/root/srv/big" bs=64k count=128 conv=fsync 2>"$scratch/said" || code=$?
[ "$code" != 0 ] || fail '8 MiB were written into a store of 2 MiB'
grep -q 'Input/output error\|No space left\|Read-only' "$scratch/said" || fail "the writer was told: $(cat "$scratch/said")"
grep -q 'root disk failed' "$sb/log" || fail "the log does not say that the disk failed: $(cat "$sb/log")"
[ "$(status_of disk_errors)" -gt 0 ] || fail 'the status counts no failures'
eventually 5 grep -q '"reason":"No space left on device".*"event":"disk-error"' "$scratch/events" || fail "events: $(cat "$scratch/events")"
[ "$(status_of state)" = running ] || fail 'the sandbox did not survive it'
kill $events 2>/dev/null || true
timeout 20 gondolin umount "$sb"
[ -z "$(our_processes)$(ls -A "$GONDOLIN_STORE/tmp")" ] || fail "left behind: $(leftovers)"
