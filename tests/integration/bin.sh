#!/bin/sh
# Programs of the guest run from the host by the files in bin/: arguments, streams, exit codes, directories, signals; and a
# guest that is stuck does not block a listing.
# shellcheck disable=SC2016,SC2010,SC2012,SC2015,SC2094 # what is quoted is for the guest's shell; ls is what is tested
. "$GONDOLIN_SOURCE/tests/integration/lib.sh"

sandbox
bin=$sb/bin
[ -x "$bin/cat" ] || fail 'bin/cat is not there'
[ "$(ls "$bin" | wc -l)" -gt 100 ] || fail "few programs: $(ls "$bin")"
[ "$("$bin/uname" -s)" = Linux ] || fail 'bin/uname'
[ "$("$bin/printf" '<%s>' 'a  b' '' "c'd")" = "<a  b><><c'd>" ] || fail 'arguments do not arrive as they are'
[ "$(echo through | "$bin/cat")" = through ] || fail 'standard input'
"$bin/sh" -c 'echo to stderr >&2' >"$scratch/out" 2>"$scratch/err"
[ ! -s "$scratch/out" ] && [ "$(cat "$scratch/err")" = 'to stderr' ] || fail 'standard error'
head -c 3000000 /dev/urandom >"$scratch/data"
"$bin/cat" <"$scratch/data" | cmp -s - "$scratch/data" || fail '3 MB through a pipe are not the same'
code=0
"$bin/sh" -c 'exit 7' || code=$?
[ "$code" = 7 ] || fail "exit code $code"
code=0
"$bin/sh" -c 'kill -9 $$' || code=$?
[ "$code" = 137 ] || fail "exit code of a killed one: $code"

# Found by PATH, by a relative path, by a link; started where the host is.
[ "$(cd "$sb/root/etc" && ../../bin/pwd)" = /etc ] || fail 'the directory below root/'
[ "$(cd "$sb/root" && "$bin/pwd")" = / ] || fail 'the directory root/'
"$bin/mkdir" -p '/srv/a b'
[ "$(cd "$sb/root/srv/a b" && PATH=$bin:$PATH env pwd)" = '/srv/a b' ] || fail 'by PATH'
ln -s "$bin/uname" "$scratch/guest-uname"
[ "$("$scratch/guest-uname" -n)" = sb ] || fail 'by a link'
(cd / && "$bin/true") || fail 'from elsewhere'

# Changes of the guest are seen.
code=0
(timeout 10 "$bin/greet" 2>/dev/null) || code=$?
[ "$code" = 126 ] || [ "$code" = 127 ] || fail "a program that is not there: $code"
printf '#!/bin/sh\necho hello "$1"\n' >"$sb/root/usr/bin/greet"
chmod 755 "$sb/root/usr/bin/greet"
[ "$("$bin/greet" you)" = 'hello you' ] || fail 'a new program'
ls "$bin" | grep -qx greet || fail 'a new program is not listed'
rm "$sb/root/usr/bin/greet"
if ls "$bin" | grep -qx greet; then fail 'a removed program is listed'; fi
if [ -e "$bin/greet" ]; then fail 'a removed program is there'; fi

# Nothing can be changed; root/ is not executable because bin/ is.
if (echo x >"$bin/cat") 2>/dev/null; then fail 'bin/cat can be written'; fi
if rm "$bin/cat" 2>/dev/null; then fail 'bin/cat can be removed'; fi
code=0
"$sb/root/bin/busybox" true 2>/dev/null || code=$?
[ "$code" = 126 ] || fail "a program below root/ runs: $code"

# Ctrl-C reaches the guest's program.
"$bin/sh" -c 'trap "echo interrupted; exit 3" TERM; echo ready; while :; do sleep 0.1; done' >"$scratch/out" &
pid=$!
eventually 5 grep -q ready "$scratch/out" || fail 'it does not start'
kill -TERM $pid
ends_within 5 $pid
[ "$code" = 3 ] && grep -q interrupted "$scratch/out" || fail "on SIGTERM it exits with $code"

# A guest that is stuck.
kill -STOP "$(status_of vm_pid)"
timeout 4 ls "$bin" >"$scratch/out" || fail 'a listing waits for a stuck guest'
grep -qx cat "$scratch/out" || fail 'what was known is not listed'
timeout 1 ls "$bin" >/dev/null || fail 'every listing waits'
if timeout 1 ls "$bin/no-such" 2>/dev/null; then fail 'it is there'; fi
kill -CONT "$(status_of vm_pid)"
[ "$("$bin/echo" again)" = again ] || fail 'after that'
eventually 5 test -x "$bin/cat"
timeout 20 gondolin umount "$sb" || fail 'umount'
expect_nothing_left
