#!/bin/sh
# What the program knows, its help says, the manual pages describe, and bash completes: the same verbs, options and values.
. "$GONDOLIN_SOURCE/tests/integration/lib.sh"
requires mandoc mandoc
docs=$GONDOLIN_SOURCE/docs

# The options in the help of a verb, as a sorted list of -x and --name.
help_options() {
    gondolin help "$1" | sed -n 's/^  \(-.\),* *\(--[a-z-]*\).*/\1 \2/p; s/^      \(--[a-z-]*\).*/\1/p' | tr ' ' '\n' |
        grep -vx -e -h -e --help | sort
}

# Those of a manual page, of the whole of it or of the subsection $2.
page_options() {
    awk -v section="${2-}" '
        /^\.S[sh] / { inside = section == "" || $2 == section }
        inside && /^\.It Fl/ { for (i = 2; i < NF; i++) if ($i == "Fl") print "-" $(i + 1) }' "$docs/$1" | sort
}

page_of() {
    case $1 in
    exec | shell | run) echo gondolin-exec.1 "$1" ;;
    list | status | attach | umount) echo gondolin-list.1 "$1" ;;
    restore) echo gondolin-checkpoint.1 restore ;;
    *) echo "gondolin-$1.1" ;;
    esac
}

verbs=$(gondolin help | sed -n 's/^  \([a-z]*\)  *.*/\1/p' | grep -vx help)
[ "$(echo "$verbs" | wc -l)" -ge 11 ] || fail "help lists only $verbs"

for verb in $verbs; do
    # shellcheck disable=SC2046 # a page and perhaps a section
    page_options $(page_of "$verb") >"$scratch/page"
    if [ "$verb" = run ]; then
        page_options gondolin-mount.1 | grep -vx -e -f -e --foreground -e --offline >>"$scratch/page"
        sort -o "$scratch/page" "$scratch/page"
    fi
    help_options "$verb" >"$scratch/help"
    diff "$scratch/help" "$scratch/page" >"$scratch/diff" ||
        fail "$verb: help (<) and manual page (>) differ: $(cat "$scratch/diff")"
    grep -q "^\.It Cm $verb\$" "$docs/gondolin.1" || fail "$verb: not in gondolin(1)"
    page=$(gondolin help "$verb" | sed -n 's/^Manual page: \(.*\)(\(.\))$/\1.\2/p')
    [ -f "$docs/$page" ] || fail "$verb: its help names the manual page $page"
    # Values that an option may have are all described.
    for value in $(gondolin help "$verb" | sed -n 's/^  .*--[a-z-]* [A-Z]*  .*: \([a-z]*, [a-z, ]*\)$/\1/p' | tr -d ,); do
        grep -q "^\.Cm $value\b" "$docs/gondolin-mount.1" "$docs/$page" || fail "$verb: the value $value is not described"
    done
done

for page in "$docs"/*.[157]; do
    mandoc -Tlint -W warning "$page" >"$scratch/lint" 2>&1 || fail "$(cat "$scratch/lint")"
    grep -h -o 'Xr gondolin[a-z-]* [157]' "$page" | sort -u | while read -r _ name section; do
        [ -f "$docs/$name.$section" ] || fail "$page refers to $name($section)"
    done
    grep -q "docs/$(basename "$page")" "$docs/local.mk" || fail "$page is not installed"
done

# Completion, as bash calls it: completes WORD... completes the last one.
completes() {
    bash -c '. "$0/gondolin.bash"; compopt() { :; }
        COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _gondolin; printf "%s\n" "${COMPREPLY[@]}"' "$docs" "$@" | sort
}

printf '%s\n' "$verbs" help --help --version | sort >"$scratch/expected"
completes gondolin '' | diff - "$scratch/expected" >"$scratch/diff" || fail "completion of verbs: $(cat "$scratch/diff")"
for verb in $verbs; do
    { help_options "$verb"; printf '%s\n' -h --help --; } | sort >"$scratch/expected"
    completes gondolin "$verb" - | sed 's/=$//' | sort | diff - "$scratch/expected" >"$scratch/diff" ||
        fail "completion of $verb: $(cat "$scratch/diff")"
done
[ "$(completes gondolin mount --root-mode '' | tr '\n' ' ')" = 'cow memory readonly ' ] || fail 'completion of values'
[ "$(completes gondolin mount --root-mode = m)" = memory ] || fail 'completion of values after ='
[ "$(completes gondolin exec sb -- l)" = '' ] || fail 'a command for the guest is completed'
[ "$(completes gondolin image v)" = verify ] || fail 'completion of image actions'
[ "$(completes gondolin checkpoint v)" = verify ] || fail 'completion of checkpoint actions'
got=$(completes gondolin image --json rm busy)
[ "$got" = busybox ] || fail "completion of an image behind an option: '$got', of: $(gondolin image ls 2>&1)"
[ "$(completes gondolin mount --name x --image busy)" = busybox ] || fail 'completion of the value of --image'
[ "$(completes gondolin image tag busybox busy)" = '' ] || fail 'completion where a new name is wanted'
