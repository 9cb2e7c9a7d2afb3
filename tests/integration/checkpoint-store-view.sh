#!/bin/sh
# What a guest has done to its disk is seen by diff and by mount --offline, and nothing else is.
. "$GONDOLIN_SOURCE/tests/integration/lib.sh"
requires qemu-img qemu-utils

make=$GONDOLIN_BUILD/tests/tools/make-checkpoint
image=$(readlink "$shared_store/tags/busybox") || skip 'no busybox image'
image=${image##*/}
[ -d "$shared_store/cache/kernel" ] || skip 'no kernel for the appliance in the cache'

# The appliance is run where /tmp is another one, but for the store: links out of it lead nowhere if that is where they lead.
case $(realpath "$shared_store") in
/tmp/*)
    for part in images tags cache; do
        rm "$GONDOLIN_STORE/$part"
        cp -a "$shared_store/$part" "$GONDOLIN_STORE/"
    done
    ;;
esac

# A real guest writes to an overlay that becomes the disk of a checkpoint.
disk=$scratch/disk.qcow2
qemu-img create -q -f qcow2 -F qcow2 -b "$(realpath "$shared_store/images/$image/rootfs.qcow2")" "$disk"
sandbox sb --root-disk "$disk"
echo new >"$sb/root/new"
mkdir -p "$sb/root/dir/sub"
echo x >"$sb/root/dir/sub/a
b"
ln -s new "$sb/root/link"
rm "$sb/root/etc/passwd"
chmod 600 "$sb/root/etc/group"
touch "$sb/root/etc/hostname" # the same contents at another time: no change
sed 's/.$/X/' "$sb/root/etc/hosts" >"$scratch/hosts"
cat "$scratch/hosts" >"$sb/root/etc/hosts" # other contents of the same size
gondolin umount "$sb" || fail 'umount'
"$make" before "$image" - disk || fail 'make-checkpoint'
"$make" after "$image" - disk "$disk" || fail 'make-checkpoint of the disk'

printf '%s\n' 'A /dir' 'A /dir/sub' 'A /dir/sub/a?b' 'M /etc/group' 'M /etc/hosts' 'D /etc/passwd' 'A /link' 'A /new' \
    >"$scratch/expected"
timeout 120 gondolin checkpoint diff after >"$scratch/said" 2>"$scratch/diff.log" || fail 'diff'
# What booting writes besides is left out.
grep -v -e ' /etc/machine-id' -e ' /var/' -e ' /run' -e ' /tmp' -e ' /root' -e ' /dev' "$scratch/said" | diff - "$scratch/expected" >"$scratch/differs" ||
    fail "diff against the image: $(cat "$scratch/differs")"
[ ! -s "$scratch/diff.log" ] || fail 'diff prints on standard error'
timeout 120 gondolin checkpoint diff --json after before >"$scratch/said" || fail 'diff of two'
grep -qxF '{"change":"A","path":"/etc/passwd"}' "$scratch/said" || fail 'diff of two does not see what was removed'
grep -qxF '{"change":"D","path":"/dir/sub/a\nb"}' "$scratch/said" || fail 'diff of two does not see what was added'

dir=$scratch/offline
timeout 120 gondolin mount --offline after "$dir" >"$scratch/said" || fail 'mount --offline'
grep -qxF "$dir after" "$scratch/said" || fail "mount says $(cat "$scratch/said")"
[ "$(cat "$dir/new")" = new ] || fail 'the new file'
[ ! -e "$dir/etc/passwd" ] || fail 'the removed file'
if touch "$dir/x" 2>/dev/null; then fail 'it can be written to'; fi
refused 125 'is using it' gondolin checkpoint rm after
gondolin umount "$dir" || fail 'umount of the disk'
eventually 10 test ! -e "$dir" || fail 'the mount point stays'
expect_nothing_left

# libguestfs keeps them where nobody would look for what is left.
no_sockets() {
    [ -z "$(find /tmp "$XDG_RUNTIME_DIR" -maxdepth 1 -name 'libguestfs*' -user "$(id -u)" -newer "$scratch/expected" 2>/dev/null)" ]
}

# Its process is killed: the next command takes the dead mount away.
mkdir "$dir"
gondolin mount --foreground --offline after "$dir" >/dev/null 2>"$scratch/offline.log" &
eventually 60 test -e "$dir/new" || fail 'mount --offline again'
gondolin list || fail 'list'
[ "$(cat "$dir/new")" = new ] || fail 'a living one is taken away'
refused 125 'is mounted already' gondolin mount --offline after "$dir"
kill -9 $!
wait $! || true
eventually 10 no_processes || fail 'something goes on'
eventually 30 no_sockets || fail 'a socket of libguestfs is left'
gondolin list || fail 'list'
[ -z "$(our_mounts)" ] || fail 'a dead mount stays'
gondolin gc >/dev/null || fail 'gc'
expect_nothing_left
gondolin checkpoint verify after >/dev/null || fail 'looking has changed it'
gondolin checkpoint rm after || fail 'rm afterwards'
refused 125 'there is none' gondolin mount --offline after "$scratch/never"
[ ! -e "$scratch/never" ] || fail 'a refused mount made its mount point'
