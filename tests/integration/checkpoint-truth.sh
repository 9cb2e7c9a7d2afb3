#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# What is said of a checkpoint is so: the clock afterwards, an interrupted mkdir, the monitor that it needs, a restore that
# leaves something out.
. "$GONDOLIN_SOURCE/tests/integration/lib.sh"

# A wrapper, so that there can be another version of it later.
mkdir "$scratch/bin"
qemu=$scratch/bin/$(basename "$(command -v qemu-system-"$(uname -m)")")
printf '#!/bin/sh\nexec %s "$@"\n' "$(command -v "$(basename "$qemu")")" >"$qemu"
chmod +x "$qemu"
cp "$qemu" "$scratch/qemu"
mkdir "$scratch/bound"
sandbox sb --qemu "$qemu"

# Within two ticks of the guest's file system, which has coarse times.
clock_is_right() {
    before=$(date +%s%N)
    gondolin exec "$1" -- touch /srv/touched
    after=$(date +%s%N) seen=$(date -r "$1/root/srv/touched" +%s%N)
    if [ "$seen" -lt $((before - 30000000)) ] || [ "$seen" -gt $((after + 30000000)) ]; then
        fail "the clock of $1 is $(((seen - before) / 1000000)) ms after the host's, $2"
    fi
}
clock_is_right "$sb" 'at first'
i=0
while [ $i -lt 10 ]; do
    i=$((i + 1))
    mkdir "$sb/checkpoints/clock$i" || fail "mkdir: $(cat "$sb/error")"
done
clock_is_right "$sb" 'after ten checkpoints'
echo contents >"$sb/root/srv/file"
mkdir "$sb/checkpoints/one"
gondolin mount --from one --qemu "$qemu" "$scratch/fork" >/dev/null 2>"$scratch/fork.log" || fail "fork: $(cat "$scratch/fork.log")"
clock_is_right "$scratch/fork" 'in a fork'
timeout 20 gondolin umount "$scratch/fork"

# The machine is as it was, but for a mount that has no place in it.
rm "$sb/root/srv/file"
echo "bind $scratch/bound:/srv/file" >"$sb/ctl" || fail "bind: $(cat "$sb/error")"
if (echo 'restore one' >"$sb/ctl") 2>/dev/null; then fail 'a restore that leaves a mount out says nothing of it'; fi
grep -q '/srv/file.*replaced all the same' "$sb/error" || fail "error: $(cat "$sb/error")"
[ "$(cat "$sb/root/srv/file")" = contents ] || fail 'the machine was not restored'
echo 'unbind /srv/file' >"$sb/ctl" || fail "unbind: $(cat "$sb/error")"

if command -v python3 >/dev/null; then
    # Interrupted means that there is none; else there is.
    cat >"$scratch/interrupt.py" <<'END'
import ctypes, errno, os, signal, sys
libc = ctypes.CDLL(None, use_errno=True)
signal.signal(signal.SIGALRM, lambda number, frame: None)
for attempt in range(12):
    name = os.path.join(sys.argv[1], f"try{attempt}")
    signal.setitimer(signal.ITIMER_REAL, 0.05 + 0.05 * attempt)
    made = libc.mkdir(name.encode(), 0o755) == 0
    signal.setitimer(signal.ITIMER_REAL, 0)
    if made != os.path.isdir(name):
        sys.exit(f"attempt {attempt}: mkdir says {made}, {os.strerror(ctypes.get_errno())}")
END
    timeout 60 python3 "$scratch/interrupt.py" "$sb/checkpoints" || fail 'an interrupted mkdir lies'
else
    echo "$name: interrupts need python3"
fi

# The program is replaced while the machine runs, as by an upgrade.
# shellcheck disable=SC2016 # for the wrapper
sed -i 's/^exec/[ "$1" = --version ] \&\& exec echo "QEMU emulator version 99.9.9"\n&/' "$qemu"
mkdir "$sb/checkpoints/upgraded" || fail "mkdir: $(cat "$sb/error")"
if (echo 'restore upgraded' >"$sb/ctl") 2>/dev/null; then fail 'another version of the monitor is taken'; fi
grep -q '99.9.9' "$sb/error" || fail "error: $(cat "$sb/error")"
cp "$scratch/qemu" "$qemu"
echo 'restore upgraded' >"$sb/ctl" || fail "restore: $(cat "$sb/error")"
timeout 20 gondolin umount "$sb"
