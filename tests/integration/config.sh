#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Options out of a file: a machine with what the file says, relative paths, what the command line says besides, files that
# are refused before anything starts, and none that is read without being named.
. "$GONDOLIN_SOURCE/tests/integration/lib.sh"

in_guest() {
    timeout 60 gondolin exec "$sb" -- sh -c "$1"
}

home=$scratch/home
mkdir "$home" "$home/data" "$home/data/node_modules" "$home/a:b,c" "$scratch/more" "$scratch/elsewhere"
echo 'of the file' >"$home/data/file"
echo secret >"$home/data/.env"
echo host >"$home/data/node_modules/x"
echo separators >"$home/a:b,c/file"
echo 'of the command line' >"$scratch/more/file"
config=$home/sb.json
cat >"$config" <<END
{
  "image": "busybox", "memory": "192M", "cpus": 1, "append": "of-the-file", "cold": true,
  "bind": [
    {"source": "data", "target": "/srv/data", "shadow": [".env", "with,comma"], "shadow-tmpfs": ["node_modules"]},
    {"source": "a:b,c", "target": "/srv/a:b,c", "readonly": true},
    "data:/srv/again:ro"
  ],
  "memfs": [{"target": "/scratch", "size": "1M"}]
}
END

# refused_file PATTERN TEXT
refused_file() {
    printf '%s\n' "$2" >"$home/wrong.json"
    refused 125 "mount: $home/wrong.json: $1" gondolin mount --image busybox --config "$home/wrong.json" "$scratch/refused"
    [ ! -e "$scratch/refused" ] || fail "$2: the mount point was made"
}

while IFS='|' read -r pattern text; do
    refused_file "$pattern" "$text"
done <<END
memory: "lots": not a size|{"memory": "lots"}
memroy: no such key; did you mean memory?|{"memroy": "1G"}
cpus: a whole number is expected, not "two"|{"cpus": "two"}
bind\[0\]: /nowhere: No such file|{"bind": ["/nowhere:/srv"]}
bind\[0\]: $home/nowhere: No such file|{"bind": [{"source": "nowhere", "target": "/srv"}]}
bind\[1\]: owner: "maped" is none|{"bind": ["data:/a", {"source": "data", "target": "/b", "owner": "maped"}]}
bind\[1\]: /srv: something is mounted there already|{"bind": ["data:/srv", "data:/srv"]}
memfs\[0\]: size: "many"|{"memfs": ["/srv:size=many"]}
line 1, column 19: "memory" was given before|{"memory": "1G", "memory": "2G"}
line 1, column 18: unexpected character|{"memory": "1G"} x
foreground: cannot stand in a file|{"foreground": true}
END
refused 125 'mount: .*/none.json: No such file' gondolin mount --config "$home/none.json" "$scratch/refused"
refused 125 'mount: .*/home: Is a directory' gondolin mount --config "$home" "$scratch/refused"
refused 125 "run: $home/wrong.json: foreground" gondolin run --config "$home/wrong.json" -- true
head -c 1048577 /dev/zero | tr '\0' ' ' >"$home/long.json"
refused 125 'longer than 1048576 bytes' gondolin mount --config "$home/long.json" "$scratch/refused"
# What the monitor cannot do is refused in one message, wherever it was said.
echo '{"memory": 1, "machine": "pdp11"}' >"$home/wrong.json"
refused 125 'machine pdp11.*memory 1' gondolin mount --image busybox --config "$home/wrong.json" "$scratch/refused"
# Every option of a sandbox is a key, every other one is refused with the reason.
for option in $(gondolin help mount | sed -n 's/^  .\{4\}--\([a-z-]*\).*/\1/p'); do
    printf '{"%s": null}' "$option" >"$home/wrong.json"
    refused 125 "json: $option: .* is expected, not null\|json: $option: cannot stand in a file" \
        gondolin mount --config "$home/wrong.json" "$scratch/refused"
done

# The example of the manual page is one.
mkdir "$home/project"
sed -n '/^\.\\" example/,/^\.Ed/p' "$GONDOLIN_SOURCE/docs/gondolin-mount.1" | sed -e '1,2d' -e '$d' \
    -e "s,/usr/share/dict,$home/data," >"$home/example.json"
refused 125 'none-such: there is none' gondolin mount --config "$home/example.json" --image none-such "$scratch/refused"

cd "$scratch/elsewhere"
sandbox sb --config ../home/sb.json --append of-the-command-line --bind "$scratch/more:/srv/more"
[ "$(in_guest 'cat /srv/data/file /srv/again/file "/srv/a:b,c/file" /srv/more/file')" = "$(printf \
    'of the file\nof the file\nseparators\nof the command line')" ] || fail "the guest reads something else"
in_guest 'echo x >"/srv/a:b,c/file"' 2>"$scratch/said" && fail "readonly was written to"
grep -q 'Read-only' "$scratch/said" || fail "readonly: $(cat "$scratch/said")"
in_guest 'test ! -e /srv/data/.env && mkdir /srv/data/node_modules && echo guest >/srv/data/node_modules/x' ||
    fail "shadow does not hide"
[ "$(cat "$home/data/node_modules/x")" = host ] || fail "shadow-tmpfs reached the host"
[ "$(cat "$sb/mounts/srv:data/options")" = 'shadow=.env,shadow=with\,comma,shadow-tmpfs=node_modules' ] || fail "options"
in_guest 'head -c 2000000 /dev/zero >/scratch/x' 2>"$scratch/said" && fail "memfs has no limit"
[ "$(status_of memory)" = 201326592 ] || fail "memory is $(status_of memory)"
in_guest 'cat /proc/cmdline' >"$scratch/said"
{ grep -q of-the-command-line "$scratch/said" && ! grep -q of-the-file "$scratch/said"; } ||
    fail "the command line does not win: $(cat "$scratch/said")"
timeout 60 gondolin umount "$sb"

# A file that is not named is not read; run takes one, also from a pipe.
echo '{"xyzzy": 1}' >gondolin.json
mkfifo pipe
printf '{"image": "busybox", "bind": ["%s:/srv/data:ro"]}' "$home/data" >pipe &
[ "$(timeout 120 gondolin run --config pipe -- cat /srv/data/file)" = 'of the file' ] || fail "run --config"
