#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Host directories and files in the guest: reading and writing in both directions, read-only ones, noexec, nested ones,
# what mounts/ and status tell of them, and options that are refused before anything starts.
. "$GONDOLIN_SOURCE/tests/integration/lib.sh"

in_guest() {
    timeout 60 gondolin exec "$sb" -- sh -c "$1"
}

data=$scratch/data
mkdir "$data" "$data/sub" "$scratch/ro" "$scratch/inner" "$scratch/noexec"
echo 'from the host' >"$data/file"
echo fixed >"$scratch/ro/file"
echo 'inner file' >"$scratch/inner/file"
echo single >"$scratch/one"

while IFS='|' read -r pattern options; do
    # shellcheck disable=SC2086 # several options
    refused 125 "$pattern" gondolin mount --image busybox $options "$scratch/refused"
    [ ! -e "$scratch/refused" ] || fail "$options: the mount point was made"
done <<END
mount: --bind: /nowhere: No such file|--bind /nowhere:/srv
mount: --bind.*HOST:GUEST|--bind $data
mount: --bind.*has to be absolute|--bind $data:srv
mount: --bind.*\. and \.\.|--bind $data:/srv/../etc
mount: --bind.*root of the guest|--bind $data:/
mount: --bind.*the guest needs /proc|--bind $data:/proc/x
mount: --bind.*unknown option "roo"; did you mean ro|--bind $data:/srv:roo
mount: --bind.*owner.*did you mean mapped|--bind $data:/srv:owner=maped
mount: --bind: /srv: something is mounted there already|--bind $data:/srv --bind $scratch/ro:/srv/
mount: --bind.*neither a directory nor a regular file|--bind /dev/null:/srv
mount: --memfs.*size|--memfs /srv:size=many
END

# Without mounts there is no worker, and they can come later.
sandbox sb --bind "$data:/srv/data" --bind "$scratch/ro:/srv/ro:ro" --bind "$scratch/inner:/srv/data/sub/inner" \
    --bind "$scratch/one:/etc/one" --bind "$scratch/noexec:/srv/noexec:noexec"
[ "$(in_guest 'cat /srv/data/file /srv/ro/file /srv/data/sub/inner/file /etc/one')" = "$(printf \
    'from the host\nfixed\ninner file\nsingle')" ] || fail "the guest reads something else"
in_guest 'echo guest >/srv/data/made && mkdir /srv/data/dir && echo again >>/etc/one && rm /srv/data/sub/inner/file' ||
    fail "the guest cannot write"
{ [ "$(cat "$data/made")" = guest ] && [ -d "$data/dir" ]; } || fail "what the guest wrote is not on the host"
[ "$(cat "$scratch/one")" = "$(printf 'single\nagain')" ] || fail "the single file was not appended to"
[ ! -e "$scratch/inner/file" ] || fail "the guest's rm did nothing"
in_guest 'echo x >/srv/ro/file' 2>"$scratch/said" && fail "a read-only mount was written to"
grep -q 'Read-only' "$scratch/said" || fail "writing to a read-only mount: $(cat "$scratch/said")"

# Read-only is kept on the host, whatever the guest's root mounts; noexec is what its kernel makes of it.
in_guest 'mount -o remount,bind,rw /srv/ro; echo x >/srv/ro/file' 2>"$scratch/said" && fail "a read-only mount was remounted"
grep -q 'Read-only' "$scratch/said" || fail "writing after remounting: $(cat "$scratch/said")"
in_guest 'grep -q " /srv/noexec fuse.gondolin [^ ]*noexec" /proc/mounts' || fail "noexec is not in /proc/mounts"
in_guest 'printf "#!/bin/sh\necho ran" >/srv/noexec/script; cp /bin/busybox /srv/noexec; chmod 755 /srv/noexec/*'
for program in script busybox; do
    code=0
    in_guest "exec /srv/noexec/$program" >"$scratch/said" 2>&1 || code=$?
    { [ "$code" = 126 ] && grep -q 'Permission denied' "$scratch/said"; } || fail "noexec: $program: $code $(cat "$scratch/said")"
done
[ "$(in_guest 'mount -o remount,bind,exec /srv/noexec && exec /srv/noexec/script')" = ran ] ||
    fail "root of the guest cannot take noexec away, as the manual says"

# read-after-write in both directions
for i in 1 2 3 4 5; do
    echo "host $i" >"$data/file"
    [ "$(in_guest 'cat /srv/data/file')" = "host $i" ] || fail "the guest reads an old file"
    in_guest "echo 'guest $i' >/srv/data/file"
    [ "$(cat "$data/file")" = "guest $i" ] || fail "the host reads an old file"
done

[ "$(cat "$sb/mounts/srv:data/source")" = "$data" ] || fail "source"
[ "$(cat "$sb/mounts/srv:data/target")" = /srv/data ] || fail "target"
[ "$(cat "$sb/mounts/srv:ro/options")" = ro ] || fail "options"
[ "$(cat "$sb/mounts/srv:data:sub:inner/state")" = mounted ] || fail "state"
grep -q '^bytes_written [1-9]' "$sb/mounts/srv:data/counters" || fail "counters"
{ [ "$(status_of mounts)" = 5 ] && [ "$(status_of mounts_seccomp)" = yes ]; } || fail "status"
