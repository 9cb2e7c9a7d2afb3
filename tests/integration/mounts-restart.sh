#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Mounts that come and go while the guest runs, and the death of the process that serves them: at once an errno for what
# was open, no moment in which the guest sees its own directory instead, and the mounts come back.
. "$GONDOLIN_SOURCE/tests/integration/lib.sh"

in_guest() {
    timeout 60 gondolin exec "$sb" -- sh -c "$1"
}

verb() {
    # shellcheck disable=SC2016 # the inner shell expands
    timeout 20 sh -c 'echo "$1" >"$2/ctl"' - "$1" "$sb" 2>/dev/null
}

verb_refused() {
    verb "$2" && fail "'$2' was taken"
    grep -q "$1" "$sb/error" || fail "'$2' does not say '$1' but: $(cat "$sb/error")"
}

restarted() {
    [ "$(status_of mounts_restarts)" = 1 ]
}

mkdir "$scratch/one" "$scratch/two"
echo one >"$scratch/one/file"
echo two >"$scratch/two/file"

sandbox
{ [ "$(status_of mounts)" = 0 ] && [ -z "$(status_of mounts_pid)" ]; } || fail "a worker without mounts"
verb "bind $scratch/one:/srv/one" || fail "bind: $(cat "$sb/error")"
[ "$(in_guest 'cat /srv/one/file')" = one ] || fail "the bound directory is not there"

mkfifo "$scratch/go"
in_guest 'exec 5<>/srv/one/file; echo ready; read go; (echo more >&5) || echo failed
    until cat /srv/one/file; do [ ! -e /srv/one/file ] && [ -d /srv/one ] && ls /srv/one && echo bare; done' \
    <"$scratch/go" >"$scratch/out" 2>/dev/null &
reader=$!
exec 4>"$scratch/go"
eventually 10 grep -q ready "$scratch/out" || fail "the reader did not start"
kill -9 "$(status_of mounts_pid)"
eventually 5 restarted || fail "it was not started again"
echo go >&4
exec 4>&-
ends_within 20 "$reader"
[ "$(tr '\n' ' ' <"$scratch/out")" = 'ready failed one ' ] || fail "around the death: $(cat "$scratch/out")"
timeout 1 cat "$sb/log" | grep -q 'killed by signal 9' || fail "the death is not in the log"

verb "bind $scratch/two:/srv/two:ro" || fail "bind: $(cat "$sb/error")"
verb_refused 'mounted there already' "bind $scratch/two:/srv/two"
verb_refused 'would be hidden' "bind $scratch/two:/srv"
verb_refused 'has to be absolute' 'bind two:/srv/three'
verb_refused 'No such file' "bind $scratch/none:/srv/three"
verb_refused 'nothing of the host' 'unbind /srv/three'
ln -s "$sb/root" "$scratch/in"
for inside in "$sb/root/srv" "$sb" "$scratch/in/srv" "$scratch/one/../in/srv"; do
    verb_refused 'in this sandbox itself' "bind $inside:/srv/three"
done
verb "bind $scratch/two:/etc/passwd/x" && fail "a mount below a file"
[ "$(cat "$sb/error")" = 'bind: /etc/passwd/x: Not a directory' ] || fail "below a file: $(cat "$sb/error")"
[ "$(status_of mounts)" = 2 ] || fail "a mount that failed is still there"

in_guest 'cd /srv/two; echo ready; read go' <"$scratch/go" >"$scratch/out" &
reader=$!
exec 4>"$scratch/go"
eventually 10 grep -q ready "$scratch/out" || fail "the one in the directory did not start"
verb_refused 'busy' 'unbind /srv/two'
exec 4>&-
ends_within 20 "$reader"
verb 'unbind //srv/two/' || fail "unbind: $(cat "$sb/error")"
[ -z "$(in_guest 'ls /srv/two')" ] || fail "it is still mounted"
[ "$(in_guest 'cat /srv/one/file')" = one ] || fail "the other mount has gone, too"
[ "$(ls "$sb/mounts")" = srv:one ] || fail "mounts/ has $(ls "$sb/mounts")"

verb 'unbind /srv/one' || fail "unbind: $(cat "$sb/error")"
[ -z "$(status_of mounts_pid)" ] || fail "a worker without mounts"
verb "bind $scratch/one:/srv/one" || fail "bind: $(cat "$sb/error")"
[ "$(in_guest 'cat /srv/one/file')" = one ] || fail "it cannot be bound again"
