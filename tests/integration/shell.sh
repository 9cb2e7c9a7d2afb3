#!/bin/sh
# gondolin shell and exec -t on a pseudo-terminal: keys, window size, Ctrl-], and the terminal as it was afterwards.
# shellcheck disable=SC2016 # what is quoted is for other shells
. "$GONDOLIN_SOURCE/tests/integration/lib.sh"
requires python3 python3

on_pty() {
    timeout 60 python3 "$GONDOLIN_SOURCE/tests/tools/on-pty.py" "$@" >"$scratch/pty.log" 2>&1 ||
        fail "$(cat -v "$scratch/pty.log")"
}

sandbox

on_pty size=30x100 expect='# ' mode=raw 'send=stty size; echo "on $(tty)"\r' 'expect=30 100' 'expect=on /dev/pts/' \
    size=41x121 signal=WINCH 'send=stty size\r' 'expect=41 121' \
    'send=sh -c "echo sle\"\"eping; exec sleep 60"\r' 'expect=sleeping' 'send=\x03' 'expect=# ' 'send=echo "code $?"\r' 'expect=code 130' \
    'send=exit 7\r' exit=7 -- gondolin shell

# Ctrl-] comes back and ends the job; a signal does too; the terminal is as before.
on_pty 'expect=# ' mode=raw 'send=\x1d' 'expect=[detached' mode=cooked exit=0 -- gondolin shell sb
on_pty 'expect=# ' signal=HUP exit=129 -- gondolin shell sb
on_pty 'expect=# ' mode=raw 'send=exec sh -c "echo sle\"\"eping; exec sleep 60"\r' 'expect=sleeping' \
    signal=TERM 'expect=back 143' mode=cooked exit=0 -- \
    sh -c 'exec 3<&0; gondolin shell sb <&3 & trap "kill $!" TERM; wait $!; wait $!; echo "back $?"; sleep 0.2'

on_pty 'expect=on /dev/pts' 'send=some words\r' 'expect=got some words' exit=3 -- \
    gondolin exec -t -- sh -c 'echo "on $(tty)"; read -r line; echo "got $line"; exit 3'
# Without -t a terminal here does not make one there, and stays in its mode.
on_pty 'expect=not a tty' mode=cooked 'send=word\r' 'expect=got word' exit=0 -- \
    gondolin exec -- sh -c 'tty; read -r line; echo "got $line"'
on_pty 'expect=ready' 'send=\x03' exit=130 -- gondolin exec -- sh -c 'echo ready; exec sleep 60'

# The sandbox dies under a shell: it ends, and gives the terminal back.
on_pty 'expect=# ' mode=raw exit=125 -- sh -c 'gondolin shell sb; code=$?; stty -a | grep -q " icanon" && exit $code' &
pid=$!
eventually 10 grep -q '# ' "$scratch/pty.log" || fail 'no prompt'
echo kill >"$sb/ctl"
wait "$pid" || fail 'the shell in a sandbox that was killed'

# Input from a pipe.
sandbox again
printf 'echo it is $((40 + 2)); exit 4\n' | { timeout 20 gondolin shell again || echo "code $?"; } >"$scratch/out"
grep -q 'it is 42' "$scratch/out" || fail "piped: $(cat -v "$scratch/out")"
grep -q 'code 4' "$scratch/out" || fail "piped: $(cat -v "$scratch/out")"
# Its end, at once and at a prompt, ends the shell.
timeout 20 gondolin shell again </dev/null >"$scratch/out" || fail "the end of input at once: exit code $?"
timeout 20 sh -c 'echo "echo it is \$((40 + 3))" | gondolin shell again' >"$scratch/out" || fail "the end after a line: exit code $?"
grep -q 'it is 43' "$scratch/out" || fail "before the end: $(cat -v "$scratch/out")"
timeout 20 sh -c '{ sleep 2; echo "echo it is \$((40 + 4))"; sleep 1; } | gondolin shell again' >"$scratch/out" ||
    fail "the end at a prompt: exit code $?"
grep -q 'it is 44' "$scratch/out" || fail "before the end: $(cat -v "$scratch/out")"
