#!/bin/sh
# Checkpoints of the disk alone, and full ones of which only the disk is used: they boot.
# shellcheck disable=SC2016 # what is in single quotes is for the guest
. "$GONDOLIN_SOURCE/tests/integration/lib.sh"

sandbox
echo 'for i in $(seq 300); do echo $i >/srv/$i; done; sync' >"$sb/run"
gondolin exec "$sb" -- sh -c 'while :; do echo x >>/srv/log; sync; done' &
writer=$!
echo 'checkpoint disk1 disk' >"$sb/ctl" || fail "checkpoint disk: $(cat "$sb/error")"
grep -q '^kind disk' "$sb/checkpoints/disk1/status" || fail "status: $(cat "$sb/checkpoints/disk1/status")"
echo 'echo still here' >"$sb/run" || fail "the guest does not go on: $(cat "$sb/error")"
echo later >"$sb/root/srv/later"
sync "$sb/root/srv/later"
timeout 30 mkdir "$sb/checkpoints/full1" || fail "mkdir: $(cat "$sb/error")"
grep -q '^parent disk1' "$sb/checkpoints/full1/status" || fail 'the second does not lie on the first'

# What has just been digested need not be compared before it is used first.
for one in disk1 full1; do
    (cd "$GONDOLIN_STORE/checkpoints/$one" && stat -c '%n %d %i %s %.9Y %.9Z' disk.qcow2 layer-*.qcow2 ram state 2>/dev/null) |
        sort >"$scratch/now"
    cut -d ' ' -f 1,3- "$GONDOLIN_STORE/checkpoints/$one/verified" | sort | diff - "$scratch/now" >"$scratch/said" ||
        fail "the record of $one is of another state: $(cat "$scratch/said")"
done

timeout 60 gondolin mount --from disk1 "$scratch/a" >/dev/null 2>"$scratch/a.log" || fail 'a disk does not start'
[ "$(sed -n 's/^start //p' "$scratch/a/status")" = cold ] || fail 'it was not booted'
[ "$(find "$scratch/a/root/srv" -name '[0-9]*' | wc -l)" = 300 ] || fail 'its files are not there'
[ ! -e "$scratch/a/root/srv/later" ] || fail 'it has a later file'
timeout 20 gondolin umount "$scratch/a"
timeout 60 gondolin mount --from full1 --disk "$scratch/b" >/dev/null 2>"$scratch/b.log" || fail 'the disk of a full one does not start'
[ "$(cat "$scratch/b/root/srv/later")" = later ] || fail 'a file that was synced is not there'
[ "$(ls "$scratch/b/jobs")" = clone ] || fail 'a booted one has jobs'
timeout 20 gondolin umount "$scratch/b"

echo 'restore disk1' >"$sb/ctl" || fail "restore of a disk: $(cat "$sb/error")"
ends_within 10 $writer
[ "$code" != 0 ] || fail 'a job went on over a boot'
[ ! -e "$sb/root/srv/later" ] || fail 'the disk is not that of the checkpoint'
[ "$(status_of start)" = cold ] || fail 'it was not booted'
echo 'restore full1 disk' >"$sb/ctl" || fail "restore full1 disk: $(cat "$sb/error")"
[ "$(cat "$sb/root/srv/later")" = later ] || fail 'the disk is not that of the second'
if (echo 'restore full1 ram' >"$sb/ctl") 2>/dev/null; then fail 'a wrong word was taken'; fi
timeout 20 gondolin umount "$sb"
refused 125 'goes with --from' gondolin mount --disk "$scratch/c"
gondolin checkpoint rm full1 disk1

# However many lie on one another: one that would lie on too many has all in one disk, and lies on the image.
make=$GONDOLIN_BUILD/tests/tools/make-checkpoint
image=$(basename "$(readlink "$GONDOLIN_STORE/tags/busybox")")
below=-
for i in $(seq 31); do
    "$make" "c$i" "$image" "$below" disk || fail 'make-checkpoint'
    below=c$i
done
sb=$scratch/deep
timeout 60 gondolin mount --from c31 "$sb" >/dev/null 2>"$scratch/deep.log" || fail 'the deepest does not start'
echo 31 >"$sb/root/srv/file"
gondolin exec "$sb" -- sync
timeout 30 mkdir "$sb/checkpoints/c32" || fail "the last that has room: $(cat "$sb/error")"
grep -q '^parent c31' "$sb/checkpoints/c32/status" || fail 'it does not lie on the one before'
echo 32 >"$sb/root/srv/file2"
timeout 60 mkdir "$sb/checkpoints/one" || fail "one more: $(cat "$sb/error")"
[ "$(ls "$GONDOLIN_STORE/checkpoints/one/"*.qcow2)" = "$GONDOLIN_STORE/checkpoints/one/disk.qcow2" ] || fail 'more than a disk'
grep -q '^parent -' "$sb/checkpoints/one/status" || fail 'it lies on another'
# shellcheck disable=SC2046 # words
gondolin checkpoint rm c32 $(seq -f c%.0f 31 -1 1) || fail 'those below are still used'
echo 33 >"$sb/root/srv/file3"
timeout 30 mkdir "$sb/checkpoints/two" || fail "the next: $(cat "$sb/error")"
grep -q '^parent one' "$sb/checkpoints/two/status" || fail 'the next does not lie on it'
timeout 20 gondolin umount "$sb"
gondolin checkpoint verify two >/dev/null || fail 'it does not verify'
[ "$(gondolin run --from two -- cat /srv/file /srv/file2 /srv/file3 | xargs)" = '31 32 33' ] || fail 'what was written is lost'
timeout 60 gondolin mount --from one --disk "$scratch/b" >/dev/null 2>"$scratch/b.log" || fail 'the disk does not boot'
[ "$(cat "$scratch/b/root/srv/file")" = 31 ] || fail 'what lay below is not on the disk'
timeout 20 gondolin umount "$scratch/b"
gondolin checkpoint rm two one

# A root disk that is not the image's is nobody's but the user's: what lies on it notices when it has been written to.
cp "$GONDOLIN_STORE/tags/busybox/rootfs.qcow2" "$scratch/root.qcow2"
chmod u+w "$scratch/root.qcow2"
sandbox own --root-disk "$scratch/root.qcow2" --root-mode cow
timeout 30 mkdir "$sb/checkpoints/own1" || fail "with a root disk of its own: $(cat "$sb/error")"
gondolin checkpoint verify own1 >/dev/null || fail 'one on a root disk does not verify'
echo 'restore own1' >"$sb/ctl" || fail "restore own1: $(cat "$sb/error")"
touch "$scratch/root.qcow2"
if mkdir "$sb/checkpoints/own2" 2>/dev/null; then fail 'a checkpoint on a disk that was written to'; fi
grep -q "$scratch/root.qcow2 has been written to" "$sb/error" || fail "it says: $(cat "$sb/error")"
timeout 20 gondolin umount "$sb"
refused 125 "$scratch/root.qcow2 has been written to" gondolin checkpoint verify own1
refused 125 "$scratch/root.qcow2 has been written to" gondolin mount --from own1 "$scratch/never"
gondolin checkpoint rm own1
