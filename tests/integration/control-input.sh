#!/bin/sh
# Control files fed with what nobody should write: refused whole with a sentence, and the sandbox goes on as before.
. "$GONDOLIN_SOURCE/tests/integration/lib.sh"

sandbox
mkdir "$sb/jobs/j"
head -c 67108864 /dev/zero >"$scratch/huge"
head -c 3000 /dev/urandom >"$scratch/binary"

# refuses FILE PATTERN INPUT: writing the file INPUT fails, and error says so.
refuses() {
    if timeout 20 sh -c "dd bs=1M if='$3' >'$sb/$1'" 2>/dev/null; then fail "$1 takes $3"; fi
    grep -q "$2" "$sb/error" || fail "$1 with $3: error says '$(cat "$sb/error")', not '$2'"
}

for file in ctl run jobs/j/ctl jobs/j/cmd jobs/j/env jobs/j/tty jobs/j/timeout_ms; do
    refuses "$file" 'bytes in one write; at most' "$scratch/huge"
done
# Only root gets as far as the sandbox: the kernel has the mode to refuse others by.
for file in README error status events log jobs/j/status jobs/j/wait jobs/j/stdout; do
    if [ "$(id -u)" = 0 ]; then
        refuses "$file" 'can only be read' "$scratch/binary"
    else
        sh -c "cat '$scratch/binary' >'$sb/$file'" 2>&1 | grep -q 'Permission denied' || fail "$file takes $scratch/binary"
    fi
done
for file in ctl run jobs/j/ctl jobs/j/argv jobs/j/timeout_ms; do
    refuses "$file" . "$scratch/binary"
done
LC_ALL=C grep -q '[^ -~]' "$sb/error" && fail "error repeats bytes that a terminal may obey: $(cat "$sb/error")"
printf 'kill\0' >"$scratch/nul"
for file in ctl run jobs/j/ctl jobs/j/cmd jobs/j/argv jobs/j/env jobs/j/cwd; do
    refuses "$file" 'NUL' "$scratch/nul"
done
printf 'pau' >"$scratch/partial"
refuses ctl 'did you mean' "$scratch/partial"
printf 'start\nkill FOO\n' >"$scratch/half"
refuses jobs/j/ctl 'no such signal' "$scratch/half"
[ "$(sed -n 1p "$sb/jobs/j/status")" = 'state new' ] || fail 'half of a refused write was done'

# Empty writes are none.
for file in ctl run console jobs/j/ctl jobs/j/cmd; do
    : >"$sb/$file" || fail "$file refuses to be truncated"
    cat /dev/null >"$sb/$file" || fail "$file refuses an empty write"
done

# Names.
long=$(printf '%0256d' 0)
for name in .. . a/b -x .x 12 'a b' "$long" "x$long" "$(printf '\377\376')" "$(printf 'a\nb')"; do
    if mkdir -- "$sb/jobs/$name" 2>/dev/null; then fail "a job can be named '$name'"; fi
done
[ "$(ls "$sb/jobs")" = 'clone
j' ] || fail "jobs has: $(ls "$sb/jobs")"

# 10,000 rapid writes, good and bad, from several programs at once.
python3 - "$sb" <<'END' || fail 'rapid writes'
import os, sys, threading
sb = sys.argv[1]
def hammer(number):
    refused = 0
    for i in range(2500):
        fd = os.open(sb + "/jobs/j/" + ("ctl" if i % 2 else "env"), os.O_WRONLY)
        try:
            os.write(fd, b"frobnicate\n" if i % 2 else b"N%d=%d\n" % (number, i))
        except OSError:
            refused += 1
        os.close(fd)
    assert refused == 1250, refused
threads = [threading.Thread(target=hammer, args=[n]) for n in range(4)]
[t.start() for t in threads]
[t.join() for t in threads]
END
grep -Eq '^N[0-3]=2498$' "$sb/jobs/j/env" || fail "the last write did not win: $(cat "$sb/jobs/j/env")"

echo 'echo fine' >"$sb/run"
[ "$(cat "$sb/last/stdout")" = fine ] || fail 'the sandbox does not work any more'
