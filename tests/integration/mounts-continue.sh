#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# What the guest has open of the host's files goes on when a directory comes in at run time, after a restore, and in a fork;
# and is stale, never another file, where the host has changed it in between.
# shellcheck disable=SC2016 # what is in single quotes is for the guest
. "$GONDOLIN_SOURCE/tests/integration/lib.sh"

in_guest() {
    timeout 60 gondolin exec "$sb" -- sh -c "$1"
}

verb() {
    timeout 60 sh -c 'echo "$1" >"$2/ctl"' - "$1" "$sb" || fail "$1: $(cat "$sb/error")"
}

# Has the one with the open files run a command, and prints what it says.
ask() {
    in_guest "echo '$1' >/tmp/in; cat /tmp/out"
}

answers() {
    said=$(ask "$1")
    [ "$said" = "$2" ] || fail "$3: '$1' says '$said', not '$2'"
}

# Four more bytes from where the open file is.
piece='dd bs=4 count=1 <&3 2>/dev/null'

data=$scratch/data
mkdir -p "$data/dir" "$scratch/two"
printf 'aaaabbbbccccdddd' >"$data/file"
printf 'will go' >"$data/goes"
echo inside >"$data/dir/inside"
echo two >"$scratch/two/file"
: >"$data/busy"

sandbox sb --bind "$data:/srv/data:shadow-tmpfs=hidden" --memfs /srv/memory
in_guest 'echo kept >/srv/memory/file; mkdir /srv/data/hidden; echo kept >/srv/data/hidden/file'
mkdir "$sb/jobs/holder" "$sb/jobs/writer"
echo 'mkfifo /tmp/in /tmp/out; exec 3<>/srv/data/file 4</srv/data/goes 5>>/srv/data/log 6>>/srv/memory/file 8>>/srv/data/hidden/file; cd /srv/data/dir
    while :; do read -r line </tmp/in; eval "$line" >/tmp/out 2>&1; done' >"$sb/jobs/holder/cmd"
echo 'n=0; exec 7>>/srv/data/busy; while :; do n=$((n + 1)); { echo $n >&7 && [ -e /srv/data/dir/inside ]; } || echo "$n" >>/tmp/failed; done' >"$sb/jobs/writer/cmd"
echo start >"$sb/jobs/holder/ctl"
echo start >"$sb/jobs/writer/ctl"
eventually 20 test -p "$sb/root/tmp/out" || fail 'the holder did not start'
answers "$piece" aaaa 'in the beginning'

# A directory that comes in.
verb "bind $scratch/two:/srv/two"
[ "$(in_guest 'cat /srv/two/file')" = two ] || fail 'the new directory is not there'
answers "$piece" bbbb 'after a bind'
answers 'echo one >&5; cat inside; pwd' "$(printf 'inside\n/srv/data/dir')" 'after a bind'
[ "$(cat "$data/log")" = one ] || fail "the log has '$(cat "$data/log")'"
in_memory='echo $(cat /srv/memory/file /srv/data/hidden/file)'
answers "echo one >&6; echo one >&8; $in_memory" 'kept one kept one' 'in memory after a bind'
[ "$(status_of mounts)" = 3 ] || fail "status: $(cat "$sb/status")"
in_guest '[ ! -e /srv/data/new ]' || fail 'it is there already'

# A restore: the position is that of then, what the file has is that of now.
timeout 60 mkdir "$sb/checkpoints/one" || fail "mkdir: $(cat "$sb/error")"
answers "$piece" cccc 'after the checkpoint'
answers "echo undone >&6; echo undone >&8; $in_memory" 'kept one undone kept one undone' 'after the checkpoint'
printf 'xxxxyyyyzzzzwwww' >"$data/file"
echo new >"$data/new"
verb 'restore one'
answers "$piece" zzzz 'after a restore'
answers 'echo two >&5; cat inside; pwd; cat /srv/data/new' "$(printf 'inside\n/srv/data/dir\nnew')" 'after a restore'
answers "echo two >&6; echo two >&8; $in_memory" 'kept one two kept one two' 'in memory after a restore'
[ "$(tr '\n' ' ' <"$data/log")" = 'one two ' ] || fail "the log has '$(cat "$data/log")'"
[ "$(in_guest 'cat /srv/two/file')" = two ] || fail 'the second directory is not there'

# Nothing that was under way has failed.
lines=$(wc -l <"$data/busy")
eventually 20 sh -c "[ \$(wc -l <'$data/busy') -gt $((lines + 20)) ]" || fail 'the writer does not write any more'
[ ! -e "$sb/root/tmp/failed" ] || fail "the writer failed at $(cat "$sb/root/tmp/failed")"

# What is another file now, or gone, is stale.
printf 'another' >"$data/other"
mv "$data/other" "$data/file"
rm "$data/goes"
verb 'restore one'
answers 'dd bs=4 count=1 <&3 2>&1 | grep -c Stale; dd bs=4 count=1 <&4 2>&1 | grep -c Stale; cat /srv/data/file' \
    "$(printf '1\n1\nanother')" 'after the file was replaced'
answers 'echo three >&5; cat inside' inside 'the others'
[ "$(tail -n 1 "$data/log")" = three ] || fail "the log has '$(cat "$data/log")'"
gondolin umount "$sb"

# Forks have what they are given. A directory of another place under the same name is mounted anew.
mkdir -p "$scratch/elsewhere/dir"
echo elsewhere >"$scratch/elsewhere/file"
sb=$scratch/fork
timeout 120 gondolin mount --from one --bind "$data:/srv/data:shadow-tmpfs=hidden" --memfs /srv/memory "$sb" || fail 'fork'
answers "echo fork >&6; echo fork >&8; $in_memory" 'kept one fork kept one fork' 'in memory in a fork'
answers 'echo four >&5; cat inside; pwd' "$(printf 'inside\n/srv/data/dir')" 'in a fork'
[ "$(tail -n 1 "$data/log")" = four ] || fail "the log has '$(cat "$data/log")'"
in_guest '[ ! -e /srv/two/file ]' || fail 'a fork has what it was not given'
gondolin umount "$sb"

timeout 120 gondolin mount --from one --bind "$scratch/elsewhere:/srv/data" "$sb" || fail 'fork with another directory'
[ "$(in_guest 'cat /srv/data/file')" = elsewhere ] || fail 'the other directory is not there'
ask 'echo five >&5 || echo failed' | grep -q failed || fail 'what was open in another directory takes writes'
grep -q five "$data/log" && fail 'a fork writes to what it was not given'
gondolin umount "$sb"

timeout 120 gondolin mount --from one "$sb" || fail 'fork without directories'
ask 'cat /srv/data/file || echo failed' | grep -q failed || fail 'a fork without directories reads them'
grep -q five "$data/log" && fail 'a fork writes to what it was not given'
gondolin umount "$sb"
