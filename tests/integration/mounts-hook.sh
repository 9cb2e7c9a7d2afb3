#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# A program that watches and decides what the guest does in bound directories (--vfs-hook): what it refuses is not done, it
# reads what was done, by path, also after renames and for names that are no text; and when it dies, does not answer, or is
# no hook at all, everything fails closed at once.
. "$GONDOLIN_SOURCE/tests/integration/lib.sh"
requires python3 python3

in_guest() {
    timeout 60 gondolin exec "$sb" -- sh -c "$1"
}

hook_is() {
    [ "$(status_of hook_state)" = "$1" ]
}

said() {
    timeout 1 cat "$sb/log" | grep -q "$1"
}

data=$scratch/data
mkdir "$data" "$data/keep" "$scratch/other"
echo secret >"$data/keep/file"
echo plain >"$data/file"
echo late >"$data/slow-file"

# What a hook can be refused for before anything starts.
refused 125 'no such program on the PATH' gondolin mount --vfs-hook no-such-program "$scratch/refused"
refused 125 'not an executable file' gondolin mount --vfs-hook "$data/file" "$scratch/refused"
refused 125 'a quote is not closed' gondolin mount --vfs-hook "'sh" "$scratch/refused"
refused 125 'it is empty' gondolin run --vfs-hook ' ' -- true
[ ! -e "$scratch/refused" ] || fail "the mount point was made"
# And what is no hook.
refused 125 'its first line is no hello' gondolin mount --image busybox --bind "$data:/srv" --vfs-hook 'echo hello' \
    "$scratch/refused"
refused 125 'it has ended' gondolin mount --image busybox --bind "$data:/srv" --vfs-hook true "$scratch/refused"

# Denies below keep/, waits for the file `go` where the name is "slow" or "slow-file" is read, and writes down all lines. A relative argument is
# one of the directory that gondolin was called in.
cat >"$scratch/guard.py" <<'END'
import json, os, sys, threading
audit = open("audit", "a")
lock = threading.Lock()
def say(line):
    with lock:
        print(json.dumps(line), flush=True)
def decide(e):
    if any(p and p.startswith("keep/") for p in (e["path"], e.get("to"))):
        return say({"id": e["id"], "errno": "EACCES"})
    if e["path"] == "slow" or (e["path"] == "slow-file" and e["op"] == "read"):
        open("go").read()
    say({"id": e["id"], "allow": True})
print("guard is there", file=sys.stderr)
say({"hook": 1, "decides": True, "timeout_ms": 20000})
for line in sys.stdin:
    e = json.loads(line)
    audit.write(line)
    audit.flush()
    if "op" in e:
        threading.Thread(target=decide, args=[e], daemon=True).start()
END
mkfifo "$scratch/go"
cd "$scratch"
sandbox sb --bind "$data:/srv/data" --memfs /srv/memory --vfs-hook 'python3 guard.py'
cd /
hook_is deciding || fail "hook_state is $(status_of hook_state)"
said 'hook: guard is there' || fail "its standard error is not in the log"

in_guest 'echo more >>/srv/data/file && mkdir /srv/data/dir && mv /srv/data/file /srv/data/dir/moved &&
    echo again >>/srv/data/dir/moved && cat /srv/data/dir/moved' >"$scratch/out" || fail "what is allowed is not done"
[ "$(tr '\n' ' ' <"$scratch/out")" = 'plain more again ' ] || fail "the guest reads $(cat "$scratch/out")"
in_guest 'cat /srv/data/keep/file' 2>"$scratch/out" && fail "reading is not refused"
grep -q 'Permission denied' "$scratch/out" || fail "refused with: $(cat "$scratch/out")"
in_guest 'mv /srv/data/dir/moved /srv/data/keep/moved || echo x >/srv/data/keep/new || rm /srv/data/keep/file ||
    mkdir /srv/data/keep/d || ln /srv/data/dir/moved /srv/data/keep/l' 2>/dev/null && fail "a change is not refused"
