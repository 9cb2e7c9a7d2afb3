#!/bin/sh
# No room for a checkpoint: mkdir says so, nothing is left of it, the guest goes on, and with room it works.
# shellcheck disable=SC2016 # what is in single quotes is for the guest
. "$GONDOLIN_SOURCE/tests/integration/lib.sh"
[ "$(id -u)" = 0 ] || skip 'needs root, to mount a small tmpfs'

mount -t tmpfs -o size=96m,mode=0700 tmpfs "$GONDOLIN_STORE" || skip 'no tmpfs can be mounted here'
at_end() {
    umount -l "$GONDOLIN_STORE" 2>/dev/null || true
}
ln -s "$shared_store/images" "$shared_store/tags" "$shared_store/cache" "$GONDOLIN_STORE"
sandbox sb --cold
dd if=/dev/zero of="$GONDOLIN_STORE/filler" bs=1M count=60 2>/dev/null
echo 'n=0; while :; do n=$((n+1)); echo $n >/tmp/n.new; mv /tmp/n.new /tmp/n; sleep 0.1; done' >"$scratch/cmd"
mkdir "$sb/jobs/n"
cat "$scratch/cmd" >"$sb/jobs/n/cmd"
echo start >"$sb/jobs/n/ctl"
counted() {
    gondolin exec "$sb" -- cat /tmp/n
}
went_on() {
    [ "$(counted)" -gt "$n" ]
}
eventually 20 test -e "$sb/root/tmp/n" || fail 'the job does not count'
for try in 1 2; do
    if timeout 30 mkdir "$sb/checkpoints/one" 2>"$scratch/said"; then fail 'a checkpoint of a full store'; fi
    grep -q 'No space left' "$scratch/said" || fail "try $try: mkdir says: $(cat "$scratch/said")"
    [ -z "$(ls "$GONDOLIN_STORE/checkpoints")" ] || fail "try $try: left: $(ls "$GONDOLIN_STORE/checkpoints")"
    [ "$(find "$GONDOLIN_STORE/tmp" -name ram -o -name state | wc -l)" = 0 ] || fail "left: $(find "$GONDOLIN_STORE/tmp")"
    n=$(counted)
    eventually 10 went_on || fail 'the guest does not go on'
    echo kept >"$sb/root/srv/kept"
done
rm "$GONDOLIN_STORE/filler"
timeout 30 mkdir "$sb/checkpoints/one" || fail "with room: $(cat "$sb/error")"
rm "$sb/root/srv/kept"
echo 'restore one' >"$sb/ctl" || fail "restore: $(cat "$sb/error")"
[ "$(cat "$sb/root/srv/kept")" = kept ] || fail 'a file is missing'
timeout 20 gondolin umount "$sb"
gondolin checkpoint verify one >/dev/null || fail 'the checkpoint is not sound'
