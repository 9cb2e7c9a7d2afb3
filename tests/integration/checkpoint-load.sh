#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# shellcheck disable=SC2016 # what is in quotes is for the guest
# A checkpoint while a database is written and synced, git commits and collects garbage, and 100 processes run; restored again
# and again. The guest of these tests has no such programs and runs the host's, from read-only mounts of /usr and /lib.
. "$GONDOLIN_SOURCE/tests/integration/lib.sh"
requires git git
[ -x /usr/bin/python3 ] || skip "needs /usr/bin/python3 (Debian package python3)"

restores=${RESTORES:-5}
in_guest() {
    timeout 120 gondolin exec "$sb" -- sh -c "export PATH=/usr/bin:/usr/sbin:/bin:/sbin HOME=/tmp; cd /srv; $1"
}

programs='--bind /usr:/usr:ro --bind /lib:/lib:ro --bind /lib64:/lib64:ro'
# shellcheck disable=SC2086 # several words
sandbox sb --memory 512M $programs
# Says which transactions are committed, that is: synced.
cat >"$sb/root/srv/writer.py" <<'END'
import os, sqlite3
db = sqlite3.connect("/srv/db")
db.execute("create table pages (number integer primary key, half integer, text text)")
number = 0
while True:
    number += 1
    with db:
        db.execute("insert into pages values (?, 0, ?)", (number, "x" * 500))
        db.execute("update pages set half = half + 1, text = ? where number = ?", ("y" * 500, number // 2))
    with open("/srv/committed.new", "w") as file:
        file.write(str(number))
    os.rename("/srv/committed.new", "/srv/committed")
END
cat >"$sb/root/srv/check.py" <<'END'
import sqlite3, sys
db = sqlite3.connect("/srv/db")
said = db.execute("pragma integrity_check").fetchone()[0]
count, halves = db.execute("select count(*), sum(half) from pages").fetchone()
wanted = int(open("/srv/committed").read())
if said != "ok" or halves != count - 1 or wanted > count:
    sys.exit(f"integrity_check: {said}; {count} rows, {halves} updates, {wanted} committed")
END
cat >"$sb/root/srv/git.sh" <<'END'
git config --global user.email test@example.org; git config --global user.name test
round=0
while :; do
    round=$((round + 1))
    git init -q "repo$round" && cd "repo$round" || exit
    for commit in 1 2 3; do seq "$commit" 200 >"file$commit"; git add . && git commit -qm "$commit" || exit; done
    git gc -q && git fsck --strict 2>/srv/fsck || exit
    cd .. && echo "$round" >rounds.new && mv rounds.new rounds && rm -rf "repo$((round - 1))"
done
END
job() {
    mkdir "$sb/jobs/$1"
    echo "$2" >"$sb/jobs/$1/cmd"
    echo start >"$sb/jobs/$1/ctl"
}
job database 'exec /usr/bin/python3 /srv/writer.py'
job git 'export PATH=/usr/bin:/bin HOME=/tmp; cd /srv; . ./git.sh'
job hundred 'for i in $(seq 100); do (n=0; while /bin/sleep 9; do n=$((n + 1)); done) & done; wait'
state() {
    sed -n 's/^state //p' "$sb/jobs/$1/status"
}
sleeping() { # a few are between two sleeps
    [ "$(gondolin exec "$sb" -- sh -c '/bin/ps | grep -c "[/]bin/sleep 9"')" -ge 95 ]
}
all_run() {
    for job in database git hundred; do
        [ "$(state "$job")" = running ] || fail "$1: the job $job is $(state "$job"): $(cat "$sb/jobs/$job/stderr" "$sb/root/srv/fsck")"
    done
    eventually 20 sleeping || fail "$1: not all of 100 processes sleep: $(gondolin exec "$sb" -- /bin/ps)"
}
eventually 100 test -e "$sb/root/srv/rounds" || fail 'git has not gone round'
eventually 60 test -e "$sb/root/srv/committed" || fail 'nothing is committed'
all_run 'at first'
timeout 60 mkdir "$sb/checkpoints/load" || fail "mkdir: $(cat "$sb/error")"
all_run 'after the checkpoint'

count=0
while [ $count -lt "$restores" ]; do
    count=$((count + 1))
    echo 'restore load' >"$sb/ctl" || fail "restore $count: $(cat "$sb/error")"
    before=$(cat "$sb/root/srv/committed") rounds=$(cat "$sb/root/srv/rounds")
    all_run "restore $count"
    eventually 30 sh -c "[ \$(cat '$sb/root/srv/committed') != $before ]" || fail "restore $count: nothing more is committed"
done
gondolin checkpoint verify load >"$scratch/said" || fail "verify: $(cat "$scratch/said")"
eventually 100 sh -c "[ \$(cat '$sb/root/srv/rounds') != $rounds ]" || fail 'git does not go on'
echo 'kill KILL' >"$sb/jobs/database/ctl"
in_guest 'python3 check.py' || fail 'the database is damaged'
echo 'kill KILL' >"$sb/jobs/git/ctl"
in_guest 'cd repo$(cat rounds) && git fsck --strict && [ -z "$(git status --short)" ]' 2>"$scratch/said" || fail "git: $(cat "$scratch/said")"
timeout 20 gondolin umount "$sb"

# From its disk alone: as after pulling the plug, but with what was committed.
# shellcheck disable=SC2086
timeout 60 gondolin mount --from load --disk $programs "$sb" >/dev/null || fail 'the disk does not boot'
in_guest 'python3 check.py' || fail 'the database of the disk is damaged'
timeout 20 gondolin umount "$sb"
