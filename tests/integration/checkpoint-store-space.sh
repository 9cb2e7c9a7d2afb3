#!/bin/sh
# A store on a full file system: publishing and importing say so and leave nothing; what was there stays whole.
. "$GONDOLIN_SOURCE/tests/integration/lib.sh"

# The small file system is mounted where only this script sees it.
if [ "${NO_SPACE_NAMESPACE:-}" = '' ]; then
    requires unshare util-linux
    map=--map-root-user
    [ "$(id -u)" = 0 ] && map=
    # shellcheck disable=SC2086 # empty or one word
    unshare $map --mount true 2>/dev/null || skip 'needs a mount namespace'
    # shellcheck disable=SC2086
    NO_SPACE_NAMESPACE=1 GONDOLIN_STORE=$shared_store unshare $map --mount sh "$0" && exit 0
    exit 1
fi

make=$GONDOLIN_BUILD/tests/tools/make-checkpoint
image=$(find "$shared_store/images" -mindepth 1 -maxdepth 1 -type d | head -n 1)
image=${image##*/}
"$make" a "$image" - full || fail 'make-checkpoint'
gondolin checkpoint export a "$scratch/file" || fail 'export'
gondolin checkpoint rm a

store=$scratch/small
mkdir "$store"
mount -t tmpfs -o size=70m,mode=0700 none "$store"
ln -s "$shared_store/images" "$shared_store/tags" "$shared_store/cache" "$store"
export GONDOLIN_STORE="$store"
at_end() {
    umount "$store" 2>/dev/null || true
}

gondolin checkpoint import "$scratch/file" whole || fail 'an import that fits'
# So little is left that the next does not.
head -c 64M /dev/zero >"$store/filler" || true
refused 125 'no space left' gondolin checkpoint import "$scratch/file" second
if "$make" third "$image" - full 2>"$scratch/make.log"; then fail 'published without space'; fi
[ -z "$(find "$store/tmp" -mindepth 1)" ] || fail "left: $(find "$store/tmp" -mindepth 1)"
[ "$(ls "$store/checkpoints")" = whole ] || fail "checkpoints: $(ls "$store/checkpoints")"
gondolin checkpoint verify whole >/dev/null || fail 'the earlier one is damaged'
# An archive that fails to be written keeps libarchive's own buffer of it (archive_write_fail, 3.6).
echo 'leak:libarchive.so' >"$scratch/leaks-of-others"
export LSAN_OPTIONS="suppressions=$scratch/leaks-of-others:print_suppressions=0"
refused 125 'No space left' gondolin checkpoint export whole "$store/file"
unset LSAN_OPTIONS
[ ! -e "$store/file" ] || fail 'half an export'
gondolin checkpoint rm whole || fail 'rm on a full file system'
