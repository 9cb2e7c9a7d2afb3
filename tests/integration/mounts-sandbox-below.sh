#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# shellcheck disable=SC2016 # what is in quotes is for the guest
# Sandboxes that are mounted below a bound directory, the guest's own and another: their control files are not for a guest.
. "$GONDOLIN_SOURCE/tests/integration/lib.sh"

in_guest() {
    timeout 60 gondolin exec "$sb" -- sh -c "$1"
}

work=$scratch/work
mkdir -p "$work" "$scratch/private"
echo secret >"$scratch/private/file"
sandbox other
sandbox work/sb --bind "$work:/srv/w"
mkdir "$work/plain"
echo seen >"$work/plain/file"
[ "$(in_guest 'cat /srv/w/plain/file')" = seen ] || fail 'what is beside the sandbox is not seen'
[ "$(in_guest 'echo /srv/w/*')" = '/srv/w/plain /srv/w/sb' ] || fail 'the directory cannot be listed'
for what in 'ls /srv/w/sb' 'cat /srv/w/sb/status' "echo 'bind $scratch/private:/srv/p' >/srv/w/sb/ctl" 'ls /srv/w/sb/root'; do
    if in_guest "$what" >"$scratch/said" 2>&1; then fail "the guest can: $what: $(cat "$scratch/said")"; fi
done
[ -z "$(find "$sb/mounts" -mindepth 1 -maxdepth 1 | sed 1d)" ] || fail "mounts: $(ls "$sb/mounts")"
if in_guest 'cat /srv/p/file' 2>/dev/null; then fail 'the guest has bound a directory of the host'; fi
# Nor what is moved there by mounting it once more, or mounted when the guest has looked already.
if [ "$(id -u)" = 0 ]; then
    mkdir "$work/again" "$work/root"
    mount --bind "$scratch/other" "$work/again"
    mount --bind "$scratch/other/root" "$work/root"
    at_end() {
        umount -l "$work/again" "$work/root" 2>/dev/null || true
    }
    for place in again root; do
        if in_guest "ls /srv/w/$place/." >"$scratch/said" 2>&1; then fail "the guest sees $place: $(cat "$scratch/said")"; fi
    done
    umount "$work/again" "$work/root" || fail 'the guest holds what it cannot see'
fi
# It holds nothing of them, so that they can go.
timeout 20 gondolin umount "$scratch/other" || fail 'the other is held'
timeout 20 gondolin umount "$sb" || fail 'the sandbox is held by itself'
