#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# What --bind hides stays hidden, whatever the guest tries; what is to be kept in memory never reaches the host; --memfs.
. "$GONDOLIN_SOURCE/tests/integration/lib.sh"

in_guest() {
    timeout 60 gondolin exec "$sb" -- sh -c "$1"
}

# Each line is tried in the guest and has to fail, with the sentence said.
all_refused() {
    while IFS='|' read -r pattern command; do
        in_guest "cd /srv/p && $command" >"$scratch/said" 2>&1 </dev/null && fail "this works: $command: $(cat "$scratch/said")"
        grep -q "$pattern" "$scratch/said" || fail "'$command' does not say '$pattern' but: $(cat "$scratch/said")"
    done
}

p=$scratch/p
mkdir "$p" "$p/sub" "$p/conf" "$p/conf/keys" "$p/node_modules"
echo secret | tee "$p/.env" "$p/sub/.env" "$p/conf/keys/id" >"$p/node_modules/host-file"
echo open | tee "$p/file" >"$p/conf/open"
ln -s .env "$p/link"
cp -a "$p" "$scratch/before"

sandbox sb --bind "$p:/srv/p:shadow=.env,shadow=/conf/keys,shadow-tmpfs=node_modules" --memfs /srv/m:size=1M

[ "$(in_guest 'cd /srv/p && ls -A . sub conf' | tr '\n' ' ')" = '.: conf file link sub  conf: open  sub: ' ] ||
    fail "the guest sees: $(in_guest 'cd /srv/p && ls -A . sub conf')"
all_refused <<'END'
No such file|cat .env
No such file|cat sub/../.env
No such file|cat ./.ENV
No such file|cat link
No such file|cat conf/keys/id
No such file|ln .env other
No such file|mv .env other
No such file|rm conf/keys/id
Permission denied|echo x >.env
Permission denied|mkdir .env
Permission denied|mv file .env
Permission denied|ln file .env
Permission denied|ln -s file sub/.env
Permission denied|mv conf other
Permission denied|mkdir other && mv other conf/keys
Directory not empty|rmdir sub
END
rmdir "$p/other"
diff -r "$scratch/before" "$p" || fail "the host's directory has changed"

in_guest 'cd /srv/p && mkdir node_modules && echo mine >node_modules/a && mkdir node_modules/d && mv node_modules/a node_modules/d/b
    mkdir sub/node_modules && echo two >sub/node_modules/c' || fail "what is shadowed cannot be made in memory"
[ "$(in_guest 'cd /srv/p && find . -path "*node_modules*" | sort' | tr '\n' ' ')" = \
    './node_modules ./node_modules/d ./node_modules/d/b ./sub/node_modules ./sub/node_modules/c ' ] ||
    fail "in memory is: $(in_guest 'cd /srv/p && find .')"
[ "$(in_guest 'cat /srv/p/node_modules/d/b /srv/p/sub/node_modules/c' | tr '\n' ' ')" = 'mine two ' ] || fail "contents"
in_guest 'cd /srv/p && mv node_modules/d/b moved && mv moved node_modules/e' || fail "moving between host and memory"
all_refused <<'END'
Directory not empty|rmdir sub
Invalid cross-device|ln node_modules/e hard
END
in_guest 'cd /srv/p && rm -r node_modules sub/node_modules' || fail "it cannot be removed again"
diff -r "$scratch/before" "$p" || fail "the host's directory has changed"

in_guest 'echo fits >/srv/m/file && mkdir /srv/m/d' || fail "memfs"
in_guest 'dd if=/dev/zero of=/srv/m/big bs=64k count=32 2>&1' >"$scratch/said" && fail "memfs has no end"
grep -q 'No space' "$scratch/said" || fail "memfs that is full: $(cat "$scratch/said")"
[ "$(in_guest 'cat /srv/m/file')" = fits ] || fail "memfs has lost a file"
[ "$(cat "$sb/mounts/srv:m/source")" = memory ] || fail "source of a memfs"
