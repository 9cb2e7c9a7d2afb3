#!/bin/sh
# Files of a hostile guest: shapes that the kernel must not be shown, and a way out of the tree. There is no machine:
# tests/tools/fake-qemu.py stands in for QEMU.
. "$GONDOLIN_SOURCE/tests/integration/lib.sh"
. "$GONDOLIN_SOURCE/tests/integration/fake-guest.sh"

fails() {
    if timeout 20 "$@" >"$scratch/said" 2>&1; then fail "'$*' works: $(cat "$scratch/said")"; fi
}

fake_sandbox wrong-lookup
for name in zero root nomode size; do
    fails stat "$sb/root/$name"
done
[ "$(stat -c %o "$sb/root/blocks")" -le 524288 ] || fail "programs are told to use buffers of $(stat -c %o "$sb/root/blocks")"
stat "$sb/root/huge" >/dev/null || fail 'node ids of the guest are its own business'
grep -F " $sb " /proc/self/mountinfo | grep nosuid | grep -q nodev || fail 'the mount is not nosuid and nodev'
[ "$(cat "$sb/root/file")" = 'from the guest' ] || fail 'the other files are gone'
timeout 20 gondolin umount "$sb"

fake_sandbox wrong-listing
fails ls "$sb/root"
[ "$(cat "$sb/root/file")" = 'from the guest' ] || fail 'the other files are gone'
timeout 20 gondolin umount "$sb"

fake_sandbox too-much-data
fails cat "$sb/root/file"
eventually 5 test ! -e "$sb" || fail 'too much data: the sandbox goes on'
ended_because "$sb" 'no request asked for'

# "Not implemented" is believed by the kernel for the whole mount: the control files must not suffer.
fake_sandbox no-such-operation
fails cat "$sb/root/file"
fails ls "$sb/root"
[ -z "$(try_run after)" ] || fail "control files do not work: $(cat "$sb/error")"
[ "$(cat "$sb/last/stdout")" = after ] || fail 'output cannot be read'
timeout 20 gondolin umount "$sb"

fake_sandbox moving-directory
mkdir "$scratch/outside"
echo 'not for the guest to choose' >"$scratch/outside/secret"
timeout 20 cat "$sb/root/d/d/d/d/d/link" >"$scratch/read" 2>/dev/null &
reader=$!
sleep 1.8
[ "$(ls "$sb/root/moved")" = link ] || fail 'the moved directory cannot be listed'
wait "$reader" && fail 'the link was followed to somewhere'
[ ! -s "$scratch/read" ] || fail "the guest had a file of the host read: $(cat "$scratch/read")"
timeout 20 gondolin umount "$sb"
expect_nothing_left
