#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# More files than gondolin-vfs may have open: the guest is asked to forget those it does not use, and nothing fails.
. "$GONDOLIN_SOURCE/tests/integration/lib.sh"
requires prlimit util-linux

files=6000 limit=2048

in_guest() {
    timeout 120 gondolin exec "$sb" -- sh -c "$1"
}

d=$scratch/d
mkdir "$d" "$d/listed" "$d/four"
(cd "$d/listed" && seq "$files" | xargs touch)
for i in 1 2 3 4; do
    mkdir "$d/four/$i"
    (cd "$d/four/$i" && seq $((files / 4)) | xargs touch)
done
prlimit --pid $$ --nofile="$limit:$limit"
sandbox sb --bind "$d:/d"
worker=$(status_of mounts_pid)

open_files() {
    find "/proc/$worker/fd" -mindepth 1 | wc -l
}

# What is in use stays in use.
in_guest 'echo kept >/d/kept; exec 3</d/kept; mkdir /d/here; cd /d/here; echo ready >../ready
    while [ -e ../ready ]; do sleep 1; done; cat <&3; echo there >relative' >"$scratch/user" &
user=$!
eventually 20 test -s "$d/ready" || fail "the guest does not write"

[ "$(in_guest 'ls -l /d/listed | wc -l')" = $((files + 1)) ] || fail "a listing is not whole"
in_guest 'ls -l /d/listed' >/dev/null 2>"$scratch/err" || fail "listed again: $(head -n 3 "$scratch/err")"
# shellcheck disable=SC2016 # the guest expands
in_guest 'for i in 1 2 3 4; do ls -lR /d/four/$i >/tmp/$i 2>&1 || touch /tmp/failed & done; wait; [ ! -e /tmp/failed ]' ||
    fail "four listings at once fail: $(in_guest 'grep -h ls: /tmp/[1-4] | head -n 3')"
# shellcheck disable=SC2016
in_guest 'mkdir /d/made && cd /d/made && for i in $(seq 3000); do : >$i || exit; done' || fail "making files fails"
[ "$(find "$d/made" -type f | wc -l)" = 3000 ] || fail "not all were made"
[ "$(open_files)" -lt "$limit" ] || fail "gondolin-vfs has $(open_files) files open"
[ "$(status_of mounts_restarts)" = 0 ] || fail "gondolin-vfs died"

rm "$d/ready"
ends_within 20 "$user"
[ "$(cat "$scratch/user" "$d/here/relative" | tr '\n' ' ')" = 'kept there ' ] || fail "what was in use: $(cat "$scratch/user")"
