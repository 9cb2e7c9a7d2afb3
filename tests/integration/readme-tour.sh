#!/bin/sh
# The tour of README.md works as it is when pasted into plain sh.
. "$GONDOLIN_SOURCE/tests/integration/lib.sh"

HOME=$scratch
export HOME
sed -n '/^<!-- tour -->/,/^```$/p' "$GONDOLIN_SOURCE/README.md" | sed '/^<!--/d; /^```/d' >"$scratch/tour"
[ -s "$scratch/tour" ] || fail 'README.md has no tour'

# The tour uses the default image; here that is the small one.
gondolin image tag busybox default
timeout 100 sh <"$scratch/tour" >"$scratch/out" 2>"$scratch/tour.log" || fail "the tour failed: $(cat "$scratch/out")"
for expected in '6 times 7 is 42' 'run: "exit 3": exited with 3' 'signal 15' 'Linux 6' 'state running'; do
    grep -qF "$expected" "$scratch/out" || fail "the tour did not print \"$expected\": $(cat "$scratch/out")"
done
expect_nothing_left
