#!/bin/sh
# A hundred jobs at once, each with its own output and exit code; and many one after the other without growth.
. "$GONDOLIN_SOURCE/tests/integration/lib.sh"

sandbox
numbers=$(seq 1 100)
for n in $numbers; do
    mkdir "$sb/jobs/j$n"
    # They wait for each other: the last one lets all of them go.
    echo "until [ -e /run/go ]; do sleep 0.2; done; echo out $n; echo err $n >&2; exit $n" >"$sb/jobs/j$n/cmd"
    echo start >"$sb/jobs/j$n/ctl"
done
eventually 20 test "$(status_of jobs_running)" = 100 || fail "only $(status_of jobs_running) jobs run"
echo ': >/run/go' >"$sb/run"
for n in $numbers; do
    result=$(timeout 30 cat "$sb/jobs/j$n/wait")
    [ "$result" = "exit $n" ] || fail "job $n: $result"
    [ "$(cat "$sb/jobs/j$n/stdout" "$sb/jobs/j$n/stderr")" = "$(printf 'out %d\nerr %d' "$n" "$n")" ] || fail "output of job $n"
    rmdir "$sb/jobs/j$n"
done
[ "$(status_of jobs_running)" = 0 ] || fail 'jobs are still counted as running'

supervisor=$(status_of supervisor_pid)
resident() {
    awk '/^VmRSS:/ {print $2}' "/proc/$supervisor/status"
}
descriptors() {
    find "/proc/$supervisor/fd" -mindepth 1 | wc -l
}
many() {
    for n in $(seq 1 "$1"); do
        echo "echo $n" >"$sb/run"
        echo "$n" >"$sb/root/srv/$n"
        rm "$sb/root/srv/$n"
    done
}
many 50 # more than are kept of finished ones
fds=$(descriptors) kib=$(resident)
many "${GONDOLIN_TEST_JOBS:-50}"
[ "$(descriptors)" -le "$fds" ] || fail "the supervisor has $(descriptors) descriptors, before $fds"
sanitized || [ "$(resident)" -le $((kib + 1024)) ] || fail "the supervisor takes $(resident) KiB, before $kib"
timeout 20 gondolin umount "$sb"
expect_nothing_left
