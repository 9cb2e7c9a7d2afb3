#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# A build that is killed, at whatever moment, leaves no image under the name, no process and nothing in /tmp; the next
# build tidies the store up and succeeds.
. "$GONDOLIN_SOURCE/tests/integration/lib.sh"

mkdir -m 0700 "$scratch/store"
# The kernel and the appliance are not what is tested here.
cp -al "$shared_store/cache" "$scratch/store/" 2>/dev/null || cp -a "$shared_store/cache" "$scratch/store/"
GONDOLIN_STORE=$scratch/store
export GONDOLIN_STORE

build_processes() {
    for proc in /proc/[0-9]*; do
        tr '\0' '\n' <"$proc/environ" 2>/dev/null | grep -qxF "GONDOLIN_STORE=$GONDOLIN_STORE" || continue
        case $(cat "$proc/comm" 2>/dev/null) in
        gondolin*|qemu*|supermin|guestf*|mmdebstrap|apt*|dpkg*) cat "$proc/comm" ;;
        esac
    done
}

no_build_processes() {
    [ -z "$(build_processes)" ]
}

appliance_files() {
    find /tmp -maxdepth 1 -name 'libguestfs*' 2>/dev/null | sort
}

before=$(appliance_files)
mkfifo "$scratch/phases"

# Starts a build and signals it as soon as it tells that it is in this phase.
interrupt_in() {
    signal=$1 phase=$2
    gondolin build busybox --fresh >"$scratch/build.out" 2>"$scratch/phases" &
    builder=$!
    while read -r line; do
        case $line in *"$phase"*) kill -"$signal" "$builder" ;; esac
    done <"$scratch/phases"
    code=0
    wait "$builder" || code=$?
    [ "$code" != 0 ] || fail "the build was finished before it could be interrupted in: $phase"
    eventually 2 no_build_processes || fail "SIG$signal in '$phase' left processes: $(build_processes)"
    [ "$(appliance_files)" = "$before" ] || fail "SIG$signal in '$phase' left in /tmp: $(appliance_files)"
    [ -z "$(find "$GONDOLIN_STORE/tags" "$GONDOLIN_STORE/images" -mindepth 1)" ] || fail "SIG$signal in '$phase' left an image"
}

interrupt_in KILL 'looking for the kernel'
interrupt_in KILL 'starting the appliance'
interrupt_in KILL 'making the file system'
interrupt_in KILL 'copying files'
interrupt_in KILL 'writing the disk'
interrupt_in KILL 'computing checksums'

# A signal that can be handled leaves not even work in progress.
interrupt_in TERM 'making the file system'
[ "$code" = 130 ] || [ "$code" = 143 ] || fail "ended by SIGTERM with code $code"
[ -z "$(ls "$GONDOLIN_STORE/tmp")" ] || fail "SIGTERM left work in progress: $(ls "$GONDOLIN_STORE/tmp")"

gondolin build busybox --quiet 2>"$scratch/build.log" || fail 'the build after the interruptions'
gondolin image verify busybox >"$scratch/verify.log" || fail 'the image after the interruptions is damaged'
[ -z "$(ls "$GONDOLIN_STORE/tmp")" ] || fail "the next build did not tidy up: $(ls "$GONDOLIN_STORE/tmp")"
