#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# shellcheck disable=SC2016 # what is in quotes is for the guest
# Forks in the middle of a compilation: each finishes what was begun, with the result of one that was left alone. The guest of
# these tests has no compiler and runs the host's, from read-only mounts of /usr and /lib.
. "$GONDOLIN_SOURCE/tests/integration/lib.sh"
[ -x /usr/bin/gcc ] || skip 'needs /usr/bin/gcc (Debian package gcc)'
[ -x /usr/bin/make ] || skip 'needs /usr/bin/make (Debian package make)'

files=${FILES:-8}
programs='--bind /usr:/usr:ro --bind /lib:/lib:ro --bind /lib64:/lib64:ro'
# shellcheck disable=SC2086 # several words
sandbox sb --memory 512M $programs
mkdir "$sb/root/srv/project"
cd "$sb/root/srv/project"
sum=0
for i in $(seq "$files"); do
    sum=$((sum + i))
    cat >"f$i.c" <<END
#include <stdio.h>
int f$i(void) { char text[20]; int n = 0; sprintf(text, "%d", $i); sscanf(text, "%d", &n); return n; }
END
done
{
    echo '#include <stdio.h>'
    seq "$files" | sed 's/.*/int f&(void);/'
    echo 'int main(void) { int sum = 0;'
    seq "$files" | sed 's/.*/sum += f&();/'
    echo 'printf("%d", sum); return 0; }'
} >main.c
printf 'prog: main.o %s\n\tgcc -o $@ $^\n%%.o: %%.c\n\tgcc -O2 -c -o $@ $<\n' "$(seq -s ' ' -f 'f%g.o' "$files")" >Makefile
cd /

mkdir "$sb/jobs/make"
echo 'cd /srv/project; export PATH=/usr/bin:/bin; make -j2 && ./prog' >"$sb/jobs/make/cmd"
echo start >"$sb/jobs/make/ctl"
half_made() {
    [ "$(find "$sb/root/srv/project" -name 'f*.o' | wc -l)" -ge $((files / 2)) ]
}
eventually 100 half_made || fail "nothing is made: $(cat "$sb/jobs/make/status")"
timeout 60 mkdir "$sb/checkpoints/middle" || fail "mkdir: $(cat "$sb/error")"
[ "$(sed -n 's/^state //p' "$sb/jobs/make/status")" = running ] || fail 'the compilation was over before the checkpoint'
# The first goes on beside its forks.
for fork in fork1 fork2; do
    # shellcheck disable=SC2086
    timeout 60 gondolin mount --from middle $programs "$scratch/$fork" >/dev/null 2>"$scratch/$fork.log" || fail "mount: $(cat "$scratch/$fork.log")"
done
for each in sb fork1 fork2; do
    job=$scratch/$each/jobs/make said=$scratch/$each.said
    timeout 100 cat "$job/stdout" >"$said" || fail "$each: the compilation does not end"
    [ "$(cat "$job/wait")" = 'exit 0' ] || fail "$each: $(cat "$job/wait" "$job/stderr")"
    [ "$(tail -n 1 "$said")" = $sum ] || fail "$each: says $(cat "$said")"
    # What nobody had read before the checkpoint is there, too.
    [ "$(grep -c ' -c ' "$said")" = $((files + 1)) ] || fail "$each: not each file was compiled once: $(cat "$said")"
    (cd "$scratch/$each/root/srv/project" && sha256sum ./*.o prog) >"$scratch/$each.sums"
done
for fork in fork1 fork2; do
    cmp "$scratch/sb.sums" "$scratch/$fork.sums" || fail "$fork: what was made differs"
done
for each in fork2 fork1 sb; do
    timeout 20 gondolin umount "$scratch/$each"
done