[ "$(ls "$data/keep")" = file ] || fail "what is refused is done"
# shellcheck disable=SC1112
# shellcheck disable=SC2016 # the guest's shell expands
in_guest 'touch "$(printf "/srv/memory/\377 \"é")"' || fail "a name that is no text"

# Each operation has its line, and its result.
python3 - "$scratch/audit" >"$scratch/out" <<'END' || fail "the audit"
import json, os, sys
lines = [json.loads(l) for l in open(sys.argv[1])]
results = {l["id"]: l.get("errno", l["result"]) for l in lines if "result" in l}
for l in lines:
    if l.get("op") in ("mkdir", "rename", "create", "write", "unlink", "link") or l.get("access") == "w":
        print(l["op"], l["mount"], os.fsencode(l["path"]), l.get("to", "-"), l.get("size", "-"), results[l["id"]])
END
cat >"$scratch/expected" <<'END'
open /srv/data b'file' - - 0
write /srv/data b'file' - 5 5
mkdir /srv/data b'dir' - - 0
rename /srv/data b'file' dir/moved - 0
open /srv/data b'dir/moved' - - 0
write /srv/data b'dir/moved' - 6 6
rename /srv/data b'dir/moved' keep/moved - EACCES
create /srv/data b'keep/new' - - EACCES
unlink /srv/data b'keep/file' - - EACCES
mkdir /srv/data b'keep/d' - - EACCES
link /srv/data b'dir/moved' keep/l - EACCES
END
printf "%s\n" "create /srv/memory b'\\xff \"\\xc3\\xa9' - - 0" >>"$scratch/expected"
diff "$scratch/expected" "$scratch/out" >"$scratch/diff" || fail "expected (<) and written down (>): $(cat "$scratch/diff")"

# One decision that takes long holds up no other operation (but, in the guest's kernel, those in the same directory).
in_guest 'mkdir /srv/data/slow && echo done' >"$scratch/slow" &
slow=$!
eventually 10 grep -q '"path":"slow"' "$scratch/audit" || fail "the slow one was not asked about"
in_guest 'mkdir /srv/data/dir/fast' || fail "another one is held up"
[ ! -s "$scratch/slow" ] || fail "the slow one was not waited for"
echo >"$scratch/go"
ends_within 10 "$slow"
[ -d "$data/slow" ] || fail "the slow one was not done"

# Nor any other program, if the kernel locks the slow one's output while it waits (cat uses sendfile) and a job ends.
in_guest 'cat /srv/data/slow-file & sleep 2' >"$scratch/slow" &
slow=$!
eventually 10 grep -q '"op":"read".*"path":"slow-file"' "$scratch/audit" || fail "the slow read was not asked about"
for _ in 1 2 3 4; do
    [ "$(timeout -s KILL 10 gondolin exec "$sb" -- sh -c 'sleep 1; echo up')" = up ] || fail "a slow read holds up the guest"
done
[ ! -s "$scratch/slow" ] || fail "the slow read was not waited for"
echo >"$scratch/go"
ends_within 10 "$slow"
[ "$(cat "$scratch/slow")" = late ] || fail "a slow read gave: $(cat "$scratch/slow")"

# Killed while it is to decide: the errno comes at once, and from then on everything fails.
in_guest 'rmdir /srv/data/slow; ls /srv/data/dir; echo x >/srv/memory/x; echo over' >"$scratch/out" 2>&1 &
waiting=$!
eventually 10 grep -q '"op":"rmdir".*"path":"slow"' "$scratch/audit" || fail "it was not asked"
kill -9 "$(status_of hook_pid)"
ends_within 10 "$waiting"
[ "$(grep -c 'Input/output error' "$scratch/out")" = 3 ] || fail "after its death: $(cat "$scratch/out")"
[ -d "$data/slow" ] || fail "it was done without consent"
hook_is dead || fail "hook_state is $(status_of hook_state)"
said 'hook: the program is dead: it has ended' || fail "the death is not in the log"
[ "$(in_guest 'echo up')" = up ] || fail "the guest has gone, too"

