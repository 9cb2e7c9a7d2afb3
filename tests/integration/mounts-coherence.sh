#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The guest keeps what it knows of host directories, and learns what the host changes: nothing it reads is old, and what
# has not changed is not asked for again. Both sides edit, at random too, and read what the other wrote.
. "$GONDOLIN_SOURCE/tests/integration/lib.sh"

in_guest() {
    timeout 60 gondolin exec "$sb" -- sh -c "$1"
}

requests() {
    sed -n 's/^requests //p' "$sb/mounts/srv:d/counters"
}

d=$scratch/d
mkdir "$d" "$d/many"
for i in $(seq 200); do echo "$i" >"$d/many/$i"; done
sandbox sb --bind "$d:/srv/d"

in_guest 'ls -l /srv/d/many >/dev/null; cat /srv/d/many/* >/dev/null'
before=$(requests)
# shellcheck disable=SC2016 # the guest expands
in_guest 'for i in 1 2 3 4 5; do for f in $(seq 200); do [ -s /srv/d/many/$f ]; done; done'
after=$(requests)
[ $((after - before)) -lt 400 ] || fail "1000 files were looked at with $((after - before)) requests"

for i in $(seq 25); do
    echo "host $i" >"$d/new.$i"
    echo "host $i" >"$d/replaced.t" && mv "$d/replaced.t" "$d/replaced"
    echo "host $i" >"$d/written"
    printf '%s' "$i" >>"$d/grown"
    [ "$i" = 1 ] || rm "$d/new.$((i - 1))"
    in_guest "cd /srv/d && cat new.$i replaced written && [ ! -e new.$((i - 1)) ] && wc -c <grown && ls new.*
        echo guest $i >from-guest && mv written taken && mkdir dir.$i && [ ! -e later.$i ]" >"$scratch/got" ||
        fail "round $i in the guest: $(cat "$scratch/got")"
    printf 'host %s\nhost %s\nhost %s\n%s\nnew.%s\n' "$i" "$i" "$i" "$(wc -c <"$d/grown")" "$i" |
        diff - "$scratch/got" || fail "round $i: the guest reads something old"
    { [ "$(cat "$d/from-guest")" = "guest $i" ] && [ "$(cat "$d/taken")" = "host $i" ] && [ -d "$d/dir.$i" ]; } ||
        fail "round $i: the host reads something old"
    echo yes >"$d/later.$i"
    [ "$(in_guest "cat /srv/d/later.$i")" = yes ] || fail "round $i: what was not there stays away"
done

# At random, compared with a model; GONDOLIN_EDIT_SECONDS=60 or more for a longer run.
if command -v python3 >/dev/null; then
    mkdir "$d/random"
    timeout $((${GONDOLIN_EDIT_SECONDS:-20} + 30)) python3 "$GONDOLIN_SOURCE/tests/tools/two-sided.py" "$d/random" /srv/d/random \
        "${GONDOLIN_EDIT_SECONDS:-20}" "$$" gondolin exec "$sb" -- sh || fail "edits from both sides"
else
    echo "$name: random edits need python3"
fi
