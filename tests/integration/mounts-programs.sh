#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# shellcheck disable=SC2016 # what is in quotes is for the guest
# Everyday programs of the guest in a directory of the host: git, databases, shared mappings, a compiler, package managers. The
# guest of these tests has none of them and runs the host's, from read-only mounts of /usr and /lib.
. "$GONDOLIN_SOURCE/tests/integration/lib.sh"
requires git git
[ -x /usr/bin/python3 ] || skip "needs /usr/bin/python3 (Debian package python3)"

in_guest() {
    timeout 120 gondolin exec "$sb" -- sh -c "export PATH=/usr/bin:/usr/sbin:/bin:/sbin HOME=/tmp; cd /srv/d; $1"
}

d=$scratch/d m=$scratch/mapped
mkdir "$d" "$m"
cp "$GONDOLIN_SOURCE/tests/tools/counter.py" "$d"
sandbox sb --memory 512M --bind "$d:/srv/d" --bind "$m:/srv/m:owner=mapped" --bind /usr:/usr:ro --bind /lib:/lib:ro \
    --bind /lib64:/lib64:ro

git_here() {
    git -c "safe.directory=*" -C "$@"
}
in_guest 'git config --global user.email test@example.org; git config --global user.name test; git init -q repo; cd repo
    for dir in 1 2 3 4; do mkdir $dir; for f in $(seq 50); do echo "$dir $f" >$dir/$f; done; done
    git add -A && git commit -qm one && rm -r 1 && git commit -qam two && git gc -q && cd .. &&
    git clone -q --local repo clone && git -C clone fsck 2>/dev/null && [ -z "$(git -C clone status --short)" ]' || fail 'git'
git_here "$d/clone" fsck 2>"$scratch/said" || fail "git fsck on the host: $(cat "$scratch/said")"
[ -z "$(git_here "$d/clone" status --short)" ] || fail "git status on the host: $(git_here "$d/clone" status --short)"

# In the guest with either journal, and with the host as the third where both see the same locks and files.
in_guest 'python3 counter.py wal.db wal 0 && { python3 counter.py wal.db wal 20 & python3 counter.py wal.db wal 20; wait $!; }' \
    >/dev/null || fail 'SQLite, WAL'
[ "$(/usr/bin/python3 "$d/counter.py" "$d/wal.db" wal 0)" = 40 ] || fail 'SQLite, WAL: transactions are missing'
/usr/bin/python3 "$d/counter.py" "$d/both.db" delete 100 >/dev/null &
counter=$!
in_guest 'python3 counter.py both.db delete 20 & python3 counter.py both.db delete 20; wait $!' >/dev/null || fail 'SQLite'
wait "$counter" || fail 'SQLite on the host'
[ "$(in_guest 'python3 counter.py both.db delete 0')" = 140 ] || fail 'SQLite: transactions of both sides are missing'

truncate -s 1M "$d/shared"
cat >"$d/map.py" <<'END'
import mmap, os
with open("shared", "r+b") as file, mmap.mmap(file.fileno(), 0) as memory:
    other = os.fork()
    first = 0 if other else 1
    memory[first::2] = (b"B" if first else b"A") * (len(memory) // 2)
    if not other:
        os._exit(0)
    os.waitpid(other, 0)
    memory.flush()
END
in_guest 'python3 map.py' || fail 'a shared mapping'
[ "$(tr -d '\n' <"$d/shared" | sha256sum)" = "$(yes AB | tr -d '\n' | head -c 1048576 | sha256sum)" ] ||
    fail 'what two processes of the guest stored in a mapping is not on the host'

if [ -x /usr/bin/gcc ] && [ -x /usr/bin/make ]; then
    mkdir "$d/project"
    for i in 1 2 3; do echo "int f$i(void) { return $i; }" >"$d/project/f$i.c"; done
    echo 'int f1(void), f2(void), f3(void); int main(void) { return f1() + f2() + f3(); }' >"$d/project/main.c"
    printf 'prog: $(patsubst %%.c,%%.o,$(wildcard *.c))\n\tgcc -o $@ $^\n%%.o: %%.c\n\tgcc -c -o $@ $<\n' >"$d/project/Makefile"
    in_guest 'cd project && make -s -j2 && { ./prog; [ $? = 6 ]; } && make -q' || fail 'make'
    touch "$d/project/f3.c"
    in_guest 'cd project && make -q' && fail 'make does not see what the host has touched'
    "$d/project/prog" || [ $? = 6 ] || fail 'the program that was made does not run on the host'
else
    echo "$name: a compiler needs gcc and make"
fi

if command -v dpkg-deb >/dev/null; then
    mkdir -p "$scratch/pkg/DEBIAN" "$scratch/pkg/opt/program" "$m/root"
    printf 'Package: program\nVersion: 1\nArchitecture: all\nMaintainer: none\nDescription: none\n' >"$scratch/pkg/DEBIAN/control"
    for i in $(seq 100); do echo "$i" >"$scratch/pkg/opt/program/$i"; done
    chmod 4755 "$scratch/pkg/opt/program/1"
    dpkg-deb --root-owner-group --build "$scratch/pkg" "$d/program.deb" >/dev/null
    in_guest 'mkdir -p /srv/m/root/var/lib/dpkg/updates /srv/m/root/var/lib/dpkg/info; : >/srv/m/root/var/lib/dpkg/status
        dpkg --root=/srv/m/root --force-script-chrootless -i program.deb' >"$scratch/said" 2>&1 || fail "dpkg: $(cat "$scratch/said")"
    [ "$(in_guest 'cd /srv/m/root/opt/program; stat -c %u:%g:%a 1; cat 100')" = "$(printf '0:0:4755\n100')" ] ||
        fail 'what dpkg unpacked is not what was packed'
    [ -z "$(find "$m" -perm /7000)" ] || fail 'dpkg made something set-user-ID on the host'
else
    echo "$name: package managers need dpkg-deb"
fi
