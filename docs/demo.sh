#!/bin/sh
# The main job, visibly: mount, edit, run, checkpoint, restore, fork, unmount. Needs gondolin on the PATH.
set -eu
work=$(mktemp -d)
sb=$work/sb
checkpoint=demo-$$

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
    gondolin umount --force "$work/fork" 2>/dev/null || true
    gondolin checkpoint rm "$checkpoint" 2>/dev/null || true
    rmdir "$sb" "$work/fork" "$work" 2>/dev/null || true
}
trap clean_up EXIT
trap 'exit 130' INT TERM

# One of an earlier gondolin may have an agent that speaks another protocol.
if ! gondolin image inspect default >/dev/null 2>&1 || ! gondolin run -- true >/dev/null 2>&1; then
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

say 'A checkpoint: memory, disk and running programs, while the machine goes on'
show "mkdir $sb/jobs/clock"
show "echo 'n=0; while :; do n=\$((n + 1)); echo \$n > /srv/n; sleep 0.1; done' > $sb/jobs/clock/cmd"
show "echo start > $sb/jobs/clock/ctl"
show "mkdir $sb/checkpoints/$checkpoint"
show "grep pause_us $sb/checkpoints/$checkpoint/status"
show "echo 'rm -rf /usr/bin /srv/app.py' > $sb/run; ls $sb/root/srv"

say 'Back to it, programs included'
show "echo 'restore $checkpoint' > $sb/ctl"
show "ls $sb/root/srv; cat $sb/root/srv/n"

say 'A second sandbox from the same moment'
show "gondolin mount --from $checkpoint $work/fork"
show "gondolin exec $work/fork -- sh -c 'hostname; cat /srv/n'"

say 'Unmount: the machines end, nothing is left'
show "gondolin umount $work/fork"
show "gondolin umount $sb"
show "gondolin checkpoint rm $checkpoint"
show 'gondolin list'
