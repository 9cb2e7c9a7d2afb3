#!/bin/sh
# gondolin exec and run: streams, exit codes, signals, settings.
# shellcheck disable=SC2016 # what is quoted is for other shells
. "$GONDOLIN_SOURCE/tests/integration/lib.sh"

# exits CODE COMMAND...: in the sandbox, with what it prints in $scratch/out and $scratch/err.
exits() {
    expected=$1
    shift
    code=0
    timeout 30 gondolin exec "$@" >"$scratch/out" 2>"$scratch/err" </dev/null || code=$?
    [ "$code" = "$expected" ] || fail "exec $*: exits with $code instead of $expected: $(cat "$scratch/err")"
}

says() {
    grep -qF -e "$1" "$scratch/$2" || fail "$2 is \"$(cat "$scratch/$2")\", not \"$1\""
}

sandbox

exits 0 -- true
exits 1 -- false
exits 42 sb -- sh -c 'exit 42'
exits 137 "$sb" -- sh -c 'kill -9 $$'
exits 127 -- no-such-program
says no-such-program err
exits 126 -- /etc/passwd
exits 125 --env NO_SUCH_VARIABLE -- true
exits 124 --timeout 200 -- sleep 20
exits 126 --user no-such-user -- true
exits 125 --workdir etc -- true
says '"etc" is not the absolute path of a directory' err

exits 7 -- sh -c 'echo to stdout; echo to stderr >&2; exit 7'
[ "$(cat "$scratch/out") / $(cat "$scratch/err")" = 'to stdout / to stderr' ] || fail 'stdout and stderr are mixed'

HOST_VALUE='from here' exits 0 -e A=1 --env "B=two  words'\"" -e HOST_VALUE -w /etc -u nobody -- \
    sh -c 'echo "$A|$B|$HOST_VALUE|$PWD|$(id -un)"'
says "1|two  words'\"|from here|/etc|nobody" out
exits 0 -- printf '%s,' 'a b' '' '*' '$HOME' "it's" '
'
[ "$(cat "$scratch/out")" = "a b,,*,\$HOME,it's,
," ] || fail "arguments arrive as $(cat "$scratch/out")"

# As many arguments as xargs gives by default, and then some; beyond the limit there is a sentence.
count=$(seq -f '%020.0f' 100000 | xargs gondolin exec -- sh -c 'echo $#' sh | awk '{ n += $1 } END { print n }')
[ "$count" = 100000 ] || fail "of the arguments of xargs $count arrived"
[ "$(seq -f '%020.0f' 6000 | xargs "$sb/bin/echo" | wc -w)" = 6000 ] || fail 'bin/ takes fewer arguments'
seq -f '%020.0f' 12000 >"$scratch/words"
[ "$(xargs -s 262000 gondolin exec -- echo <"$scratch/words" | wc -w)" = 12000 ] || fail 'many arguments'
seq -f '%020.0f' 14000 >"$scratch/words"
# shellcheck disable=SC2046 # many words
exits 125 -- echo $(cat "$scratch/words")
says 'bytes in one write; at most 262144 are taken' err

# Any bytes, any amount, both ways; the end of input is seen.
head -c 3000000 /dev/urandom >"$scratch/random"
timeout 60 gondolin exec -- cat <"$scratch/random" >"$scratch/back"
cmp "$scratch/back" "$scratch/random" || fail 'bytes were lost'
timeout 60 gondolin exec -- sha256sum <"$scratch/random" >"$scratch/out"
says "$(sha256sum <"$scratch/random")" out

# Closed and odd descriptors.
[ "$(timeout 10 gondolin exec -- cat <&-)" = '' ] || fail 'closed standard input'
timeout 10 gondolin exec -- echo gone >&- || fail 'closed standard output'
code=0
timeout 10 gondolin exec -- echo full >/dev/full 2>"$scratch/err" || code=$?
[ "$code" = 125 ] || fail "a full standard output gives $code"
says 'standard output: No space left on device' err
[ "$(printf 'a\nb\n' | { timeout 10 gondolin exec --no-stdin -- cat; cat; })" = 'a
b' ] || fail '--no-stdin takes input'
code=$( { { timeout 10 gondolin exec -- yes || echo $? >&3; } | head -n 1 >/dev/null; } 3>&1)
[ "$code" = 141 ] || fail "a reader that went away: $code"

# A process left behind with its output open does not hold up the caller, and what was printed before arrives whole,
# however slowly it is read.
start=$(date +%s)
count=$(timeout 30 gondolin exec -- sh -c 'sleep 60 & head -c 200000 /dev/zero' | { sleep 1; wc -c; })
[ $(($(date +%s) - start)) -lt 20 ] || fail 'exec waited for a background process'
[ "$count" = 200000 ] || fail "output was cut to $count bytes"

# Signals reach the command; exec reports its end. (env: a shell's background jobs ignore INT and QUIT.)
for signal in HUP:1 INT:2 QUIT:3 TERM:15; do
    code=0
    timeout --foreground --preserve-status --signal "${signal%:*}" 1 \
        env --default-signal gondolin exec -- sleep 60 >/dev/null 2>&1 || code=$?
    [ "$code" = $((128 + ${signal#*:})) ] || fail "SIG$signal gives $code"
done
gondolin exec -- sh -c 'trap "echo caught; exit 5" TERM; echo ready; while :; do sleep 0.1; done' >"$scratch/out" 2>&1 &
pid=$!
eventually 10 grep -q ready "$scratch/out" || fail 'the job is not ready'
kill -TERM "$pid"
code=0
wait "$pid" || code=$?
[ "$code" = 5 ] || fail "a trapped signal gives $code"
says caught out

# A killed exec takes its job with it.
gondolin exec -- sleep 4711 &
pid=$!
eventually 10 sh -c "echo 'pidof sleep' >'$sb/run'" || fail 'the job did not start'
kill -KILL "$pid"
wait "$pid" 2>/dev/null || true
eventually 10 sh -c "! echo 'pgrep -f 4711 >/dev/null' >'$sb/run'" 2>/dev/null || fail 'the job of a killed exec goes on'

timeout 20 gondolin umount
[ -z "$(gondolin list)" ] || fail 'still listed'

# One shot.
code=0
printf 'input' | timeout 120 gondolin run --image busybox --memory 256M -- \
    sh -c 'cat; echo err >&2; exit 9' >"$scratch/out" 2>"$scratch/err" || code=$?
[ "$code" = 9 ] || fail "run exits with $code: $(cat "$scratch/err")"
says input out
says err err
expect_nothing_left

# Killed at once and in the middle, it leaves nothing.
for delay in 0.5 3; do
    for signal in INT KILL; do
        env --default-signal gondolin run --image busybox -- sleep 60 >/dev/null 2>&1 &
        pid=$!
        sleep "$delay"
        kill "-$signal" "$pid"
        wait "$pid" 2>/dev/null || true
        expect_nothing_left
    done
done
