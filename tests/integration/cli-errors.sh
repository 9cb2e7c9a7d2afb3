#!/bin/sh
# Mistakes on the command line: exit code 125, one line on standard error, nothing on standard output, the right advice.
. "$GONDOLIN_SOURCE/tests/integration/lib.sh"

# mistake TEXT ARGUMENT...: the line has this text.
mistake() {
    text=$1
    shift
    code=0
    timeout 10 gondolin "$@" >"$scratch/out" 2>"$scratch/err" </dev/null || code=$?
    [ "$code" = 125 ] || fail "gondolin $*: exits with $code"
    [ ! -s "$scratch/out" ] || fail "gondolin $*: prints $(cat "$scratch/out")"
    [ "$(wc -l <"$scratch/err")" = 1 ] || fail "gondolin $*: not one line: $(cat "$scratch/err")"
    grep -qF -e "$text" "$scratch/err" || fail "gondolin $*: says $(cat "$scratch/err"), not \"$text\""
}

mistake 'moutn: no such verb; did you mean "mount"?' moutn
mistake 'unmount: no such verb; did you mean "umount"?' unmount sb
mistake 'frobnicate: no such verb; see: gondolin help' frobnicate
mistake 'exce: no such verb; did you mean "exec"?' help exce
mistake '"b" is one word too many' help a b
mistake 'did you mean --version?' --verison
mistake 'options go after the verb' --xyzzy

for verb in mount umount run exec shell attach list status checkpoint restore build image gc doctor help; do
    mistake "--xyzzy: no such option; see: gondolin help $verb" "$verb" --xyzzy
    mistake '-~: no such option' "$verb" '-~'
    mistake 'takes no value' "$verb" --help=yes
    timeout 10 gondolin "$verb" --help >"$scratch/out" 2>&1 || fail "$verb --help fails"
    timeout 10 gondolin help "$verb" | cmp -s - "$scratch/out" || fail "help $verb and $verb --help differ"
    head -n 1 "$scratch/out" | grep -q "^Usage: gondolin $verb " || fail "$verb --help: $(head -n 1 "$scratch/out")"
done

mistake 'something is missing: gondolin mount DIRECTORY' mount
mistake '"b" is one word too many' mount a b
mistake '--memory 1X: not a size' mount --memory 1X sb
mistake '--memory: its value is missing: gondolin mount --memory SIZE' mount --memory
mistake '--cpus two: not a whole number' mount --cpus two sb
mistake '--root-mode memroy: no such value; did you mean memory?' mount --root-mode memroy sb
mistake '--accel x: must be kvm or tcg' mount --accel=x sb
mistake '--memroy: no such option; did you mean --memory?' run --memroy 1G -- true
mistake 'the command goes after "--"' exec sb ls
mistake 'the command goes after "--"' exec
mistake 'the command after "--" is missing' exec sb --
mistake 'the command goes after "--"' run
mistake '"b" is one word too many' exec a b -- ls
mistake 'no sandbox is running' exec -- ls
mistake '"sb": no running sandbox' exec sb -- ls
mistake '"/": no running sandbox' umount /
mistake 'no sandbox is running' umount
mistake 'no sandbox is running' status
mistake 'no sandbox is running' shell
mistake 'no sandbox is running' attach
mistake '--json takes no value' status --json=1
mistake 'extra' list extra
mistake '--quiet and --json exclude each other' list -q --json
mistake 'checkpoint: --disk means nothing to ls' checkpoint --disk ls
mistake '--with-image means nothing to ls' checkpoint --with-image ls
mistake '--with-image means nothing to create' checkpoint create --with-image a
mistake '--json means nothing to rm' checkpoint --json rm a
mistake 'image: --json means nothing to tag' image --json tag busybox other
mistake 'something is missing: gondolin checkpoint ACTION' checkpoint
mistake 'lss: no such action; did you mean "ls"?' checkpoint lss
mistake 'show takes NAME' checkpoint show
mistake 'export takes NAME FILE' checkpoint export a
mistake 'none: there is none; see: gondolin checkpoint ls' checkpoint show none
mistake '"..": a name is 1 to 64' checkpoint rm ..
mistake '"a/b": a name is 1 to 64' checkpoint create a/b
mistake '"": a name is 1 to 64' checkpoint verify ''
mistake 'no sandbox is running' checkpoint create a
mistake 'no sandbox is running' restore a
mistake '"..": a name is 1 to 64' restore ..
mistake 'something is missing: gondolin restore [SANDBOX]' restore
mistake '"extra" is one word too many' gc extra
mistake 'no-such-file' checkpoint import "$scratch/no-such-file"
mistake 'mount: --name a/b: a name has neither' mount --name a/b "$scratch/sb"
mistake '--name a?b: a name has neither' mount --name "$(printf 'a\nb')" "$scratch/sb"
mistake 'longer than 64 bytes' mount --name "$(printf '%065d' 0)" "$scratch/sb"
mistake '--name: the name is empty' mount --name '' "$scratch/sb"
mistake 'no-such-image' mount --image no-such-image "$scratch/sb"
mistake 'at least 128M is needed' mount --image busybox --memory 1 "$scratch/sb"
mistake 'gondolin: run: image no-such-image: there is none' run --image no-such-image -- true
mistake 'gondolin: run: --memory 1X: not a size' run --memory 1X -- true
mistake 'gondolin: run: --bind: /nowhere: No such file' run --image busybox --bind /nowhere:/srv -- true
mistake 'at least 128M is needed' run --image busybox --memory 1 -- true
[ ! -e "$scratch/sb" ] || fail 'a refused mount made its mount point'

