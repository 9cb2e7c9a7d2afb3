#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# A file of more than 4 GiB and a directory of 100,000 entries in a host directory.
. "$GONDOLIN_SOURCE/tests/integration/lib.sh"

entries=100000

in_guest() {
    timeout 150 gondolin exec "$sb" -- sh -c "$1"
}

d=$scratch/d
mkdir -p "$d/many"
truncate -s 5G "$d/file"
printf 'of the host' | dd of="$d/file" bs=1M seek=4500 conv=notrunc status=none
(cd "$d/many" && seq "$entries" | xargs touch)
sandbox sb --bind "$d:/d"

[ "$(in_guest 'stat -c %s /d/file')" = 5368709120 ] || fail "the size of a file of 5 GiB: $(in_guest 'stat -c %s /d/file')"
[ "$(in_guest 'dd if=/d/file bs=1M skip=4500 count=1 2>/dev/null | head -c 11')" = 'of the host' ] ||
    fail 'what the host has written behind 4 GiB is not read'
in_guest 'printf "of the guest" | dd of=/d/file bs=1M seek=4300 conv=notrunc 2>/dev/null' || fail 'writing behind 4 GiB fails'
[ "$(dd if="$d/file" bs=1M skip=4300 count=1 status=none | head -c 12)" = 'of the guest' ] ||
    fail 'what the guest has written behind 4 GiB is not there'
[ "$(stat -c %b "$d/file")" -lt 100 ] || fail "the file is not sparse any more: $(stat -c %b "$d/file") blocks"
in_guest 'truncate -s 4294967297 /d/file' || fail 'truncate behind 4 GiB fails'
[ "$(stat -c %s "$d/file")" = 4294967297 ] || fail "truncated to $(stat -c %s "$d/file")"

in_guest 'ls /d/many >/tmp/names' || fail 'listing it fails'
[ "$(in_guest 'sort -n /tmp/names | uniq >/tmp/sorted; head -n 1 /tmp/sorted; tail -n 1 /tmp/sorted; wc -l </tmp/sorted' |
    tr '\n' ' ')" = "1 $entries $entries " ] || fail 'names are missing or double'
in_guest 'cd /d/many; rm 1 50000 100000; [ ! -e 50000 ] && [ -e 50001 ]' || fail 'removing some fails'
[ "$(find "$d/many" -type f | wc -l)" = $((entries - 3)) ] || fail 'not just those are gone'
[ "$(status_of mounts_restarts)" = 0 ] || fail "gondolin-vfs died"