# A new session has a new one.
timeout 20 sh -c "echo 'bind $scratch/other:/srv/other' >'$sb/ctl'" || fail "bind: $(cat "$sb/error")"
eventually 2 hook_is deciding || fail "after bind hook_state is $(status_of hook_state)"
in_guest 'echo x >/srv/other/file' || fail "after bind nothing works"
mkdir "$sb/checkpoints/before" || fail "a checkpoint: $(cat "$sb/error")"
hook=$(status_of hook_pid)
timeout 60 sh -c "echo 'restore before' >'$sb/ctl'" || fail "restore: $(cat "$sb/error")"
eventually 2 hook_is deciding || fail "after restore hook_state is $(status_of hook_state)"
[ "$(status_of hook_pid)" != "$hook" ] || fail "after restore it is the same program"
in_guest 'cat /srv/data/keep/file' 2>/dev/null && fail "after restore reading is not refused"
in_guest 'cat /srv/other/file' >/dev/null || fail "after restore nothing works"
gondolin umount "$sb"
expect_nothing_left

# A fork has the one that it is given.
cd "$scratch"
timeout 120 gondolin mount --from before --bind "$data:/srv/data" --vfs-hook 'python3 guard.py' "$sb" || fail "fork"
cd /
hook_is deciding || fail "in a fork hook_state is $(status_of hook_state)"
in_guest 'cat /srv/data/keep/file' 2>/dev/null && fail "in a fork reading is not refused"
[ "$(in_guest 'cat /srv/data/dir/moved' | tr '\n' ' ')" = 'plain more again ' ] || fail "in a fork what is allowed is not done"
gondolin umount "$sb"
expect_nothing_left

# One that never answers, with somebody else at its end of the socket when it is killed.
cat >"$scratch/silent" <<'END'
#!/bin/sh
echo '{"hook":1,"decides":true,"timeout_ms":1000,"ops":["mkdir","rmdir"]}'
sleep 1000 & wait
END
chmod +x "$scratch/silent"
sandbox sb --bind "$scratch/other:/srv/other" --vfs-hook "$scratch/silent"
timeout 20 cat "$sb/events" >"$scratch/events" &
events=$!
in_guest 'echo y >/srv/other/file' || fail "what it has not chosen is held up"
began=$(date +%s%N)
in_guest 'mkdir /srv/other/d' 2>"$scratch/out" && fail "done without an answer"
took=$((($(date +%s%N) - began) / 1000000))
grep -q 'Input/output error' "$scratch/out" || fail "without an answer: $(cat "$scratch/out")"
{ [ "$took" -ge 1000 ] && [ "$took" -lt 4000 ]; } || fail "the deadline came after $took ms"
hook_is dead || fail "hook_state is $(status_of hook_state)"
in_guest 'cat /srv/other/file' 2>/dev/null && fail "after its death something works"
kill "$events"
grep '"event":"hook-dead"' "$scratch/events" | grep -q '"why":"it has not answered for 1000 ms"' ||
    fail "events: $(cat "$scratch/events")"
timeout 20 sh -c "echo 'bind $data:/srv/data' >'$sb/ctl'" || fail "bind: $(cat "$sb/error")"
kill -9 "$(status_of hook_pid)"
eventually 2 hook_is dead || fail "its children keep it alive"
gondolin umount "$sb"

# The example of the manual page does what it says, also for a sandbox of one command.
sed -n '/^#!.*python3/,/^\.Ed/p' "$GONDOLIN_SOURCE/docs/gondolin-vfs-hook.7" | grep -v '^\.Ed' >"$scratch/example"
chmod +x "$scratch/example"
timeout 100 gondolin run --image busybox --bind "$data:/srv" --vfs-hook "$scratch/example" -- sh -c 'cat /srv/keep/file
    echo x >/srv/keep/file || mv /srv/keep /srv/k || true >/srv/keep/new || echo new >/srv/new' >"$scratch/out" 2>/dev/null ||
    fail "the example refuses what it should allow"
{ [ "$(cat "$scratch/out")" = secret ] && [ "$(cat "$data/keep/file")" = secret ] && [ "$(ls "$data/keep")" = file ] &&
    [ "$(cat "$data/new")" = new ]; } || fail "the example: $(ls -R "$data")"
