#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# A build for which the store's file system is too small says so, and leaves nothing there that was not there before.
. "$GONDOLIN_SOURCE/tests/integration/lib.sh"

# The small file system is mounted where only this script sees it.
if [ "${NO_SPACE_NAMESPACE:-}" = '' ]; then
    requires unshare util-linux
    map=--map-root-user
    [ "$(id -u)" = 0 ] && map=
    # shellcheck disable=SC2086 # empty or one word
    unshare $map --mount true 2>/dev/null || skip 'needs a mount namespace'
    # shellcheck disable=SC2086
    NO_SPACE_NAMESPACE=1 unshare $map --mount sh "$0" && exit 0
    exit 1
fi

store=$scratch/store
mkdir "$store"
export GONDOLIN_STORE="$store"

# expect_no_space SIZE KEPT: builds in a store of that size to which KEPT of the main store's cache is copied.
expect_no_space() {
    mount -t tmpfs -o "size=$1,mode=0700" none "$store"
    [ -z "$2" ] || { mkdir -m 0700 "$store/cache" && cp -a "$shared_store/cache/$2" "$store/cache/"; }
    if gondolin build busybox --fresh 2>"$scratch/build.log"; then fail "a build in $1 succeeded"; fi
    grep -q 'no space left on the file system of .*GONDOLIN_STORE' "$scratch/build.log" || fail "with $1: the error is another"
    left=$(find "$store/tmp" "$store/images" "$store/tags" -mindepth 1)
    [ -z "$left" ] || fail "with $1: left: $left"
    umount "$store"
}

expect_no_space 32M ''        # not even worth to begin
expect_no_space 150M ''       # not enough for the kernel
expect_no_space 300M kernel   # not enough for the appliance
