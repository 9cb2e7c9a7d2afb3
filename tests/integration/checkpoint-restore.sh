#!/bin/sh
# A checkpoint of a machine that works, and back to it: programs, files, jobs and their output are as they were.
# shellcheck disable=SC2016 # what is in single quotes is for the guest
. "$GONDOLIN_SOURCE/tests/integration/lib.sh"

sandbox
checkpoints=$sb/checkpoints
timeout 30 cat "$sb/events" >"$scratch/events" &
watcher=$!
job() {
    mkdir "$sb/jobs/$1"
    cat >"$sb/jobs/$1/cmd"
    echo start >"$sb/jobs/$1/ctl"
}
counted() {
    gondolin exec "$sb" -- cat /tmp/n
}

# One that counts and prints, one in a pipe that is half full, one that waits for input, one that ends before.
job count <<'END'
n=0; while :; do n=$((n+1)); echo $n >/tmp/n.new; mv /tmp/n.new /tmp/n; echo line $n; sleep 0.05; done
END
job pipe <<'END'
(i=0; while [ $i -lt 200 ]; do i=$((i+1)); echo "piece $i"; done) | (sleep 1; read -r first; echo "$first"; wc -l)
END
echo 'read -r answer; echo "got $answer"' >"$scratch/ask"
job ask <"$scratch/ask"
job short <<'END'
echo finished
END
[ "$(cat "$sb/jobs/short/wait")" = 'exit 0' ] || fail 'a short job did not end'
echo before >"$sb/root/srv/file"
eventually 5 test -e "$sb/jobs/count/stdout" || fail 'no job'
sleep 0.5

timeout 30 mkdir "$checkpoints/one" || fail "mkdir: $(cat "$sb/error")"
at=$(counted)
grep -q '^state complete' "$checkpoints/one/status" || fail "status: $(cat "$checkpoints/one/status")"
grep -q '^kind full' "$checkpoints/one/status" || fail "status: $(cat "$checkpoints/one/status")"
pause=$(sed -n 's/^pause_us //p' "$checkpoints/one/status")
[ "$pause" -gt 0 ] || fail "the pause is $pause"
echo 'a description' >"$checkpoints/one/description"
[ "$(cat "$checkpoints/one/description")" = 'a description' ] || fail 'the description does not read as it was written'

# What happens afterwards is undone.
echo after >"$sb/root/srv/file"
job later <<'END'
sleep 1000
END
exec 5<"$sb/jobs/later/wait" 6<"$sb/root/srv/file"
cat <&5 >"$scratch/later" &
later=$!
echo first >"$sb/jobs/ask/stdin"
[ "$(cat "$sb/jobs/ask/stdout")" = 'got first' ] || fail 'the job that asks got no answer'
sleep 1
[ "$(counted)" -gt "$at" ] || fail 'the count does not go on after a checkpoint'
echo 'restore one' >"$sb/ctl" || fail "restore: $(cat "$sb/error")"
[ "$(cat "$sb/root/srv/file")" = before ] || fail "the file is not as it was: $(cat "$sb/root/srv/file")"
back=$(counted)
[ "$back" -lt $((at + 15)) ] || fail "the count was $at at the checkpoint and is $back after the restore"
ends_within 5 $later
[ "$(cat "$scratch/later")" = lost ] || fail "the wait of a later job says: $(cat "$scratch/later")"
code=0
timeout 5 cat <&6 >/dev/null 2>&1 || code=$?
[ "$code" != 0 ] || fail 'a file opened before still reads'
[ "$code" != 124 ] || fail 'reading a file opened before hangs'
exec 5<&- 6<&-

# The jobs are those of before, and go on.
[ "$(sed -n 's/^state //p' "$sb/jobs/count/status")" = running ] || fail 'the counting job does not run'
[ "$(sed -n 's/^state //p' "$sb/jobs/ask/status")" = running ] || fail 'the job that asks does not run again'
echo second >"$sb/jobs/ask/stdin"
[ "$(timeout 5 cat "$sb/jobs/ask/stdout")" = 'got second' ] || fail 'the job that asks does not ask again'
[ "$(timeout 5 cat "$sb/jobs/ask/wait")" = 'exit 0' ] || fail 'it did not end'
timeout 10 cat "$sb/jobs/pipe/wait" >"$scratch/pipe" || fail 'the pipe does not end'
[ "$(tr '\n' ' ' <"$sb/jobs/pipe/stdout" | tr -s ' ')" = 'piece 1 199 ' ] || fail "pipe: $(cat "$sb/jobs/pipe/stdout")"
timeout 1 cat "$sb/jobs/count/stdout" >"$scratch/lines" || true
[ "$(head -n 1 "$scratch/lines")" = 'line 1' ] || fail "the output does not begin at the beginning: $(head -n 2 "$scratch/lines")"
awk '$2 != NR { exit 1 }' "$scratch/lines" || fail 'the output has gaps'
echo 'echo new' >"$sb/run" || fail "a new job: $(cat "$sb/error")"
[ "$(cat "$sb/last/stdout")" = new ] || fail 'a new job says nothing'
[ "$(status_of checkpoint)" = one ] || fail 'status does not name the checkpoint'
[ "$(status_of restores)" = 1 ] || fail 'status does not count the restore'

# Again and again.
i=0
while [ $i -lt 10 ]; do
    echo 'restore one' >"$sb/ctl" || fail "restore $i: $(cat "$sb/error")"
    [ "$(cat "$sb/root/srv/file")" = before ] || fail "restore $i"
    i=$((i + 1))
done

# What is refused.
kill $watcher 2>/dev/null || true
for event in '"event":"checkpoint"' '"event":"restore"'; do
    grep -q "$event" "$scratch/events" || fail "no $event: $(cat "$scratch/events")"
done
refused_mkdir() {
    if mkdir "$checkpoints/$2" 2>"$scratch/said"; then fail "mkdir $2 was taken"; fi
    grep -q "$1" "$scratch/said" || fail "mkdir $2: $(cat "$scratch/said")"
}
refused_mkdir 'File exists' one
refused_mkdir 'Invalid argument' .hidden
refused_mkdir 'Invalid argument' 'a b'
refused_mkdir 'No such file' a/b
refused_mkdir 'Invalid argument' "$(printf '%0300d' 0)"
refused_mkdir 'Invalid argument' "$(printf '%065d' 0)"
if rmdir "$checkpoints/one" 2>/dev/null; then fail 'a checkpoint in use was removed'; fi
grep -q "$sb" "$sb/error" || fail "the error does not name the sandbox: $(cat "$sb/error")"
if (echo 'restore nothing' >"$sb/ctl") 2>/dev/null; then fail 'restored what is not there'; fi
grep -q 'nothing' "$sb/error" || fail "error: $(cat "$sb/error")"
if rm -rf "$checkpoints/one" 2>/dev/null; then fail 'rm -rf removed a checkpoint'; fi

timeout 20 gondolin umount "$sb"
expect_nothing_left
gondolin checkpoint rm one || fail 'a checkpoint that nobody uses cannot be removed'
