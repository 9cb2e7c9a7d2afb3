#!/bin/sh
# What jobs read and print: every byte arrives, in order, at the reader's pace, and nothing piles up on the way.
# shellcheck disable=SC2016 # what is in quotes is for the guest
. "$GONDOLIN_SOURCE/tests/integration/lib.sh"
requires python3 python3

sandbox
rss() {
    sed -n 's/^VmRSS:[^0-9]*\([0-9]*\) kB/\1/p' "/proc/$(status_of supervisor_pid)/status"
}
start() {
    mkdir "$sb/jobs/$1"
    echo "$2" >"$sb/jobs/$1/cmd"
    echo start >"$sb/jobs/$1/ctl"
}
before=$(rss)

# A job that prints for ever stops when nobody reads it, and goes on where it was.
start endless 'i=0; while :; do echo $i; i=$((i + 1)); done'
printed() {
    sed -n 's/^stdout_bytes //p' "$sb/jobs/endless/status"
}
eventually 60 sh -c "grep -q '^stdout_bytes 262144' '$sb/jobs/endless/status'" || fail "it printed $(printed) bytes"
python3 - "$sb/jobs/endless/stdout" <<'END' || fail 'bytes of an endless job were lost'
import os, sys
expected, rest, total = 0, b"", 0
for size in (1, 7, 4096, 100000) * 3:
    fd = os.open(sys.argv[1], os.O_RDONLY)  # one reader after another
    count = 0
    while count < 60 or size == 100000 and total < 300000:  # more than what piled up at first
        count += 1
        piece = os.read(fd, size)
        assert piece, total
        total += len(piece)
        *lines, rest = (rest + piece).split(b"\n")
        for line in lines:
            assert int(line) == expected, (line, expected)
            expected += 1
    os.close(fd)
END
rmdir "$sb/jobs/endless"

# Through a job and back: 16 MiB, with a reader that is slow at first.
head -c 16777216 /dev/urandom >"$scratch/data"
start cat 'exec cat'
cat "$scratch/data" >"$sb/jobs/cat/stdin" &
writer=$!
sleep 0.5
[ "$(md5sum <"$sb/jobs/cat/stdout")" = "$(md5sum <"$scratch/data")" ] || fail 'what came back is not what went in'
wait "$writer"
[ "$(cat "$sb/jobs/cat/wait")" = 'exit 0' ] || fail "cat ended with: $(cat "$sb/jobs/cat/wait")"

# The same by the kept output of run, in memory and beyond.
echo 'seq 1 200000' >"$sb/run"
[ "$(md5sum <"$sb/last/stdout")" = "$(seq 1 200000 | md5sum)" ] || fail 'output of run was lost'

# Input that is not read yet waits; input that nobody will read is an error.
start late 'sleep 1; wc -c'
head -c 1000000 /dev/zero >"$sb/jobs/late/stdin"
[ "$(cat "$sb/jobs/late/stdout")" = 1000000 ] || fail 'input that had to wait was lost'
start deaf 'sleep 0.2'
if timeout 20 sh -c "cat /dev/zero >'$sb/jobs/deaf/stdin'" 2>/dev/null; then fail 'a job that has ended takes input'; fi

# A shell reads its output line by line, which is byte by byte.
start lines 'echo one; echo two; echo three >&2'
n=0
while read -r line; do n=$((n + 1)) last=$line; done <"$sb/jobs/lines/stdout"
[ "$n $last" = '2 two' ] || fail "a shell reads $n lines, the last: $last"
[ "$(cat "$sb/jobs/lines/stderr")" = three ] || fail 'stderr'

# A terminal.
mkdir "$sb/jobs/tty"
echo 'stty size; read word; echo "got $word"' >"$sb/jobs/tty/cmd"
echo 1 >"$sb/jobs/tty/tty"
printf 'winsize 33 99\nstart\n' >"$sb/jobs/tty/ctl"
echo hello >"$sb/jobs/tty/stdin"
tr -d '\r' <"$sb/jobs/tty/stdout" >"$scratch/tty"
[ "$(grep -cxe '33 99' -e 'got hello' "$scratch/tty")" = 2 ] || fail "the terminal says: $(cat "$scratch/tty")"

after=$(rss)
ldd "$GONDOLIN_BUILD/gondolin" | grep -q libasan || [ "$after" -lt $((before + 4000)) ] ||
    fail "the supervisor has grown from $before to $after KiB"
