#!/bin/sh
# The main job, visibly: mount, edit, run, unmount. Needs gondolin on the PATH.
set -eu
work=$(mktemp -d)
sb=$work/sb

now_ms() { date +%s%3N; }
say() { printf '\n\033[1m# %s\033[0m\n' "$*"; }
# Shows a command, runs it, and says how long it took.
show() {
    printf '$ %s\n' "$1"
    begin=$(now_ms)
    eval "$1"
    printf '  [%d ms]\n' $(($(now_ms) - begin))
}
clean_up() {
    gondolin umount --force "$sb" 2>/dev/null || true
    rmdir "$sb" "$work" 2>/dev/null || true
}
trap clean_up EXIT
trap 'exit 130' INT TERM

if ! gondolin image inspect default >/dev/null 2>&1; then
    say 'The default image: Debian, built once'
    show 'gondolin build debian --tag default'
fi

say 'Boot a virtual machine; it shows up as a directory'
show "gondolin mount $sb"
show "ls $sb $sb/root"

say 'Edit its files with the tools of the host'
show "printf 'print(6 * 7)\n' > $sb/root/srv/app.py"
show "cat $sb/root/srv/app.py"

say 'Run commands in it by writing to a file'
show "echo 'python3 /srv/app.py; uname -sr' > $sb/run"
show "cat $sb/last/stdout"
show "gondolin exec $sb -- sh -c 'echo in the guest: \$(id -un)@\$(hostname)'"

say 'A command that fails makes the write fail, and says why'
show "echo 'exit 3' > $sb/run || cat $sb/error"

say 'Unmount: the machine ends, nothing is left'
show "gondolin umount $sb"
show 'gondolin list'
