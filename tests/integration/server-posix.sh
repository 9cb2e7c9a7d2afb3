#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# A directory of this machine served by fs/server straight on its own /dev/fuse (tests/tools/serve-dir), without a VM:
# POSIX behaviour as root and as an ordinary user, and of memory instead, git, a compiler, random file operations.
. "$GONDOLIN_SOURCE/tests/integration/lib.sh"

[ -c /dev/fuse ] || skip "needs /dev/fuse"
requires fusermount3 fuse3
requires setfattr attr
requires git git

# check USER [ownership]: serves a new directory as that user (a command to run things as him, or nothing) and runs the
# battery on it.
check() {
    as=$1 dir=$scratch/$((count += 1))
    $as mkdir "$dir" "$dir/below" "$dir/mnt"
    # shellcheck disable=SC2086 # $as is several words
    $as "$tools/serve-dir" "$dir/below" "$dir/mnt" >"$scratch/ready.$count" 2>"$scratch/serve.log" &
    server=$!
    eventually 10 grep -q ready "$scratch/ready.$count" || fail "serve-dir did not mount"
    $as sh "$GONDOLIN_SOURCE/tests/integration/posix-battery.sh" "$dir/below" "$dir/mnt" "$tools" "${2-}" ||
        failed="the battery on $dir failed (as: ${as:-this user})"
    kill "$server"
    wait "$server" || fail "serve-dir ended with $?"
    [ ! -s "$scratch/serve.log" ] || fail "serve-dir complained"
    [ -z "${failed-}" ] || fail "$failed"
}

# where another user gets at them, too
tools=$scratch/tools count=0
mkdir "$tools"
cp "$GONDOLIN_BUILD/tests/tools/serve-dir" "$GONDOLIN_BUILD/tests/tools/fsx" "$tools"
chmod 1777 "$scratch"

# Memory instead of a directory.
mkdir "$scratch/mnt"
"$tools/serve-dir" memory: "$scratch/mnt" >"$scratch/ready.memory" 2>"$scratch/serve.log" &
server=$!
eventually 10 grep -q ready "$scratch/ready.memory" || fail "serve-dir did not mount memory"
sh "$GONDOLIN_SOURCE/tests/integration/posix-battery.sh" "$scratch/mnt" "$scratch/mnt" "$tools" ||
    failed="the battery in memory failed"
full=$(stat -f -c %f "$scratch/mnt")
cat /dev/zero >"$scratch/mnt/zero" 2>"$scratch/said" && failed="memory has no end"
grep -q 'No space' "$scratch/said" || failed="memory that is full: $(cat "$scratch/said")"
rm "$scratch/mnt/zero"
[ "$(stat -f -c %f "$scratch/mnt")" = "$full" ] || failed="memory is not given back"
kill "$server"
wait "$server" || fail "serve-dir ended with $?"
[ -z "${failed-}" ] || fail "$failed"

if [ "$(id -u)" = 0 ]; then
    check "" ownership
    check "setpriv --reuid 65534 --regid 65534 --clear-groups"
else
    check ""
fi
