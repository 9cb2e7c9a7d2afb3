# shellcheck shell=sh
# shellcheck disable=SC2154 # scratch and sb come from lib.sh
# Sourced after lib.sh: sandboxes whose guest is tests/tools/fake-qemu.py.
requires python3 python3

# Sets $fake to a program for --qemu that plays this scenario.
fake_guest() {
    fake=$scratch/qemu.$1/qemu-system-$(uname -m)
    mkdir "${fake%/*}"
    printf '#!/bin/sh\nexec python3 "%s/tests/tools/fake-qemu.py" %s "$@"\n' "$GONDOLIN_SOURCE" "$1" >"$fake"
    chmod +x "$fake"
}

# Mounts one; sets $sb.
fake_sandbox() {
    fake_guest "$1"
    sandbox "$1" --qemu "$fake"
}

# A write to run that is expected to fail, or not to: its exit code.
try_run() {
    timeout 20 sh -c "echo '$1' >'$sb/run'" 2>/dev/null || echo $?
}
