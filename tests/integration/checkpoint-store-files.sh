#!/bin/sh
# Checkpoints in the store, made without a sandbox: exported, removed, imported, verified; spoiled in every file; removed by
# several at once; exports and imports that are interrupted leave nothing.
. "$GONDOLIN_SOURCE/tests/integration/lib.sh"
requires python3 python3

make=$GONDOLIN_BUILD/tests/tools/make-checkpoint
image=$(find "$shared_store/images" -mindepth 1 -maxdepth 1 -type d | head -n 1)
image=${image##*/}
checkpoints=$GONDOLIN_STORE/checkpoints
file=$scratch/file

made() {
    "$make" "$1" "$image" "$2" "$3" 2>"$scratch/make.log" || fail "make-checkpoint $*"
}

made a - full
made b a full
made c b disk
gondolin checkpoint verify c >/dev/null || fail 'a fresh checkpoint does not verify'
[ "$(gondolin checkpoint tree | wc -l)" = 3 ] || fail 'tree'
gondolin checkpoint show b | grep -q '^children *c$' || fail 'show does not name the children'
gondolin checkpoint describe b "$(printf 'one\ntwo')" || fail 'describe'

# Where others lie on it, it stays.
refused 125 'others lie on it: b' gondolin checkpoint rm a
refused 125 'did you mean' gondolin checkpoint rm aa
refused 125 'lie on: a, b, c' gondolin image rm "$image"

# As one file and back.
gondolin checkpoint export c "$file" 2>"$scratch/export.log" || fail 'export'
refused 125 'exists already' gondolin checkpoint export c "$file"
gondolin checkpoint export b - >"$scratch/file-b" 2>"$scratch/export.log" || fail 'export to standard output'
refused 125 'there is a checkpoint c already' gondolin checkpoint import "$file"
cp --sparse=always "$checkpoints/b/ram" "$scratch/ram"
gondolin checkpoint rm c b a || fail 'rm'
[ -z "$(gondolin checkpoint ls 2>/dev/null)" ] || fail 'rm left some'
[ "$(gondolin checkpoint import "$file" d)" = d ] || fail 'import'
[ "$(gondolin checkpoint import - <"$scratch/file-b")" = b ] || fail 'import from standard input'
for imported in b d; do
    gondolin checkpoint verify "$imported" >/dev/null 2>"$scratch/verify.log" || fail "$imported does not verify"
    ! grep -q '"parent"' "$checkpoints/$imported/manifest.json" || fail "$imported has a parent"
done
cmp -s "$scratch/ram" "$checkpoints/b/ram" || fail 'memory differs'
[ "$(cat "$checkpoints/b/output")" = unread ] || fail 'the output of jobs was lost'
[ "$(du -k "$checkpoints/b/ram" | cut -f 1)" -lt 5000 ] || fail 'the holes of the memory were filled'
gondolin checkpoint show b | grep -q '^description two$' || fail 'the description was lost'
if command -v qemu-img >/dev/null; then
    qemu-img check -q "$checkpoints/d/disk.qcow2" || fail 'qemu-img check'
    [ "$(qemu-img info --backing-chain "$checkpoints/d/disk.qcow2" | grep -c '^image:')" = 4 ] || fail 'the chain of disks'
fi

# One changed byte in any file is found and named.
for victim in disk.qcow2 layer-1.qcow2 ram state output manifest.json; do
    rm -rf "$scratch/kept"
    cp -a "$checkpoints/b" "$scratch/kept"
    printf x | dd of="$checkpoints/b/$victim" bs=1 seek=700 conv=notrunc status=none
    refused 125 "$victim" gondolin checkpoint verify b
    gondolin checkpoint verify --json b | grep -q '"ok":false' || fail "verify --json of a spoiled $victim"
    rm -rf "$checkpoints/b"
    mv "$scratch/kept" "$checkpoints/b"
    truncate -s 600 "$checkpoints/b/$victim"
    refused 125 "$victim" gondolin checkpoint export b "$scratch/never"
    rm -rf "$checkpoints/b"
    gondolin checkpoint import "$scratch/file-b" >/dev/null || fail 'import once more'
done

# What somebody else's manifest says of the machine leads to no file of the host, also when it has come by another way.
sed -i 's|"machine": *{|&"machine":"q35,initrd=/etc/shadow",|' "$checkpoints/b/manifest.json"
refused 125 'may not choose "initrd=/etc/shadow"' gondolin mount --from b "$scratch/mnt"
refused 125 'cannot go on here' gondolin mount --from b --machine q35,hpet=off "$scratch/mnt"
rm -rf "$checkpoints/b"
gondolin checkpoint import "$scratch/file-b" >/dev/null || fail 'import after the manifest was changed'

# Whatever byte of a file is changed, wherever it is cut: refused, or what was imported is whole.
size=$(stat -c %s "$file")
for at in 0 5 40 100 $((size / 4)) $((size / 2)) $((size - 40)) $((size - 2)); do
    cp "$file" "$scratch/spoiled"
    printf '\377' | dd of="$scratch/spoiled" bs=1 seek="$at" conv=notrunc status=none
    if gondolin checkpoint import "$scratch/spoiled" e >/dev/null 2>"$scratch/said"; then
        gondolin checkpoint verify e >/dev/null || fail "a byte changed at $at got through"
        gondolin checkpoint rm e
    fi
    [ ! -e "$checkpoints/e" ] || fail "a byte changed at $at left something"
    head -c "$at" "$file" >"$scratch/spoiled"
    refused 125 'spoiled' gondolin checkpoint import "$scratch/spoiled" e
done
refused 125 'damaged, or not a file' gondolin checkpoint import /etc/passwd
refused 125 'irectory' gondolin checkpoint import "$scratch"

# Files that nobody's export has written.
python3 "$GONDOLIN_SOURCE/tests/tools/hostile-checkpoints.py" "$scratch/file-b" "$scratch" || fail 'hostile-checkpoints.py'
gondolin checkpoint import "$scratch/sound" e >/dev/null || fail 'a file made like them, but sound, is refused'
gondolin checkpoint rm e
for hostile in "$scratch"/hostile-*; do
    refused 125 'hostile' gondolin checkpoint import "$hostile" e
    echo "$(basename "$hostile"): $(sed 's/.*hostile-[^:]*: //' "$scratch/said")"
done
[ ! -e "$checkpoints/e" ] || fail 'a hostile file got through'
refused 125 'image/rootfs.qcow2: it has 4398046511104 bytes' gondolin checkpoint import "$scratch/hostile-huge-image" e
[ ! -e "$scratch/escaped" ] || fail 'a hostile file escaped'

# Without the image it is refused, naming it; with it, it comes along.
gondolin checkpoint export --with-image b "$scratch/with-image" || fail 'export --with-image'
mkdir -m 0700 "$scratch/other"
refused 125 "$image" env GONDOLIN_STORE="$scratch/other" gondolin checkpoint import "$scratch/file-b"
GONDOLIN_STORE=$scratch/other gondolin checkpoint import "$scratch/with-image" >/dev/null || fail 'import with the image'
GONDOLIN_STORE=$scratch/other gondolin checkpoint verify b >/dev/null || fail 'verify with the imported image'
[ -z "$(ls "$scratch/other/tmp")" ] || fail 'an import left work behind'

# The store can be moved.
mv "$scratch/other" "$scratch/moved"
GONDOLIN_STORE=$scratch/moved gondolin checkpoint verify b >/dev/null || fail 'verify in a store that was moved'

# Several who remove one: one does, nobody crashes.
for _ in 1 2 3 4 5; do
    made victim - disk
    for i in 1 2 3 4; do
        gondolin checkpoint rm victim 2>"$scratch/rm.$i" && : >"$scratch/removed.$i" &
    done
    wait
    [ "$(find "$scratch" -name 'removed.*' | wc -l)" = 1 ] || fail "removed by $(find "$scratch" -name 'removed.*' | wc -l)"
    rm -f "$scratch"/removed.*
    [ ! -e "$checkpoints/victim" ] || fail 'it is still there'
done

# Interrupted while it reads or writes: nothing is left, and the signal is what ended it.
size=$(stat -c %s "$scratch/file-b")
for signal in HUP TERM KILL; do # a shell's background jobs ignore SIGINT
    mkfifo "$scratch/pipe"
    gondolin checkpoint import "$scratch/pipe" e >/dev/null 2>&1 &
    pid=$!
    { head -c "$((size - 1000))" "$scratch/file-b"; sleep 30; } >"$scratch/pipe" 2>/dev/null &
    feeder=$!
    eventually 10 sh -c "ls '$GONDOLIN_STORE/tmp' | grep -q import" || fail 'the import did not begin'
    kill -s "$signal" "$pid"
    ends_within 10 "$pid"
    [ "$code" -gt 128 ] || fail "import ended by SIG$signal exits with $code"
    kill "$feeder" 2>/dev/null || true
    wait "$feeder" 2>/dev/null || true
    rm "$scratch/pipe"
    [ "$signal" = KILL ] || [ -z "$(ls "$GONDOLIN_STORE/tmp")" ] || fail "SIG$signal left $(ls "$GONDOLIN_STORE/tmp")"
done
gondolin gc --json | grep -q '"abandoned":1' || fail 'gc did not find the abandoned work'
[ -z "$(ls "$GONDOLIN_STORE/tmp")" ] || fail 'gc left it'
mkdir "$scratch/out"
gondolin checkpoint export b "$scratch/out/file" 2>/dev/null &
pid=$!
# The file has no name before it is whole: its descriptor shows that it is being written.
eventually 10 sh -c "! kill -0 $pid || find /proc/$pid/fd -lname '$scratch/out/*' | grep -q ." || fail 'the export did not begin'
kill -9 "$pid" 2>/dev/null || true
wait "$pid" 2>/dev/null || true
[ -z "$(find "$scratch/out" -mindepth 1 -not -name file)" ] || fail 'an export that was killed left something'

# Templates: shown, kept while in use, cleared on request.
"$make" abc123 "$image" template full || fail 'make-checkpoint template'
gondolin gc | grep -q 'template  *abc123.*kept' || fail 'gc does not show the template'
gondolin gc -n --templates | grep -q 'abc123.*would be removed' || fail 'gc --dry-run'
gondolin gc --templates | grep -q 'abc123.*: removed' || fail 'gc --templates'
[ -z "$(ls "$GONDOLIN_STORE/templates")" ] || fail 'gc --templates left some'
