#!/bin/sh
# gondolin list, status, attach, umount: finding sandboxes and ending them.
. "$GONDOLIN_SOURCE/tests/integration/lib.sh"
requires jq jq

sandbox one
one=$sb
id=$(gondolin list --json | jq -r '.[0].id')
[ "$(gondolin list -q)" = "$one" ] || fail "list -q: $(gondolin list -q)"
gondolin list | grep -Eq "^$id  one +running +busybox +[0-9]+[sm] +$one\$" || fail "list: $(gondolin list)"
gondolin list --json | jq -e ".[0] | .name == \"one\" and .state == \"running\" and .mountpoint == \"$one\" and
    .supervisor_pid > 1 and .vm_pid > 1 and .started_ms > 1600000000000" >/dev/null || fail "$(gondolin list --json)"

gondolin status | sed '/^uptime_ms/d; /^files_/d' >"$scratch/status"
sed '/^uptime_ms/d; /^files_/d' "$one/status" | cmp - "$scratch/status" || fail 'status is not the file status'
gondolin status --json one | jq -e ".state == \"running\" and .id == \"$id\" and (.ready_ms | type) == \"number\"" \
    >/dev/null || fail "status --json: $(gondolin status --json)"

# Every way to name it.
ln -s "$one" "$scratch/link"
for reference in one "$one" "$one/" "$one/root/etc" "$scratch/link" "$scratch/../$(basename "$scratch")/one" "$id" \
    "$(echo "$id" | cut -c1-4)"; do
    gondolin status "$reference" | grep -q "^id $id\$" || fail "not found as $reference"
done
(cd "$one/root/etc" && gondolin status . && gondolin status ..) | grep -c "^id $id\$" | grep -qx 2 || fail 'not found from inside'
(cd "$scratch" && gondolin status one/jobs) | grep -q "^id $id\$" || fail 'not found by a relative path'
refused 125 'did you mean "one"?' gondolin status onne

sandbox two --name other
refused 125 '2 sandboxes are running' gondolin exec -- true
[ "$(gondolin list -q | tr '\n' ' ')" = "$one $sb " ] || fail 'not listed by age'
[ "$(gondolin exec other -- hostname)" = other ] || fail 'not found by the name given'

# A paused one says so, and starts nothing that would wait unseen.
ls "$one/bin" >"$scratch/out"
echo pause >"$one/ctl"
grep -qx 'state paused' "$one/status" || fail "the status of a paused sandbox: $(cat "$one/status")"
gondolin list | grep -Eq "^$id  one +paused " || fail "list of a paused sandbox: $(gondolin list)"
gondolin list --json | jq -e '.[0].state == "paused" and .[1].state == "running"' >/dev/null || fail 'list --json of a paused sandbox'
gondolin status --json one | jq -e '.state == "paused"' >/dev/null || fail 'status --json of a paused sandbox'
refused 125 "the sandbox is paused; echo resume > $one/ctl" gondolin exec one -- true
refused 125 'the sandbox is paused' gondolin shell one
refused 125 'the sandbox is paused' "$one/bin/true"
timeout 10 sh -c "echo true >'$one/run'" 2>/dev/null && fail 'run in a paused sandbox succeeds'
grep -q 'run: the sandbox is paused' "$one/error" || fail "run in a paused sandbox: $(cat "$one/error")"
echo resume >"$one/ctl"
grep -qx 'state running' "$one/status" || fail "the status after resume: $(cat "$one/status")"
timeout 20 gondolin exec one -- true || fail 'exec after resume'

# Following the console.
(timeout 5 gondolin attach one || true) >"$scratch/console" &
echo 'sleep 1; echo printed on the console >/dev/console' >"$one/run"
eventually 10 grep -q 'printed on the console' "$scratch/console" || fail 'attach does not follow the console'

# Busy: who, and nothing is ended; then force.
(cd "$one/root/etc" && exec sleep 60) &
holder=$!
eventually 5 sh -c "readlink /proc/$holder/cwd | grep -q etc && grep -q sleep /proc/$holder/comm"
refused 125 "sleep (pid $holder, working directory)" gondolin umount one
[ "$(status_of state)" = running ] || fail 'a refused umount did something'
timeout 20 gondolin umount --force one || fail 'umount --force'
[ "$(gondolin list -q)" = "$sb" ] || fail 'still listed after umount --force'
kill "$holder"

# From inside, by the plain programs, and a second time.
(cd "$sb" && timeout 20 gondolin umount .) 2>"$scratch/err" && fail 'a directory in use was unmounted'
echo pause >"$sb/ctl"
timeout 6 gondolin umount other || fail 'umount by name, of a paused one' # which is not waited for in vain
nothing_left || fail "umount returned before it was over: $(leftovers)"
refused 125 'no running sandbox' gondolin umount other

sandbox three
umount "$sb" 2>/dev/null || fusermount3 -u "$sb"
expect_nothing_left

# A directory of any name: it is no key of the status, no terminal obeys it, JSON has it as it is; the guest's host name fits.
sandbox "$(printf 'odd\nstate x\033[2J_%080d' 0)"
shown=$(printf 'odd\\nstate x\\x1b[2J_%080d' 0)
grep -qF "$scratch/$shown " "$scratch/mount.out" || fail "mount prints $(cat "$scratch/mount.out")"
[ "$(status_of state)" = running ] || fail "the directory's name is a key: $(cat "$sb/status")"
[ "$(status_of mountpoint)" = "$scratch/$shown" ] || fail "mountpoint: $(status_of mountpoint)"
gondolin status | grep -qxF "mountpoint $scratch/$shown" || fail "status prints $(gondolin status)"
gondolin status --json | jq -e --arg path "$sb" '.mountpoint == $path and .state == "running"' >/dev/null || fail 'status --json'
gondolin list --json | jq -e --arg path "$sb" '.[0].mountpoint == $path' >/dev/null || fail "$(gondolin list --json)"
[ "$(gondolin list -q)" = "$scratch/$shown" ] || fail "list -q: $(gondolin list -q)"
[ "$(gondolin list | wc -l)" = 2 ] || fail "list: $(gondolin list)"
[ "$(gondolin exec -- hostname)" = "$(printf 'odd-state-x--2J-%048d' 0)" ] || fail "hostname: $(gondolin exec -- hostname)"
timeout 20 gondolin umount "$sb" || fail 'umount of an odd name'
gondolin list --ended | grep -qF " $scratch/$shown:" || fail "list --ended: $(gondolin list --ended)"
[ "$(gondolin list --ended -q | head -n 1)" = "$scratch/$shown" ] || fail "list --ended -q: $(gondolin list --ended -q)"

# A supervisor that does not answer is ended by force.
sandbox four
kill -STOP "$(gondolin list --json | jq '.[0].supervisor_pid')"
timeout 60 gondolin umount --force four || fail 'umount --force of a stopped supervisor'
expect_nothing_left
