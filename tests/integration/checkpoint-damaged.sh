#!/bin/sh
# Damaged checkpoints are named and never started; the sandbox that was to go back to one goes on.
. "$GONDOLIN_SOURCE/tests/integration/lib.sh"

sandbox
timeout 30 mkdir "$sb/checkpoints/good" || fail "mkdir: $(cat "$sb/error")"
echo x >"$sb/root/srv/x"
echo 'true' >"$sb/run"
# damage NAME HOW...: a copy of the good one, and what is wrong with it.
damaged() {
    which=$1
    shift
    cp -r --preserve=mode "$GONDOLIN_STORE/checkpoints/good" "$GONDOLIN_STORE/checkpoints/$which"
    rm -f "$GONDOLIN_STORE/checkpoints/$which/verified"
    (cd "$GONDOLIN_STORE/checkpoints/$which" && "$@")
    case $which in
    short-*|gone-*|empty-*|*-manifest)
        grep -q '^state damaged' "$sb/checkpoints/$which/status" || fail "$which: $(cat "$sb/checkpoints/$which/status")"
        gondolin checkpoint ls | grep -q "^$which  *(damaged)" || fail "$which: ls: $(gondolin checkpoint ls)" ;;
    esac
    if (echo "restore $which" >"$sb/ctl") 2>/dev/null; then fail "$which was restored"; fi
    grep -q "$which" "$sb/error" || fail "$which: the error does not name it: $(cat "$sb/error")"
    [ -z "$file" ] || grep -q "$file" "$sb/error" || fail "$which: the error does not name $file: $(cat "$sb/error")"
    echo 'cat /srv/x' >"$sb/run" || fail "$which: the sandbox does not go on: $(cat "$sb/error")"
    refused 125 "$which" gondolin mount --from "$which" "$scratch/fork"
    [ ! -e "$scratch/fork" ] || fail "$which: a mount point was left"
    case $which in
    other-version|other-cpu|jobs) ;; # sound, but not for this machine
    *) refused 125 "$which" gondolin checkpoint verify "$which" ;;
    esac
    rm -rf "$GONDOLIN_STORE/checkpoints/$which"
}
poke() {
    printf '\377' | dd of="$1" bs=1 seek="$2" conv=notrunc 2>/dev/null
}
for file in ram state disk.qcow2; do
    damaged "bytes-$file" poke "$file" 70000
    damaged "short-$file" truncate -s -4096 "$file"
    damaged "gone-$file" rm "$file"
    damaged "empty-$file" truncate -s 0 "$file"
done
file=manifest.json
damaged text-manifest sh -c 'echo "{" >manifest.json'
damaged short-manifest truncate -s 100 manifest.json
damaged null-manifest truncate -s 0 manifest.json
damaged huge-manifest truncate -s 100M manifest.json
file=
damaged other-schema sed -i 's/"schema": *1/"schema": 99/' manifest.json
damaged other-version sed -i 's/version 7\./version 9./' manifest.json
damaged other-cpu sed -i 's/max,cx16=off,erms=off,fsrm=off/qemu64/' manifest.json
damaged no-image sed -i 's/"build_id": *"...../"build_id": "00000/' manifest.json
grep -q 'image' "$sb/error" || fail "a missing image is not named: $(cat "$sb/error")"
damaged jobs sed -i 's/"jobs": *\[/"jobs": [7,/' manifest.json

# In place: damage to what a running sandbox lies on does not touch it, and the good one still works.
echo 'restore good' >"$sb/ctl" || fail "the good one: $(cat "$sb/error")"
[ ! -e "$sb/root/srv/x" ] || fail 'not restored'
timeout 20 gondolin umount "$sb"
