#!/bin/sh
# A guest that turns hostile once its sandbox runs. What breaks the protocol ends the sandbox, with the reason; what is only
# a nuisance does not. There is no machine: tests/tools/fake-qemu.py stands in for QEMU.
. "$GONDOLIN_SOURCE/tests/integration/lib.sh"
. "$GONDOLIN_SOURCE/tests/integration/fake-guest.sh"

while read -r scenario pattern; do
    fake_sandbox "$scenario"
    try_run now >"$scratch/code"
    eventually 5 test ! -e "$sb" || fail "$scenario: the sandbox goes on"
    ended_because "$sb" "$pattern"
    expect_nothing_left
done <<END
output-of-nobody impossible frame (type 19
exit-twice impossible frame (type 18
credit-overflow impossible frame (type 20
forged-notification forged notification
unasked-reply no request asked for
END

while read -r scenario; do
    fake_sandbox "$scenario"
    [ -z "$(try_run now)" ] || fail "$scenario: $(cat "$sb/error")"
    [ -z "$(try_run after)" ] || fail "$scenario: afterwards: $(cat "$sb/error")"
    [ "$(cat "$sb/root/file")" = 'from the guest' ] || fail "$scenario: the files are gone"
    [ "$(status_of state)" = running ] || fail "$scenario: state is $(status_of state)"
    [ "$scenario" != output-flood ] || [ "$(wc -c <"$sb/jobs/1/stdout")" = 60000000 ] || fail "output was lost"
    kib=$(sed -n 's/^VmRSS:[^0-9]*\([0-9]*\) kB/\1/p' "/proc/$(status_of supervisor_pid)/status")
    ldd "$GONDOLIN_BUILD/gondolin" | grep -q libasan || [ "$kib" -lt 40000 ] ||
        fail "$scenario: the supervisor has grown to $kib KiB"
    timeout 20 gondolin umount "$sb"
done <<END
log-flood
ping-flood
output-flood
exit-giant
notices-never-come
sweep-flood
END
expect_nothing_left
