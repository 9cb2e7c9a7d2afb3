#!/bin/sh
# The guest's disk is full: the host's writer is told so, what was written before is there, and it goes on after a rm.
. "$GONDOLIN_SOURCE/tests/integration/lib.sh"

sandbox
echo kept >"$sb/root/srv/before"
# shellcheck disable=SC2016 # for the guest's shell
echo 'free=$(df -k / | tail -n 1 | tr -s " " | cut -d " " -f 4); fallocate -l $((free - 2000))K /srv/filler; df -k /' >"$sb/run"
code=0
dd if=/dev/zero of="$sb/root/srv/big" bs=64k count=256 conv=fsync 2>"$scratch/said" || code=$?
[ "$code" != 0 ] || fail "16 MiB went onto a full disk: $(cat "$sb/last/stdout")"
grep -q 'No space left on device' "$scratch/said" || fail "the writer was told: $(cat "$scratch/said")"
refused 1 'No space left on device' mkdir "$sb/root/srv/new"
[ "$(cat "$sb/root/srv/before")" = kept ] || fail 'what was there before is damaged'
[ "$(status_of state)" = running ] || fail 'the guest did not survive it'
echo 'echo a job >/dev/shm/runs; cat /dev/shm/runs' >"$sb/run"
[ "$(cat "$sb/last/stdout")" = 'a job' ] || fail 'jobs do not run any more'

rm "$sb/root/srv/big" "$sb/root/srv/filler"
dd if=/dev/zero of="$sb/root/srv/big" bs=64k count=64 conv=fsync 2>"$scratch/said" || fail "after rm: $(cat "$scratch/said")"
timeout 20 gondolin umount "$sb"
expect_nothing_left
