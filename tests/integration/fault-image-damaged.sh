#!/bin/sh
# Images that are not what their manifest says: each is refused before anything starts, naming the file and the digests.
. "$GONDOLIN_SOURCE/tests/integration/lib.sh"

original=$(readlink -f "$GONDOLIN_STORE/tags/busybox")
image=$scratch/image

fresh_copy() {
    rm -rf "$image"
    cp -r "$original" "$image"
    chmod -R u+w "$image"
}

# refuses WHAT PATTERN: what was done to the copy is noticed.
refuses() {
    refused 125 "$2" gondolin mount --image "$image" "$scratch/sb"
    [ ! -e "$scratch/sb" ] || fail "$1: the mount point it made is still there"
    refused 125 "$2" gondolin image verify "$image"
}

# One bit, in the middle, the times put back as an attacker would.
flip() {
    cp -p "$1" "$scratch/times"
    printf X | dd of="$1" bs=1 seek="$2" conv=notrunc 2>/dev/null
    touch -r "$scratch/times" "$1"
}

fresh_copy
for file in vmlinux initramfs.cpio rootfs.qcow2; do
    good=$(sha256sum "$image/$file" | cut -d ' ' -f 1)
    flip "$image/$file" 100000
    bad=$(sha256sum "$image/$file" | cut -d ' ' -f 1)
    refuses "$file tampered with" "$file.*$bad.*$good"
    fresh_copy
    truncate -s 100000 "$image/$file"
    refuses "$file truncated" "$file.*it has 100000 bytes"
    rm "$image/$file"
    refuses "$file missing" "$file"
    fresh_copy
done

# The manifest itself.
: >"$image/manifest.json"
refuses 'empty manifest' 'manifest.json'
head -c 300 "$original/manifest.json" >"$image/manifest.json"
refuses 'truncated manifest' 'manifest.json'
head -c 200000 /dev/urandom >"$image/manifest.json"
refuses 'binary manifest' 'manifest.json'
sed 's/\("build_id": *"\)[0-9a-f]\{4\}/\1dead/' "$original/manifest.json" >"$image/manifest.json"
refuses 'another build id' 'build_id\|build id'
rm "$image/manifest.json"
refuses 'no manifest' 'manifest.json'

# An undamaged copy boots, also when it has been verified before; damage that comes after that is noticed too.
fresh_copy
cd "$scratch"
timeout 60 gondolin mount --image ./image "$scratch/sb" >/dev/null || fail 'an undamaged image is refused'
sb=$scratch/sb
timeout 20 gondolin umount "$sb"
# What was changed within the grain of time stamps is not remembered as verified.
recorded() {
    gondolin image inspect "$image" && [ -s "$image/verified" ]
}
eventually 5 recorded || fail 'that an image is undamaged is not remembered'
flip "$image/vmlinux" 200000
refuses 'damage after the first use' 'vmlinux.*SHA-256'
expect_nothing_left
