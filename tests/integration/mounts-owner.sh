#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Whose the files of a host directory look in the guest, and what becomes of owners and modes that it sets.
. "$GONDOLIN_SOURCE/tests/integration/lib.sh"

in_guest() {
    timeout 60 gondolin exec "$sb" -- sh -c "$1"
}

said_in_guest() { # said_in_guest WHAT COMMAND WANTED
    got=$(in_guest "exec 2>&1; $2" | tr '\n' ' ')
    [ "$got" = "$3" ] || fail "$1: got '$got' instead of '$3'"
}

me=$(id -u)
mkdir "$scratch/user" "$scratch/mapped" "$scratch/raw"
touch "$scratch/user/file" "$scratch/mapped/file"
set -- --bind "$scratch/user:/srv/user" --bind "$scratch/mapped:/srv/mapped:owner=mapped"
if [ "$me" = 0 ]; then
    chown 1234:1235 "$scratch/user/file"
    set -- "$@" --bind "$scratch/raw:/srv/raw:owner=raw"
else
    refused 125 'owner=raw: only root' gondolin mount --bind "$scratch/raw:/srv/raw:owner=raw" "$scratch/no"
fi
sandbox sb "$@"

said_in_guest "owner=user shows root" 'stat -c %u:%g /srv/user/file' '0:0 '
said_in_guest "owner=user gives nothing away" 'chown 5 /srv/user/file || chmod 4755 /srv/user/file || echo refused' \
    "chown: /srv/user/file: Operation not permitted chmod: /srv/user/file: Operation not permitted refused "
in_guest 'umask 027; touch /srv/user/made' || fail "owner=user: touch"
[ "$(stat -c %u:%a "$scratch/user/made")" = "$me:640" ] || fail "owner=user: what was made is $(stat -c %u:%a "$scratch/user/made")"

in_guest 'cd /srv/mapped && umask 022 && touch a && chown 1000:1001 a && chmod 4751 a && mkdir d && chgrp 77 d &&
    chmod 2775 d && touch d/x && mkdir d/y && ln -s a l && chown -h 3 l' || fail "owner=mapped: chown"
said_in_guest "owner=mapped remembers" 'cd /srv/mapped; stat -c "%n %u:%g %a" a d d/x d/y' \
    'a 1000:1001 4751 d 0:77 2775 d/x 0:77 644 d/y 0:77 2755 '
said_in_guest "owner=mapped clears set-id" 'cd /srv/mapped; chown 5 a; stat -c "%u %a" a' '5 751 '
said_in_guest "a mode without any bits" 'cd /srv/mapped; umask 777; echo hi >z; stat -c %a z; cat z' '0 hi '
said_in_guest "tar" 'cd /srv/mapped; mkdir s; touch s/f; chown -R 9:8 s; tar cf s.tar s; rm -r s; tar xf s.tar; stat -c %u:%g s s/f' \
    '9:8 9:8 '
said_in_guest "nodes" 'cd /srv/mapped; mknod c c 1 3; mknod b b 8 16; mkfifo p; chown 3:4 c b p; chmod 640 c
    mv c n; ln n c; rm n; stat -c "%n %F %u:%g %a %t,%T" c b p' \
    'c character special file 3:4 640 1,3 b block special file 3:4 644 8,10 p fifo 3:4 644 0,0 '
said_in_guest "a fifo works" 'cd /srv/mapped; (echo through >p &) ; cat p' 'through '
said_in_guest "a device does not" 'cat /srv/mapped/c' "cat: can't open '/srv/mapped/c': Permission denied "
said_in_guest "owner=user makes none" 'mknod /srv/user/c c 1 3' "mknod: /srv/user/c: Operation not permitted "
for made in c b p; do
    { [ -f "$scratch/mapped/$made" ] && [ ! -s "$scratch/mapped/$made" ]; } || fail "$made is no empty file on the host"
done
[ -z "$(find "$scratch/mapped" ! -user "$me" -o -perm /7000)" ] || fail "owner=mapped reaches the host: $(ls -lR "$scratch/mapped")"

[ "$me" = 0 ] || exit 0
mkdir "$scratch/bare"
if mount -t ramfs none "$scratch/bare" 2>/dev/null; then
    refused 125 'owner=mapped: its file system has no' gondolin mount --bind "$scratch/bare:/srv:owner=mapped" "$scratch/no"
    umount "$scratch/bare"
fi
in_guest 'touch /srv/raw/f && chown 7:8 /srv/raw/f && chmod 4755 /srv/raw/f' || fail "owner=raw: chown"
[ "$(stat -c %u:%g:%a "$scratch/raw/f")" = 7:8:4755 ] || fail "owner=raw is $(stat -c %u:%g:%a "$scratch/raw/f")"
said_in_guest "owner=raw: a device" 'cd /srv/raw; mknod b b 8 16; chown 3:4 b; stat -c "%F %u:%g %a %t,%T" b' \
    'block special file 3:4 644 8,10 '
{ [ -f "$scratch/raw/b" ] && [ "$(stat -c %s:%u "$scratch/raw/b")" = 0:3 ]; } || fail "owner=raw: the device is one of the host's"
