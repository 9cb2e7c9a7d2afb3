# shellcheck shell=sh
# Sourced by every integration test. Gives a private runtime directory and scratch space, `gondolin` on the PATH, a
# busybox sandbox on request, and counts at the end what was left behind.
#
#   . "$GONDOLIN_SOURCE/tests/integration/lib.sh"
#   sandbox                 # boots one; $sb is its mount point
#   test ... || fail "what"
#
# Exit codes as automake reads them: 0 passed, 77 skipped, anything else failed.
set -eu

name=$(basename "$0" .sh)
scratch=$(mktemp -d "${TMPDIR:-/tmp}/gondolin-$name.XXXXXX")
shared_store=$GONDOLIN_STORE
XDG_RUNTIME_DIR=$scratch/run
XDG_STATE_HOME=$scratch/state
GONDOLIN_STORE=$scratch/own-store
PATH=$GONDOLIN_BUILD:$PATH
ASAN_OPTIONS=log_path=$scratch/sanitizer:detect_leaks=1
UBSAN_OPTIONS=log_path=$scratch/sanitizer:print_stacktrace=1
export XDG_RUNTIME_DIR XDG_STATE_HOME GONDOLIN_STORE PATH ASAN_OPTIONS UBSAN_OPTIONS
mkdir -m 0700 "$XDG_RUNTIME_DIR"
# The images are shared, the work in progress is our own: what is left of it can be counted.
mkdir "$GONDOLIN_STORE"
ln -s "$shared_store/images" "$shared_store/tags" "$shared_store/cache" "$GONDOLIN_STORE"

fail() {
    echo "FAIL: $name: $*" >&2
    for log in "$scratch"/*.log; do
        [ -f "$log" ] && { echo "--- $log" >&2; tail -n 20 "$log" >&2; }
    done
    our_processes | while read -r pid _; do ps -o pid=,stat=,wchan:24=,args= -p "$pid"; done >&2
    exit 1
}

skip() {
    echo "SKIP: $name: $*"
    exit 77
}

requires() {
    command -v "$1" >/dev/null || skip "needs $1 (Debian package $2)"
}

# Waits until a command succeeds: `eventually SECONDS COMMAND...`. Only for what nothing announces.
eventually() {
    tries=$(($1 * 20))
    shift
    until "$@" >/dev/null 2>&1; do
        tries=$((tries - 1))
        [ "$tries" -gt 0 ] || return 1
        sleep 0.05
    done
}

# Fails unless a child of this shell ends: `ends_within SECONDS PID`. Sets $code to its exit code.
ends_within() {
    eventually "$1" is_over "$2" || fail "still there after $1 s: $(ps -o pid=,stat=,wchan:24=,args= -p "$2")"
    code=0
    wait "$2" || code=$?
}

is_over() {
    [ ! -d "/proc/$1" ] || grep -q '^State:.[ZX]' "/proc/$1/status"
}

# Boots a sandbox on $scratch/sb (or $scratch/$1, with further options behind it); sets $sb.
sandbox() {
    sb=$scratch/${1:-sb}
    [ $# -gt 0 ] && shift
    timeout 120 gondolin mount --image busybox "$@" "$sb" >"$scratch/mount.out" 2>"$scratch/mount.log" ||
        fail "gondolin mount: $(cat "$scratch/mount.log")"
}

# The value of a key of the status file.
status_of() {
    sed -n "s/^$1 //p" "$sb/status"
}

# A process of the sandbox as the registry knows it, also while it boots: `registered keeper_pid`.
registered() {
    sed -n "s/.*\"$1\": *\([1-9][0-9]*\).*/\1/p" "$XDG_RUNTIME_DIR"/gondolin/*/session.json 2>/dev/null
}

# The last sandbox on this mount point ended for this reason (a pattern), as status and list tell.
ended_because() {
    code=0
    gondolin status "$1" >"$scratch/said" 2>&1 || code=$?
    [ "$code" = 125 ] || fail "status of an ended sandbox exits with $code"
    grep -q "$2" "$scratch/said" || fail "status does not say '$2' but: $(cat "$scratch/said")"
    gondolin list --ended | grep -F " $1" | grep -q "$2" || fail "list --ended does not say '$2'"
}

# Runs a command that has to fail: `refused CODE PATTERN COMMAND...`. It says why in one line.
refused() {
    want=$1 pattern=$2 code=0
    shift 2
    timeout 60 "$@" >"$scratch/said.out" 2>"$scratch/said" || code=$?
    [ "$code" = "$want" ] || fail "'$*' exits with $code, not $want: $(cat "$scratch/said")"
    [ "$(wc -l <"$scratch/said")" = 1 ] || fail "'$*' does not explain itself in one line: $(cat "$scratch/said")"
    grep -q "$pattern" "$scratch/said" || fail "'$*' does not say '$pattern' but: $(cat "$scratch/said")"
}

# Processes that belong to this test: everything of gondolin's whose environment names our runtime directory.
our_processes() {
    grep -lzxF "XDG_RUNTIME_DIR=$XDG_RUNTIME_DIR" /proc/[0-9]*/environ 2>/dev/null | while IFS=/ read -r _ _ pid _; do
        case $(cat "/proc/$pid/comm" 2>/dev/null) in
        gondolin*|qemu*) echo "$pid $( (tr '\0' ' ' <"/proc/$pid/cmdline") 2>/dev/null | cut -c1-100)" ;;
        esac
    done
}

our_mounts() {
    grep -F " $scratch/" /proc/self/mountinfo || true
}

our_files() {
    find "$XDG_RUNTIME_DIR" -xdev -mindepth 2 -not -name 'known.*' 2>/dev/null || true
    find "$GONDOLIN_STORE/tmp" -xdev -mindepth 1 2>/dev/null || true
}

leftovers() {
    our_processes
    our_mounts
    our_files
}

no_processes() {
    [ -z "$(our_processes)" ]
}

nothing_left() {
    [ -z "$(leftovers)" ]
}

# A test that ends its sandboxes itself can check at once; at the end it is checked for all.
expect_nothing_left() {
    eventually 5 nothing_left || fail "left behind: $(leftovers)"
}

# Is this a build with --enable-sanitizers? Its processes keep freed memory for a while.
sanitized() {
    ldd "$GONDOLIN_BUILD/gondolin-engine" | grep -q libasan
}

# What a build with --enable-sanitizers had to say, daemons included.
sanitizer_reports() {
    find "$scratch" -maxdepth 1 -name 'sanitizer.*' -size +0
}

# What a test has to undo besides, whichever way it ends: to be defined again there.
at_end() {
    :
}

finish_test() {
    code=$?
    trap - EXIT
    for dir in "$scratch"/*; do
        if mountpoint -q "$dir" 2>/dev/null; then
            timeout 20 gondolin umount --force "$dir" >/dev/null 2>&1 || umount -l "$dir" 2>/dev/null || true
        fi
    done
    if ! eventually 5 nothing_left; then
        echo "FAIL: $name: left behind:" >&2
        leftovers >&2
        our_processes | while read -r pid _; do kill -9 "$pid" 2>/dev/null || true; done
        [ "$code" = 0 ] && code=1
    fi
    if [ -n "$(sanitizer_reports)" ]; then
        echo "FAIL: $name: sanitizer reports:" >&2
        sanitizer_reports | while read -r report; do head -n 60 "$report"; done >&2
        code=1
    fi
    at_end
    rm -rf "$scratch"
    exit "$code"
}
trap finish_test EXIT
trap 'exit 130' INT TERM HUP
