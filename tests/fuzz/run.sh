#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# run.sh TARGET SECONDS [libFuzzer options]: fuzzes tests/fuzz/fuzz-TARGET.c with clang's libFuzzer, ASan and UBSan,
# starting from its corpus. New inputs stay in a scratch directory; a finding is left in the current directory.
# Targets' sources besides fuzz-TARGET.c are named in their own SOURCES: line.
set -eu

usage() {
    echo "usage: $0 TARGET SECONDS [libFuzzer options]; targets:" >&2
    for file in "$here"/fuzz-*.c; do basename "$file" .c | sed 's/^fuzz-/    /'; done >&2
    exit 2
}

here=$(cd "$(dirname "$0")" && pwd)
top=$(cd "$here/../.." && pwd)
if [ $# -lt 2 ] || [ ! -f "$here/fuzz-$1.c" ]; then usage; fi
target=$1 seconds=$2
shift 2
command -v clang >/dev/null || { echo "$0: clang is needed; install it with: apt-get install clang" >&2; exit 77; }

work=$(mktemp -d "${TMPDIR:-/tmp}/gondolin-fuzz-XXXXXX")
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM
sources=$(sed -n 's,^ \* SOURCES: \(.*\) \*/$,\1,p' "$here/fuzz-$target.c")
cd "$top"
# shellcheck disable=SC2086 # a list of patterns
clang -std=gnu17 -g -O1 -D_GNU_SOURCE -I. -fsanitize=fuzzer,address,undefined -fno-sanitize-recover=all \
    "$here/fuzz-$target.c" $sources -o "$work/fuzz" -lpthread
cd "$OLDPWD"
mkdir "$work/new"
"$work/fuzz" -max_total_time="$seconds" -timeout=20 -rss_limit_mb=2048 -max_len=8192 -print_final_stats=1 \
    -artifact_prefix="./$target-" "$@" "$work/new" "$here/corpus/$target"
