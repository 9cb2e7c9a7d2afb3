#!/bin/sh
# kill -9 of the supervisor or of QEMU at random moments of a checkpoint or a restore: the sandbox goes on or is gone, no
# half checkpoint is left, and those taken before are sound.
. "$GONDOLIN_SOURCE/tests/integration/lib.sh"

rounds=${ROUNDS:-6}
sandbox
timeout 30 mkdir "$sb/checkpoints/base" || fail "mkdir: $(cat "$sb/error")"
timeout 20 gondolin umount "$sb"
round=0
while [ $round -lt "$rounds" ]; do
    round=$((round + 1))
    timeout 60 gondolin mount --from base "$sb" >/dev/null 2>"$scratch/mount.log" || fail "mount: $(cat "$scratch/mount.log")"
    victim=$(status_of "$([ $((round % 2)) = 0 ] && echo vm_pid || echo supervisor_pid)")
    if [ $((round % 3)) = 0 ]; then
        (timeout 30 sh -c "echo 'restore base' >'$sb/ctl'" 2>/dev/null || true) &
    else
        (timeout 30 mkdir "$sb/checkpoints/round$round" 2>/dev/null || true) &
    fi
    worker=$!
    # From 0 to 400 ms.
    sleep "0.$(printf %03d $(($(od -An -N2 -tu2 /dev/urandom) % 400)))"
    kill -9 "$victim" 2>/dev/null || true # a restore may have replaced it
    ends_within 10 $worker
    if eventually 3 nothing_left; then
        : # gone
    else
        echo 'echo alive' >"$sb/run" || fail "round $round: neither gone nor alive: $(leftovers)"
        timeout 20 gondolin umount "$sb"
        eventually 3 nothing_left || fail "round $round: left behind: $(leftovers)"
    fi
    for checkpoint in "$GONDOLIN_STORE"/checkpoints/*; do
        gondolin checkpoint verify "${checkpoint##*/}" >"$scratch/said" 2>&1 ||
            fail "round $round: $checkpoint: $(cat "$scratch/said")"
    done
done
