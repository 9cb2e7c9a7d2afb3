#!/bin/sh
# A job that takes all of the guest's memory is killed by the guest's kernel; the sandbox goes on.
. "$GONDOLIN_SOURCE/tests/integration/lib.sh"

sandbox sb --memory 128M
code=0
timeout 90 gondolin exec "$sb" -- tail /dev/zero >"$scratch/said" 2>&1 || code=$?
[ "$code" = 137 ] || fail "the job exits with $code: $(cat "$scratch/said")"
[ "$(status_of state)" = running ] || fail "the sandbox is $(status_of state)"
[ "$(timeout 20 gondolin exec "$sb" -- echo alive)" = alive ] || fail 'no job can be started'
timeout 5 ls "$sb/root/etc" >/dev/null || fail 'files cannot be reached'
timeout 20 gondolin umount "$sb"
expect_nothing_left