# Looking makes no store.
own_store=$GONDOLIN_STORE
GONDOLIN_STORE=$scratch/mistyped
mistake "GONDOLIN_STORE is $scratch/mistyped: No such file" image ls
mistake "GONDOLIN_STORE is $scratch/mistyped: No such file" image inspect busybox
mistake "GONDOLIN_STORE is $scratch/mistyped: No such file" image verify busybox
mistake "GONDOLIN_STORE is $scratch/mistyped: No such file" image rm busybox
mistake "GONDOLIN_STORE is $scratch/mistyped: No such file" mount --image busybox "$scratch/sb"
timeout 60 gondolin doctor >"$scratch/out" 2>&1 || true
grep -q "$scratch/mistyped is not there yet" "$scratch/out" || fail 'doctor does not miss the store'
GONDOLIN_STORE=mistyped/relative
mistake 'GONDOLIN_STORE is mistyped/relative: No such file' image ls
unset GONDOLIN_STORE
XDG_DATA_HOME=$scratch/data HOME=$scratch timeout 10 gondolin image ls >"$scratch/out" || fail 'image ls without a store yet'
XDG_DATA_HOME=$scratch/data HOME=$scratch timeout 60 gondolin doctor >"$scratch/out" 2>&1 || true
for path in mistyped data; do
    [ ! -e "$scratch/$path" ] || fail 'a store was made by looking for one'
done
GONDOLIN_STORE=$own_store
export GONDOLIN_STORE

code=0
gondolin >"$scratch/out" 2>"$scratch/err" || code=$?
grep -q '^Usage: gondolin VERB' "$scratch/err" || fail 'without a verb: no usage'
[ "$code" = 125 ] || fail "without a verb it exits with $code"
for option in --help --version; do
    code=0
    gondolin "$option" >/dev/full 2>"$scratch/err" || code=$?
    [ "$code" = 125 ] || fail "$option with a full standard output exits with $code"
done
[ -z "$(gondolin list)" ] || fail 'list prints something without a sandbox'
[ "$(gondolin list --json | tr -d ' \n')" = '[]' ] || fail 'list --json without a sandbox is no empty array'

XDG_RUNTIME_DIR=$scratch/nowhere
export XDG_RUNTIME_DIR
mistake "$scratch/nowhere" list
mkdir -p "$scratch/open/gondolin"
chmod 700 "$scratch/open"
chmod 755 "$scratch/open/gondolin"
XDG_RUNTIME_DIR=$scratch/open
mistake 'is not a private directory' list
XDG_RUNTIME_DIR=$scratch/run
