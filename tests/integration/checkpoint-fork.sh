#!/bin/sh
# Several sandboxes from one checkpoint: each goes on from the same moment, and none is the other.
. "$GONDOLIN_SOURCE/tests/integration/lib.sh"

forks=${FORKS:-3}
sandbox
mkdir "$sb/jobs/random"
cat >"$sb/jobs/random/cmd" <<'END'
while :; do cat /proc/sys/kernel/random/uuid; date +%s; sleep 0.02; done >/tmp/seen
END
echo start >"$sb/jobs/random/ctl"
echo 'cat /etc/machine-id' >"$sb/run"
cat "$sb/last/stdout" >"$scratch/machine-ids"
timeout 30 mkdir "$sb/checkpoints/one" || fail "mkdir: $(cat "$sb/error")"
gondolin exec "$sb" -- wc -l /tmp/seen | cut -d' ' -f1 >"$scratch/lines"
sleep 3 # so that a clock that stands still shows
begun=$(date +%s)

i=0
while [ $i -lt "$forks" ]; do
    i=$((i + 1))
    timeout 60 gondolin mount --from one "$scratch/fork$i" >"$scratch/fork$i.log" 2>&1 &
done
wait
i=0
while [ $i -lt "$forks" ]; do
    i=$((i + 1))
    fork=$scratch/fork$i
    [ -e "$fork/ctl" ] || fail "fork $i: $(cat "$fork.log")"
    [ "$(gondolin exec "$fork" -- hostname)" = "fork$i" ] || fail "fork $i has another host name"
    gondolin exec "$fork" -- cat /etc/machine-id >>"$scratch/machine-ids"
    now=$(date +%s) then=$(gondolin exec "$fork" -- date +%s) later=$(date +%s)
    if [ "$then" -lt $((now - 2)) ] || [ "$then" -gt $((later + 2)) ]; then
        fail "fork $i: its clock says $then between $now and $later"
    fi
    [ "$(sed -n 's/^state //p' "$fork/jobs/random/status")" = running ] || fail "fork $i: the job does not run"
    echo "$i" >"$fork/root/srv/mine"
    # Of what the job has seen since, nothing is another's, and no time lies before the fork.
    enough=$(($(cat "$scratch/lines") + 9))
    timeout 20 gondolin exec "$fork" -- sh -c "until [ \$(wc -l </tmp/seen) -gt $enough ]; do sleep 0.1; done"
    cp "$fork/root/tmp/seen" "$scratch/seen$i" 2>/dev/null || gondolin exec "$fork" -- cat /tmp/seen >"$scratch/seen$i"
    tail -n "+$(($(cat "$scratch/lines") + 3))" "$scratch/seen$i" >"$scratch/new$i"
    grep -q - "$scratch/new$i" || fail "fork $i: the job sees nothing new"
    grep - "$scratch/new$i" >>"$scratch/randoms"
    first=$(grep -v - "$scratch/new$i" | head -n 1)
    [ "$first" -ge $((begun - 1)) ] || fail "fork $i: the job saw a time that was over: $first, forked at $begun"
done
[ "$(sort "$scratch/machine-ids" | uniq -d | wc -l)" = 0 ] || fail "machine ids: $(cat "$scratch/machine-ids")"
[ "$(sort "$scratch/randoms" | uniq -d | wc -l)" = 0 ] || fail 'two forks saw the same random numbers'
i=0
while [ $i -lt "$forks" ]; do
    i=$((i + 1))
    [ "$(cat "$scratch/fork$i/root/srv/mine")" = "$i" ] || fail "fork $i has another's file"
done
[ ! -e "$sb/root/srv/mine" ] || fail "the original has a fork's file"

# A fork's checkpoint lies on the first, which cannot go before it.
timeout 30 mkdir "$scratch/fork1/checkpoints/two" || fail "mkdir in a fork: $(cat "$scratch/fork1/error")"
grep -q '^parent one' "$sb/checkpoints/two/status" || fail 'the second checkpoint does not lie on the first'
for dir in "$sb" "$scratch"/fork[0-9]; do
    timeout 20 gondolin umount "$dir"
done
expect_nothing_left
refused 125 two gondolin checkpoint rm one
refused 125 'differs\|cannot go on here: memory' gondolin mount --from two --memory 256M "$scratch/other"
refused 125 'brings its image' gondolin mount --from two --image busybox "$scratch/other"
timeout 60 gondolin mount --from two "$scratch/again" >/dev/null || fail 'the checkpoint of a fork does not start'
[ "$(cat "$scratch/again/root/srv/mine")" = 1 ] || fail 'the checkpoint of a fork lacks its file'
timeout 20 gondolin umount "$scratch/again"
[ "$(gondolin run --from two -- cat /srv/mine)" = 1 ] || fail 'run --from'
gondolin checkpoint rm two one
