#!/bin/sh
# Control files under everyday programs: each of them writes, reads, copies and removes in its own way.
. "$GONDOLIN_SOURCE/tests/integration/lib.sh"
requires python3 python3

sandbox
job=$sb/jobs/w
mkdir "$job"
says() {
    [ "$(cat "$job/$1")" = "$2" ] || fail "$3: $1 says '$(cat "$job/$1")', not '$2'"
}
fails() {
    if timeout 20 "$@" >"$scratch/said" 2>&1; then fail "'$*' works"; fi
}

echo 'echo a file' >"$scratch/source"
echo 'echo dd' | dd of="$job/cmd" 2>/dev/null
says cmd 'echo dd' dd
cp "$scratch/source" "$job/cmd"
says cmd 'echo a file' cp
echo 'echo tee' | tee "$job/cmd" >/dev/null
says cmd 'echo tee' tee
echo A=1 >"$job/env"
echo B=2 | tee -a "$job/env" >/dev/null
echo C=3 >>"$job/env"
says env 'A=1
B=2
C=3' 'appended lines'
python3 -c "open('$job/cmd', 'w').write('echo python')"
says cmd 'echo python' python
printf 'echo first\necho second' >"$job/cmd"
says cmd 'echo first
echo second' 'several lines'
fails sed -i s/first/sed/ "$job/cmd"
fails mv "$scratch/source" "$job/cmd"
fails touch "$job/new"
fails ln -s x "$job/new"
fails mkdir "$job/new"
fails rm -r "$job"
fails rm -rf "$job"
[ -d "$job" ] || fail 'rm -rf destroyed a job'
touch "$job/cmd"
truncate -s 0 "$job/cmd"
chmod 600 "$job/cmd"
fails chmod 666 "$job/cmd"
python3 -c "
import os
fd = os.open('$job/cmd', os.O_RDWR | os.O_APPEND)
os.write(fd, b'echo synced'); os.fsync(fd); os.lseek(fd, 0, os.SEEK_SET)
assert os.read(fd, 100).endswith(b'echo synced\n')"
# An editor that writes the whole file again (vim, once it cannot make its swap file).
if command -v vim >/dev/null; then
    vim -u NONE -es -c '%d' -c 'call setline(1, "echo vim")' -c 'w!' -c 'q!' "$job/cmd" </dev/null >/dev/null 2>&1 || true
    says cmd 'echo vim' vim
fi

# Sizes are told where they mean something, and readers of all kinds find the text.
[ "$(stat -c %s "$job/cmd")" = "$(wc -c <"$job/cmd")" ] || fail 'the size of a value is wrong'
diff "$job/cmd" "$job/cmd"
[ "$(dd if="$job/cmd" bs=1 2>/dev/null)" = "$(cat "$job/cmd")" ] || fail 'byte by byte'

# A refused write is explained to the program that made it, and a failing command is not run twice.
exec 3<>"$job/ctl"
if echo frobnicate 2>/dev/null >&3; then fail 'an unknown verb is taken'; fi
read -r sentence <&3
case $sentence in *frobnicate*) ;; *) fail "the descriptor says: $sentence" ;; esac
exec 3>&-
python3 -c "
try:
    open('$sb/run', 'w').write('echo x >>/tmp/count; exit 3')
except OSError:
    pass" 2>/dev/null
[ "$(cat "$sb/root/tmp/count")" = x ] || fail 'a failing command was run again by a buffered writer'

# What is open when the job goes.
exec 4<"$job/status" 5>"$job/cmd" 6<"$job/wait"
rmdir "$job"
[ ! -e "$job" ] || fail 'rmdir did not remove the job'
if echo late 2>/dev/null >&5; then fail 'a removed job takes a command'; fi
grep -q 'removed' "$sb/error" || fail "error says: $(cat "$sb/error")"
read -r line <&4
[ "$line" = 'state new' ] || fail "the status that was open says: $line"
[ "$(cat <&6)" = lost ] || fail 'a wait that was open does not end'
