#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# A program of the guest that waits in inotify(7) hears of what the host does in a bound directory; and what the agent does
# for that changes nothing on the host.
. "$GONDOLIN_SOURCE/tests/integration/lib.sh"

d=$scratch/d
mkdir -p "$d/sub"
echo one >"$d/file"
echo gone >"$d/gone"
sandbox sb --bind "$d:/srv/d:owner=user" --bind "$GONDOLIN_BUILD/tests/tools/inotify-watch:/bin/inotify-watch:ro"
timeout 100 gondolin exec "$sb" -- sh -c 'ls -lR /srv/d >/dev/null; exec inotify-watch /srv/d /srv/d/file /srv/d/sub' \
    >"$scratch/heard" &
watcher=$!
eventually 20 grep -q ready "$scratch/heard" || fail 'the watcher does not start'

# `hears LINE... -- COMMAND...`: these events, and no others; one may come again, as a write and its close make two.
: >"$scratch/wanted"
hears() {
    before=$(wc -l <"$scratch/heard")
    mv "$scratch/wanted" "$scratch/late"
    while [ "$1" != -- ]; do
        echo "$1" >>"$scratch/wanted"
        shift
    done
    shift
    "$@"
    eventually 10 all_heard || fail "$*: heard '$(cat "$scratch/new")', not '$(cat "$scratch/wanted")'"
    ! grep -vxFf "$scratch/wanted" "$scratch/new" | grep -vxFf "$scratch/late" || fail "$*: heard that, too"
}
all_heard() {
    tail -n +$((before + 1)) "$scratch/heard" | sort -u >"$scratch/new"
    [ "$(grep -cxFf "$scratch/wanted" "$scratch/new")" = "$(wc -l <"$scratch/wanted")" ]
}

append() {
    echo more >>"$1"
}
hears '/srv/d MODIFY file' '/srv/d/file MODIFY' -- append "$d/file"
hears '/srv/d ATTRIB file' '/srv/d/file ATTRIB' -- chmod 600 "$d/file"
mode_before=$(stat -c '%a %Y %s' "$d/file")
hears '/srv/d/sub CREATE dir' -- mkdir "$d/sub/dir"
hears '/srv/d/sub CREATE link' -- ln -s nowhere "$d/sub/link"
hears '/srv/d/sub CREATE name with spaces' -- mkfifo "$d/sub/name with spaces"
hears '/srv/d DELETE gone' -- rm "$d/gone"
hears '/srv/d/sub DELETE link' -- rm "$d/sub/link"
[ "$(stat -c '%a %Y %s' "$d/file")" = "$mode_before" ] || fail 'the file on the host has been changed'
[ "$(find "$d" -mindepth 1 -printf '%P\n' | sort | tr '\n' '|')" = 'file|sub|sub/dir|sub/name with spaces|' ] ||
    fail "the host has $(find "$d")"

# What the guest does itself it hears as ever.
hears '/srv/d CREATE own' '/srv/d DELETE own' '/srv/d MODIFY own' -- \
    gondolin exec "$sb" -- sh -c 'echo own >/srv/d/own; rm /srv/d/own'

# In its eyes all is as it is.
[ "$(timeout 20 gondolin exec "$sb" -- sh -c 'cat /srv/d/file; ls /srv/d/sub; [ -e /srv/d/gone ] || echo none')" = "$(
    printf 'one\nmore\ndir\nname with spaces\nnone')" ] || fail 'the guest sees something else'

# A storm of changes stops nobody.
i=0
while [ $i -lt 2000 ]; do
    i=$((i + 1))
    echo $i >"$d/sub/storm-$((i % 300))"
done
timeout 30 gondolin exec "$sb" -- cat /srv/d/sub/storm-200 >"$scratch/read" || fail 'the guest does not answer'
[ "$(cat "$scratch/read")" = 2000 ] || fail "the guest reads $(cat "$scratch/read")"
kill "$watcher"
ends_within 10 "$watcher"
gondolin umount "$sb"
