#!/bin/sh
# gondolin doctor: verdicts, exit codes, both forms of output.
. "$GONDOLIN_SOURCE/tests/integration/lib.sh"

GONDOLIN_STORE=$scratch/store
export GONDOLIN_STORE

timeout 20 gondolin doctor >"$scratch/text" || fail "this machine is not usable: $(cat "$scratch/text")"
for check in qemu qemu-img fusermount3 libguestfs mmdebstrap busybox runtime-directory store kvm tsc fuse landlock seccomp \
    open-files memory; do
    grep -Eq "^(ok|warn|fail)  +$check  " "$scratch/text" || fail "nothing about $check"
done

timeout 20 gondolin doctor --json >"$scratch/json" || fail 'with --json it exits differently'
grep -q '"usable":true' "$scratch/json" || fail 'JSON does not say usable'
[ "$(grep -c '"verdict":' "$scratch/json")" = "$(grep -Ec '^(ok|warn|fail) ' "$scratch/text")" ] ||
    fail 'JSON has another number of checks'

# Something that is required is missing: exit 1, the reason and the package. Nothing is on this PATH.
code=0
PATH=$scratch "$GONDOLIN_BUILD/gondolin" doctor >"$scratch/text" || code=$?
[ "$code" = 1 ] || fail "without qemu it exits with $code"
grep -q '^fail  qemu  .*was not found' "$scratch/text" || fail 'the missing qemu is not named'
grep -q 'fix: sudo apt-get install qemu-system-' "$scratch/text" || fail 'the package is not named'

code=0
GONDOLIN_STORE=/proc/none gondolin doctor --json >"$scratch/json" || code=$?
[ "$code" = 1 ] || fail "with a store that cannot be made it exits with $code"
grep -q '"usable":false' "$scratch/json" || fail 'JSON says usable'

GONDOLIN_ACCEL=tcg gondolin doctor | grep -q 'GONDOLIN_ACCEL=tcg is set' || fail 'GONDOLIN_ACCEL is not honoured'

for arguments in --jsno extra '--json=1'; do
    code=0
    gondolin doctor "$arguments" >/dev/null 2>"$scratch/text" || code=$?
    [ "$code" = 125 ] || fail "doctor $arguments exits with $code"
    [ "$(wc -l <"$scratch/text")" = 1 ] || fail "doctor $arguments does not explain itself in one line"
done
code=0
gondolin doctor >/dev/full 2>"$scratch/text" || code=$?
[ "$code" = 125 ] || fail "with a full standard output it exits with $code"

expect_nothing_left
