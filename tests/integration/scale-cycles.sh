#!/bin/sh
# Mount and umount, over and over (GONDOLIN_TEST_CYCLES times): nothing of what the machine has grows.
. "$GONDOLIN_SOURCE/tests/integration/lib.sh"

# What would show a leak that is in no process of ours.
possessions() {
    find "$scratch" -xdev | sort
    find /tmp /var/tmp /dev/shm -maxdepth 1 -user "$(id -u)" -name '*qemu*' -o -maxdepth 1 -name 'vl.*' | wc -l
    grep -c "fuse.gondolin.*$scratch" /proc/self/mountinfo || true
    ls -A "$XDG_RUNTIME_DIR/gondolin" "$GONDOLIN_STORE/tmp"
}

mkdir "$scratch/sb"
# The first leaves a template behind, the second the mark that it has been verified.
for n in 1 2; do
    sandbox
    timeout 20 gondolin umount "$sb"
done
before=$(possessions)
for n in $(seq 1 "${GONDOLIN_TEST_CYCLES:-5}"); do
    sandbox
    echo "$n" >"$sb/root/srv/n"
    echo 'cat /srv/n' >"$sb/run"
    [ "$(cat "$sb/last/stdout")" = "$n" ] || fail "cycle $n: $(cat "$sb/last/stdout")"
    fds=$(find "/proc/$(status_of supervisor_pid)/fd" -mindepth 1 | wc -l)
    [ "$fds" -le "${first:=$fds}" ] || fail "cycle $n: a supervisor begins with $fds descriptors, the first with $first"
    timeout 20 gondolin umount "$sb"
    nothing_left || fail "cycle $n: left behind: $(leftovers)"
done
[ "$(possessions)" = "$before" ] || fail "before: $before; after: $(possessions)"
