#!/bin/sh
# Checkpoints of restored sandboxes, ten deep, with somebody writing and syncing all the time; then back to each.
# shellcheck disable=SC2016 # what is in single quotes is for the guest
. "$GONDOLIN_SOURCE/tests/integration/lib.sh"

depth=${DEPTH:-10}
sandbox
mkdir "$sb/jobs/writer"
cat >"$sb/jobs/writer/cmd" <<'END'
n=0
while :; do
    n=$((n + 1))
    head -c 20000 /dev/urandom >/srv/data.new
    md5sum </srv/data.new >/srv/sum.new
    sync
    mv /srv/data.new /srv/data; mv /srv/sum.new /srv/sum
    echo $n >/srv/n
done
END
echo start >"$sb/jobs/writer/ctl"
eventually 20 test -e "$sb/root/srv/n" || fail 'the writer does not write'
level=0
while [ $level -lt "$depth" ]; do
    level=$((level + 1))
    echo "$level" >"$sb/root/srv/level"
    gondolin exec "$sb" -- sync # for the boot from its disk alone
    timeout 60 mkdir "$sb/checkpoints/level$level" || fail "level $level: $(cat "$sb/error")"
    echo "restore level$level" >"$sb/ctl" || fail "restore level $level: $(cat "$sb/error")"
done
for level in 1 $((depth / 2)) "$depth" 2; do
    echo "restore level$level" >"$sb/ctl" || fail "back to level $level: $(cat "$sb/error")"
    [ "$(cat "$sb/root/srv/level")" = "$level" ] || fail "level $level says $(cat "$sb/root/srv/level")"
    n=$(cat "$sb/root/srv/n")
    # One that was taken between the two renames is told from damage by a second look.
    echo 'for try in 1 2 3 4 5 6; do s=$(cat /srv/sum); [ "$(md5sum </srv/data)" = "$s" ] && exit; done; exit 1' >"$sb/run" ||
        fail "level $level: the data are damaged"
    eventually 10 sh -c "[ \$(cat '$sb/root/srv/n') -gt $n ]" || fail "level $level: the writer does not go on"
done
echo 'kill KILL' >"$sb/jobs/writer/ctl"
timeout 20 gondolin umount "$sb"
timeout 60 gondolin mount --from "level$depth" --disk "$scratch/sb" >/dev/null || fail 'the deepest disk does not boot'
[ "$(cat "$sb/root/srv/level")" = "$depth" ] || fail 'the deepest disk is another'
timeout 20 gondolin umount "$sb"
gondolin checkpoint tree >"$scratch/tree"
[ "$(grep -c level "$scratch/tree")" = "$depth" ] || fail "tree: $(cat "$scratch/tree")"
