#!/bin/sh
# A guest that talks nonsense before it is ready, on each of its channels: the mount fails with one sentence that says so,
# and nothing is left. There is no machine: tests/tools/fake-qemu.py stands in for QEMU.
. "$GONDOLIN_SOURCE/tests/integration/lib.sh"
. "$GONDOLIN_SOURCE/tests/integration/fake-guest.sh"

while read -r scenario pattern; do
    fake_guest "$scenario"
    refused 125 "$pattern" gondolin mount --image busybox --qemu "$fake" "$scratch/sb"
    [ ! -e "$scratch/sb" ] || fail "$scenario: the mount point that mount made is still there"
    expect_nothing_left
done <<END
exits exited with status 3: fake: no such machine
control-garbage guest agent
control-huge-length guest agent sent a frame of an impossible length
control-truncated connection to the guest agent ended
control-no-greeting did not greet first
control-wrong-version speaks protocol 99.*build the image again
control-deep-greeting malformed greeting
control-two-greetings malformed greeting
control-unknown-frame impossible frame (type 77
files-garbage file server sent a message of an impossible length
files-bad-init answered the greeting with nonsense
files-closed connection to the guest's file server ended
monitor-garbage not a JSON object
monitor-endless longer than 1 MiB
END
