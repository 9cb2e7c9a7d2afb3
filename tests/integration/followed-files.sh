#!/bin/sh
# console and log are files that grow: cat and grep end, tail -f follows, and what is no longer kept is told of.
# shellcheck disable=SC2016 # what is quoted is for other shells
. "$GONDOLIN_SOURCE/tests/integration/lib.sh"
requires bash bash
requires python3 python3

says() {
    grep -q "$@"
}

sandbox
size=$(stat -c %s "$sb/log")
[ "$size" -gt 0 ] || fail 'log has no size'
[ "$(timeout 5 cat "$sb/log" | wc -c)" = "$size" ] || fail 'cat does not end, or the size is another'
timeout 5 grep -q 'ready after' "$sb/log" || fail 'grep log'
timeout 5 cp "$sb/log" "$sb/console" "$scratch" || fail 'cp'
[ "$(timeout 5 tail -n 1 "$sb/log")" = "$(tail -n 1 "$scratch/log")" ] || fail 'tail -n 1 shows another line'
[ "$(timeout 5 head -n 1 "$sb/log")" = "$(head -n 1 "$scratch/log")" ] || fail 'head -n 1 shows another line'
timeout 5 head -c 100 "$sb/log" | cmp -s - "$scratch/log" && fail 'head -c takes all'
[ "$(timeout 5 bash -c 'while read -r line; do echo "$line"; done <"$1"' - "$sb/log" | wc -l)" = \
    "$(wc -l <"$scratch/log")" ] || fail 'a shell that reads by lines'

tail -f "$sb/console" >"$scratch/followed" 2>"$scratch/tail.log" &
tail=$!
tail -F "$sb/console" >"$scratch/followed-F" 2>>"$scratch/tail.log" &
tail_F=$!
gondolin attach "$sb" >"$scratch/attached" 2>"$scratch/attach.log" &
attach=$!
echo 'echo seen on the console >/dev/console' >"$sb/run"
for file in followed followed-F attached; do
    eventually 10 says 'seen on the console' "$scratch/$file" || fail "$file is not followed"
done

# More than is kept.
echo 'i=0; while [ $i -lt 5000 ]; do echo "line $i of many that the console gets"; i=$((i + 1)); done >/dev/console' >"$sb/run"
eventually 20 says 'line 4999 of' "$scratch/followed" || fail 'tail -f has not kept up'
size=$(stat -c %s "$sb/console")
[ "$size" -gt 150000 ] || fail "the size is no longer that of all: $size"
timeout 5 cat "$sb/console" >"$scratch/whole" || fail 'cat of a long console'
head -n 1 "$scratch/whole" | says '^\[[0-9]* bytes of console missed\]$' || fail "the first line: $(head -n 1 "$scratch/whole")"
[ "$(stat -c %s "$scratch/whole")" -le 65700 ] || fail 'more than is kept'
sed -n 2p "$scratch/whole" | says '^line [0-9]* of many that the console gets' || fail 'it goes on in the middle of a line'
[ "$(timeout 5 tail -n 2 "$sb/console")" = "$(tail -n 2 "$scratch/whole")" ] || fail 'tail -n 2 of a long console'

# poll(2), and typing into the console, which the guest has a reader on.
timeout 20 python3 - "$sb" <<'END' || fail 'see above'
import os, select, sys
sb = sys.argv[1]
fd = os.open(sb + "/console", os.O_RDWR)
while os.read(fd, 65536):
    pass
poll = select.poll()
poll.register(fd, select.POLLPRI)
assert poll.poll(0) == []
os.mkdir(sb + "/jobs/typist")
open(sb + "/jobs/typist/cmd", "w").write("head -n 1 </dev/console; echo typed >/dev/console")
open(sb + "/jobs/typist/ctl", "w").write("start\n")
assert os.write(fd, b"hello there\n") == 12
assert poll.poll(10000) == [(fd, select.POLLPRI)], "what is new is not told"
text = b""
while b"typed" not in text:
    text += os.read(fd, 65536)
    poll.poll(1000)
assert open(sb + "/jobs/typist/stdout").read() == "hello there\n"
END

# The end of the sandbox is the end for those who follow.
kill "$tail" "$tail_F"
gondolin umount --force "$sb" || fail 'umount'
ends_within 5 "$attach"
[ "$code" = 0 ] || fail "attach exits with $code: $(cat "$scratch/attach.log")"
expect_nothing_left
