#!/bin/sh
# shellcheck disable=SC2016 # what is in quotes is for the guest
# Everyday programs of the host on the guest's files: git, make and a compiler, tar, databases, and both sides at once.
. "$GONDOLIN_SOURCE/tests/integration/lib.sh"
requires git git
requires python3 python3

sandbox sb --exec
cd "$sb/root/srv"
HOME=$scratch
export HOME
git config --global user.email test@example.org
git config --global user.name test

mkdir repo
cd repo
git init -q
for dir in $(seq 8); do
    mkdir "d$dir"
    for file in $(seq 10); do echo "$dir $file" >"d$dir/f$file"; done
done
git add -A
git commit -qm one
cd ..
git clone -q repo clone
cd clone
echo more >>d1/f1
[ "$(git status --short)" = ' M d1/f1' ] || fail "git status: $(git status --short)"
git commit -qam two
git gc -q
git fsck 2>/dev/null || fail 'git fsck'
git checkout -q HEAD~1
git checkout -q -
[ -z "$(git status --short)" ] || fail "afterwards: $(git status --short)"
cd ..
tar cf "$scratch/repo.tar" repo
mkdir untar
tar xf "$scratch/repo.tar" -C untar
diff -r repo untar/repo || fail 'what came out of tar is not what went in'

if command -v gcc >/dev/null && command -v make >/dev/null; then
    mkdir project
    cd project
    for i in 1 2 3 4; do echo "int f$i(void) { return $i; }" >f$i.c; done
    echo 'int f1(void), f2(void), f3(void), f4(void); int main(void) { return f1() + f2() + f3() + f4(); }' >main.c
    # shellcheck disable=SC2016 # make's own variables
    printf 'prog: $(patsubst %%.c,%%.o,$(wildcard *.c))\n\t$(CC) -o $@ $^\n' >Makefile
    make -s -j2 || fail make
    code=0
    ./prog || code=$?
    [ "$code" = 10 ] || fail "the program that was made exits with $code"
    make -q || fail 'make would make it again'
    touch f3.c
    if make -q; then fail 'make does not see a newer file'; fi
    cd ..
fi

timeout 60 python3 - <<'END' || fail 'sqlite'
import sqlite3, threading
for mode in "DELETE", "WAL":
    database = sqlite3.connect(mode)
    assert database.execute("pragma journal_mode=" + mode).fetchone()[0] == mode.lower()
    database.execute("create table t(a, b)")
    database.commit()
    def insert(number):
        mine = sqlite3.connect(mode, timeout=30)
        for i in range(5):
            with mine:
                mine.execute("insert into t values(?, ?)", (number, "x" * 3000))
    threads = [threading.Thread(target=insert, args=[n]) for n in range(3)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    assert database.execute("select count(*) from t").fetchone()[0] == 15
    assert database.execute("pragma integrity_check").fetchone()[0] == "ok"
END

# Host and guest append to one file, and make and remove names in one directory, at the same time.
mkdir both
mkdir "$sb/jobs/guest"
echo 'for i in $(seq 100); do echo guest >>/srv/both/log; echo $i >/srv/both/g$i; rm -f /srv/both/h$i; done' >"$sb/jobs/guest/cmd"
echo start >"$sb/jobs/guest/ctl"
for i in $(seq 100); do
    echo host >>both/log
    echo "$i" >"both/h$i"
    [ "$(cat "both/h$i" 2>/dev/null || echo "$i")" = "$i" ] || fail "h$i has another's contents"
done
[ "$(cat "$sb/jobs/guest/wait")" = 'exit 0' ] || fail "the guest: $(cat "$sb/jobs/guest/stderr")"
[ "$(grep -c host both/log) $(grep -c guest both/log)" = '100 100' ] || fail "lines were lost: $(sort both/log | uniq -c)"
[ "$(find both -name 'g*' | wc -l)" = 100 ] || fail 'names of the guest are missing'
for i in 1 50 100; do [ "$(cat both/g$i)" = "$i" ] || fail "g$i says $(cat both/g$i)"; done
echo 'ls /srv/both | wc -l' >"$sb/run"
[ "$(cat "$sb/last/stdout")" = "$(find both -mindepth 1 | wc -l)" ] || fail 'the two sides do not list the same'
cd "$scratch"
