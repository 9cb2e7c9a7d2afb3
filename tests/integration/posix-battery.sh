#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# posix-battery.sh BELOW MOUNTPOINT TOOLS [ownership]: POSIX behaviour of a mounted directory, compared with the directory
# it shows where that matters. TOOLS holds fsx. `ownership` adds what only root can check, on a mount with raw owners.
# Prints the first failure and exits 1. Not a test by itself: called by server-posix.sh, as several users.
set -eu

below_root=$1 mountpoint=$2 tools=$3 parts="files attributes data directories programs ${4-}"
who=$(id -un)
refused=$(mktemp)
HOME=$(mktemp -d) # git reads its configuration there
export HOME
trap 'cd /; rm -rf "$refused" "$HOME"' EXIT

fail() {
    echo "FAIL: $*" >&2
    exit 1
}

same() { # same WHAT GOT WANTED
    [ "$2" = "$3" ] || fail "$who: $1: got '$2' instead of '$3'"
}

refuses() { # refuses WHAT COMMAND...
    what=$1
    shift
    if "$@" >/dev/null 2>"$refused"; then fail "$who: $what: $* did not fail"; fi
}

files() {
    echo hello >f
    same read "$(cat f)" hello
    ln f hard
    same "hard link" "$(stat -c '%i %h' f)" "$(stat -c '%i 2' hard)"
    ln -s ../nowhere/x link
    same "symlink as written" "$(readlink link)" ../nowhere/x
    mv -f hard f2
    rm f
    same "rename and unlink" "$(cat f2) $(stat -c %h f2)" "hello 1"
    echo one >a
    echo two >b
    mv b a
    same "rename over" "$(cat a)" two
    exec 5<>gone
    rm gone
    echo kept >&5
    same "open and unlinked" "$(cat /proc/self/fd/5)" kept
    exec 5>&-
    mkfifo fifo
    same fifo "$(stat -c %F fifo)" fifo
    (echo through >fifo &)
    same "fifo works" "$(timeout 5 cat fifo)" through
    mkdir full
    touch full/file
    refuses "rmdir of a full directory" rmdir full
    refuses "name of 256 bytes" touch "$(printf '%256s' x | tr ' ' n)"
    touch "$(printf '%255s' x | tr ' ' n)" "$(printf 'a\nb\377\134')"
    same "names of any bytes" "$(find . -name 'a?b*' | wc -l)" 2 # one newline is in the name
}

attributes() {
    touch m
    chmod 4751 m
    same mode "$(stat -c %a m)" 4751
    touch -d '2001-02-03 04:05:06.789012345 UTC' m
    same "times with nanoseconds" "$(TZ=UTC0 stat -c %y m)" "2001-02-03 04:05:06.789012345 +0000"
    setfattr -n user.colour -v blue m
    same xattr "$(getfattr --only-values -n user.colour m)" blue
    setfattr -x user.colour m
    refuses "removed xattr" getfattr -n user.colour m
    (umask 027 && mkdir um && touch um/f)
    same umask "$(stat -c %a um) $(stat -c %a um/f)" "750 640"
    same "sizes and inode numbers" "$(stat -c '%i %s' m)" "$(stat -c '%i %s' "$below/m")"
}

data() {
    truncate -s 3G sparse
    same "sparse size" "$(stat -c '%s %b' sparse)" "3221225472 0"
    printf x | dd of=sparse bs=1 seek=3000000000 conv=notrunc status=none
    same "still sparse" "$(($(stat -c %b sparse) <= 64))" 1
    fallocate -p -o 2999996416 -l 8192 sparse
    same "hole punched" "$(stat -c %b sparse)" 0
    fallocate -l 100000 alloc
    same fallocate "$(stat -c %s alloc)" 100000
    cp --sparse=auto sparse copy
    same "copy keeps holes" "$(($(stat -c %b copy) <= 64))" 1
    for i in 1 2 3 4 5 6 7 8; do
        (for j in 1 2 3 4 5 6 7 8 9 10; do echo "$i $j" >>appended; done) &
        writers="${writers-} $!"
    done
    # shellcheck disable=SC2086 # a list; a plain wait would wait for the server too
    wait $writers
    unset writers
    same "appends of many processes" "$(wc -l <appended)" 80
    echo below >"$below/coherent"
    same "written below" "$(cat coherent)" below
    echo above >coherent
    same "written above" "$(cat "$below/coherent")" above
    dd if=/dev/urandom of=random bs=64k count=64 conv=fsync status=none
    cmp random "$below/random" || fail "$who: data differ"
    same statfs "$(stat -f -c '%b %S' .)" "$(stat -f -c '%b %S' "$below")"
    "$tools/fsx" fsx.dat "$$" 3000 || fail "$who: fsx with seed $$"
}

directories() {
    mkdir many
    (cd many && seq 1 5000 | xargs touch)
    same "5000 entries" "$(find many -type f | wc -l)" 5000
    # shellcheck disable=SC2012 # ls -l looks every entry up
    same "with attributes" "$(ls -l many | wc -l)" 5001
    rm -r many
    mkdir -p deep/er/and/deeper
    mv deep/er/and .
    rm -r deep
    same "moved directory" "$(find and)" "$(printf 'and\nand/deeper')"
}

programs() {
    git init -q repo
    cd repo
    git config user.email test@example.org
    git config user.name test
    seq 1 1000 >file
    git add file
    git commit -qm one
    seq 1 2000 >file
    git commit -qam two
    cd ..
    git clone -q repo clone
    git -C clone gc -q
    git -C clone fsck 2>"$refused"
    same "git status" "$(git -C clone status --short)" ""
    if command -v cc >/dev/null; then
        printf '#include <stdio.h>\nint main(void) { return puts("compiled") < 0; }\n' >prog.c
        cc -o prog prog.c
        same "a compiler" "$(./prog)" compiled
    fi
    tar cf - repo | (mkdir untar && cd untar && tar xf -)
    diff -r repo untar/repo
}

# What only root can see.
ownership() {
    touch owned
    chown 1234:2345 owned
    same chown "$(stat -c %u:%g owned)" 1234:2345
    same "chown below" "$(stat -c %u:%g "$below/owned")" 1234:2345
    mkdir -m 2777 sgid
    chgrp 2345 sgid
    chmod 2777 .
    setpriv --reuid 1234 --regid 1235 --clear-groups sh -c 'umask 022; echo x >sgid/f && mkdir sgid/d'
    same "file of another user" "$(stat -c %u:%g sgid/f)" 1234:2345
    same "sgid handed down" "$(stat -c '%u:%g %a' sgid/d)" "1234:2345 2755"
    echo x >suid
    chmod 6777 suid
    chown 0:1235 suid
    chmod 6777 suid
    setpriv --reuid 1234 --regid 1235 --clear-groups sh -c 'echo y >>suid'
    same "suid cleared by another's write" "$(stat -c %a suid)" 777
    echo secret >secret
    chmod 600 secret
    refuses "no permission" setpriv --reuid 1234 --regid 1235 --clear-groups cat secret
    mknod null c 1 3
    same device "$(stat -c '%F %t,%T' null)" "character special file 1,3"
    setfattr -n trusted.t -v 1 owned
    same "trusted xattr" "$(getfattr --only-values -n trusted.t owned)" 1
}

for part in $parts; do
    mkdir "$mountpoint/$part"
    cd "$mountpoint/$part"
    below=$below_root/$part
    "$part"
done
