#!/bin/sh
# The second mount of an image starts from the state after the first one's boot; whatever is wrong with that, it boots.
# shellcheck disable=SC2016 # what is in single quotes is for the guest
. "$GONDOLIN_SOURCE/tests/integration/lib.sh"

started() {
    [ "$(status_of start)" = "$1" ] || fail "$2: started $(status_of start), not $1: $(cat "$sb/log")"
    [ "$(gondolin exec "$sb" -- hostname)" = sb ] || fail "$2: its host name is another"
    gondolin exec "$sb" -- cat /etc/machine-id /proc/sys/kernel/random/uuid >>"$scratch/ids"
    now=$(date +%s) then=$(gondolin exec "$sb" -- date +%s) later=$(date +%s)
    if [ "$then" -lt $((now - 2)) ] || [ "$then" -gt $((later + 2)) ]; then
        fail "$2: its clock says $then between $now and $later"
    fi
    timeout 20 gondolin umount "$sb"
    eventually 5 nothing_left || fail "$2: left behind: $(leftovers)"
}
templates() {
    find "$GONDOLIN_STORE/templates" -mindepth 1 -maxdepth 1 2>/dev/null | wc -l
}
sandbox sb --cold
started cold --cold
[ "$(templates)" = 0 ] || fail '--cold leaves a template'
sandbox
started cold first
[ "$(templates)" = 1 ] || fail 'no template was kept'
sandbox
started warm second
sandbox sb --cold
started cold '--cold with a template'
sandbox sb --memory 256M
started cold 'another shape'
[ "$(templates)" = 2 ] || fail 'another shape has no template of its own'
sandbox sb --append loglevel=3
started cold 'other words for the kernel'
sandbox sb --name sb --owner guest --exec
started warm 'options of the host side only'
[ "$(sort "$scratch/ids" | uniq -d | wc -l)" = 0 ] || fail "ids that are there twice: $(sort "$scratch/ids" | uniq -d)"
[ "$(gondolin run --image busybox -- sh -c 'echo $((6 * 7)); exit 3' || echo $?)" = "42
3" ] || fail 'run from a template'

# A sandbox from a template has checkpoints that do not need it.
sandbox
echo here >"$sb/root/srv/here"
timeout 30 mkdir "$sb/checkpoints/one" || fail "mkdir: $(cat "$sb/error")"
timeout 20 gondolin umount "$sb"
gondolin gc --templates >"$scratch/gc" || fail "gc: $(cat "$scratch/gc")"
[ "$(templates)" = 0 ] || fail "gc leaves templates: $(cat "$scratch/gc")"
[ "$(gondolin run --from one -- cat /srv/here)" = here ] || fail 'a checkpoint needs a template'
gondolin checkpoint rm one

# What a sandbox runs from stays what its checkpoints lie on, also when another template has that one's name meanwhile.
sandbox
timeout 20 gondolin umount "$sb"
eventually 5 nothing_left || fail "left behind: $(leftovers)"
sandbox old
cp "$(echo "$GONDOLIN_STORE"/templates/*/disk.qcow2)" "$scratch/old-disk"
echo x >>"$(echo "$GONDOLIN_STORE"/templates/*/state)"
sandbox new
grep -q 'template is dropped' "$sb/log" || fail "the log does not tell: $(cat "$sb/log")"
timeout 20 gondolin umount "$sb" # after which the new template is complete
! cmp -s "$scratch/old-disk" "$(echo "$GONDOLIN_STORE"/templates/*/disk.qcow2)" || fail 'both templates have the same disk'
sb=$scratch/old
timeout 30 mkdir "$sb/checkpoints/one" || fail "mkdir: $(cat "$sb/error")"
cmp -s "$scratch/old-disk" "$GONDOLIN_STORE/checkpoints/one/layer-1.qcow2" || fail 'a checkpoint lies on another disk'
timeout 20 gondolin umount "$sb"
gondolin checkpoint rm one
gondolin gc --templates >/dev/null

# One that was made from a copy of the image elsewhere makes way when that has gone.
cp -RL "$GONDOLIN_STORE/tags/busybox/." "$scratch/copy"
timeout 120 gondolin mount --image "$scratch/copy" "$scratch/sb" >/dev/null 2>"$scratch/mount.log" || fail 'mount of a copy'
timeout 20 gondolin umount "$scratch/sb"
rm -rf "$scratch/copy"
sandbox
started cold 'the copy has gone'
sandbox
started warm 'after that'
gondolin gc --templates >/dev/null

# Damaged templates are dropped, with a line in the log, and made again.
for file in ram state disk.qcow2 manifest.json; do
    sandbox
    timeout 20 gondolin umount "$sb"
    eventually 5 nothing_left || fail "$file: left behind: $(leftovers)" # the template is complete when all has ended
    [ "$(templates)" = 1 ] || fail "$file: no template"
    printf damaged | dd of="$(echo "$GONDOLIN_STORE"/templates/*/"$file")" bs=1 seek=90 conv=notrunc 2>/dev/null
    sandbox
    grep -q 'template is dropped' "$sb/log" || fail "$file: the log does not tell: $(cat "$sb/log")"
    started cold "damaged $file"
    sandbox
    started warm "after a damaged $file"
    gondolin gc --templates >/dev/null
done
