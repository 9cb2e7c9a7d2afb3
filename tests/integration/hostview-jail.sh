#!/bin/sh
# Symlinks that the guest makes never lead a host process out of root/, wherever they lie, however they came there, and
# however many names they have.
. "$GONDOLIN_SOURCE/tests/integration/lib.sh"

sandbox
root=$sb/root
echo 'a secret of the host' >"$scratch/secret"
cat >"$root/srv/attack" <<'END'
set -e
mkdir -p /j/a/b/c/d /j/t
n=0
for target in /etc/passwd / // /.. /../../etc .. ../.. ../../.. ../../../.. ../../../../../.. ../../../../../../../../../secret \
    ../../secret ../../../secret ../../../../secret ../../../../../secret a/../../secret ./../../secret ../j/../../secret \
    ../../../../../../../../../../../../../../../../etc/passwd /proc/self/root/etc/passwd "$(pwd)/../../x" \
    d/../../../../secret /j/a/../../../secret . ./. ../. 'a//..//..//..//secret'; do
    for dir in /j /j/a /j/a/b /j/a/b/c /j/a/b/c/d; do
        n=$((n + 1))
        ln -s "$target" $dir/l$n
    done
done
# a chain, and links over links to directories
ln -s c/d /j/a/b/in
ln -s in/.. /j/a/b/out
ln -s out/../../../../.. /j/a/b/far
ln -s /j/a/b/far /j/farther
# hard links of links, deeper and shallower than the first name
for link in /j/a/b/c/d/l*; do ln $link /j/t/${link##*/}.up; ln $link /j/${link##*/}.top; done
for link in /j/l[0-9]; do ln $link /j/a/b/c/d/${link##*/}.down; done
END
echo 'sh /srv/attack' >"$sb/run" || fail "the guest's part: $(cat "$sb/last/stderr")"

# Every link, read and followed by tools of the host. What is reached lies in root/, or nowhere.
outside=0
check_links() {
    find "$root/j" -type l >"$scratch/links"
    while read -r link; do
        case $(readlink "$link") in /*) fail "$link is shown with an absolute target" ;; esac
        there=$(realpath -m "$link")
        case $there in "$root" | "$root"/*) ;; *) outside=$((outside + 1)) && echo "$link leads to $there" ;; esac
        if [ "$(head -c 8 "$link" 2>/dev/null)" = 'a secret' ]; then fail "$link gives a secret of the host"; fi
    done <"$scratch/links"
    [ "$outside" = 0 ] || fail 'links lead out of the tree'
    [ "$(wc -l <"$scratch/links")" -ge "$1" ] || fail "only $(wc -l <"$scratch/links") links were there"
}
check_links 170

# What is found at one depth and moved to another, by the guest and by the host.
ls -lR "$root/j" >/dev/null 2>&1 || true
echo 'mv /j/a/b/c/d /j/d2; mv /j/a/b /j/b2; mkdir -p /j/x/y; mv /j/t /j/x/y/t' >"$sb/run"
check_links 170
mv "$root/j/d2" "$root/j/x/y/t/d3"
mv "$root/j/x/y/t" "$root/j/t"
mv "$root/j/b2" "$root/up"
mv "$root/up" "$root/j/b3"
check_links 170

# A link that the host makes is kept as it is written, and read back so where it does no harm.
ln -s ../etc/hostname "$root/j/own"
[ "$(readlink "$root/j/own")" = ../etc/hostname ] || fail "an own link reads $(readlink "$root/j/own")"
ln -s /etc/hostname "$root/j/absolute"
[ "$(readlink "$root/j/absolute")" = ../etc/hostname ] || fail "an absolute link reads $(readlink "$root/j/absolute")"
echo 'readlink /j/absolute' >"$sb/run"
[ "$(cat "$sb/last/stdout")" = /etc/hostname ] || fail 'the guest has it otherwise than it was written'
