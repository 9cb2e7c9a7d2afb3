#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# gondolin build and gondolin image on a busybox image in a store of its own.
. "$GONDOLIN_SOURCE/tests/integration/lib.sh"

mkdir -m 0700 "$scratch/store"
cp -al "$shared_store/cache" "$scratch/store/" 2>/dev/null || cp -a "$shared_store/cache" "$scratch/store/"
export GONDOLIN_STORE="$scratch/store"

# refused WORDS... -- COMMAND...: the command fails with 125 and one line on stderr that has the words.
refused() {
    words=$1
    shift
    code=0
    "$@" >"$scratch/refused.out" 2>"$scratch/refused.log" || code=$?
    [ "$code" = 125 ] || fail "$*: code $code"
    [ "$(wc -l <"$scratch/refused.log")" = 1 ] || fail "$*: not one line"
    grep -qF -- "$words" "$scratch/refused.log" || fail "$*: does not say: $words"
}

refused 'did you mean busybox?' gondolin build bussybox
refused 'busybox takes no packages' gondolin build busybox -p vim
refused 'a root disk has 64M to 16T' gondolin build busybox --size 1M
refused 'a name is 1 to 64' gondolin build busybox --tag ../x
refused 'did you mean --suite?' gondolin build --suit bookworm
refused 'guest agent: /nonexistent' env GONDOLIN_GUEST=/nonexistent gondolin build busybox
refused 'did you mean "inspect"?' gondolin image inspekt
refused 'build one with: gondolin build' gondolin image verify busybox
[ -z "$(find "$GONDOLIN_STORE/tmp" "$GONDOLIN_STORE/images" -mindepth 1)" ] || fail 'refused builds left something'

gondolin build busybox --json >"$scratch/build.json" 2>"$scratch/build.log" || fail 'build'
for phase in 'starting the appliance' 'copying files' 'computing checksums'; do
    grep -q "$phase" "$scratch/build.log" || fail "the phase is not told: $phase"
done
id=$(gondolin image ls --json | sed -n 's/.*"build_id": *"\([0-9a-f]*\)".*/\1/p')
grep -q "$id" "$scratch/build.json" || fail "built $(cat "$scratch/build.json"), listed $id"
[ "$(readlink "$GONDOLIN_STORE/tags/busybox")" = "../images/$id" ] || fail 'the tag stands for something else'
gondolin image verify "$(echo "$id" | cut -c1-6)" >"$scratch/verify.log" || fail 'verify by prefix'
gondolin image inspect busybox | grep -q "^build id *$id" || fail 'inspect'

# Nothing has changed: nothing is made. Another agent: the same disk, not a copy of it.
gondolin build busybox -q
[ "$(ls "$GONDOLIN_STORE/images")" = "$id" ] || fail 'building again made another image'
cp "$GONDOLIN_BUILD/gondolin-guest" "$scratch/agent" && printf x >>"$scratch/agent"
GONDOLIN_GUEST=$scratch/agent gondolin build busybox -q --tag other
other=$(basename "$(readlink "$GONDOLIN_STORE/tags/other")")
[ "$other" != "$id" ] || fail 'another agent gave the same image'
inode() {
    stat -c %i "$GONDOLIN_STORE/images/$1/rootfs.qcow2"
}
[ "$(inode "$other")" = "$(inode "$id")" ] || fail 'the disk was copied'

# Tags and removal: the image goes with its last tag, and not while somebody has it open.
gondolin image tag other third
gondolin image rm other >"$scratch/rm.log"
[ -d "$GONDOLIN_STORE/images/$other" ] || fail 'the image went although it had another tag'
refused 'is using it' flock -s "$GONDOLIN_STORE/images/$other/manifest.json" gondolin image rm third
[ -L "$GONDOLIN_STORE/tags/third" ] || fail 'the tag of an image in use went'
gondolin image rm third >"$scratch/rm.log"
[ ! -e "$GONDOLIN_STORE/images/$other" ] || fail 'the image is still there'
refused 'did you mean busybox?' gondolin image inspect busibox

# Damage is found, and told with both digests; the next build repairs what it can tell without them.
disk=$GONDOLIN_STORE/images/$id/rootfs.qcow2
recorded=$(gondolin image inspect busybox | sed -n 's/.*rootfs.qcow2 .*sha256 //p')
chmod u+w "$disk" && printf x | dd of="$disk" bs=1 seek=100000 conv=notrunc 2>/dev/null
refused "should be $recorded" gondolin image inspect busybox
refused "should be $recorded" gondolin image verify busybox
truncate -s 1000 "$disk"
refused 'it has 1000 bytes' gondolin image verify busybox
gondolin build busybox -q || fail 'build over a damaged image'
gondolin image verify busybox >"$scratch/verify.log" || fail 'the damaged image was not replaced'
[ -z "$(ls "$GONDOLIN_STORE/tmp")" ] || fail "left: $(ls "$GONDOLIN_STORE/tmp")"
