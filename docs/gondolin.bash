# SPDX-License-Identifier: Apache-2.0
# Bash completion for gondolin. All words come from `gondolin help`, so they are those of the program that is installed.

# The long options (with =, where they take a value) and letters of a verb.
_gondolin_options() {
    "$1" help "$2" 2>/dev/null | sed -n 's/^  \(-[^ ],\|   \) \(--[a-z-]*\)\( [^ ]\)\{0,1\}.*/\1 \2\3/p' |
        while read -r first second third; do
            case $first in
            -?,) printf '%s\n' "${first%,}" ;;
            *) third=$second second=$first ;;
            esac
            printf '%s\n' "$second${third:+=}"
        done
}

# The values that an option (with its dashes) may take, where the help lists them or they are known here.
_gondolin_values() {
    case $3 in
    -i | --image) _gondolin_images "$1" ;;
    --from | --offline) _gondolin_checkpoints "$1" ;;
    esac
    "$1" help "$2" 2>/dev/null | sed -n "s/^  .*$3 [A-Z]* .*: \([a-z, ]*\)\$/\1/p" | tr -d ,
}

_gondolin_option_takes_value() {
    "$1" help "$2" 2>/dev/null | grep -q -E -- "^  (.*, )?( *)$3 [A-Z]|^  $3, --[a-z-]+ [A-Z]"
}

_gondolin_sandboxes() {
    "$1" list --json 2>/dev/null | sed -n 's/^ *"name": *"\([^"\\]*\)",*$/\1/p'
}

_gondolin_images() {
    "$1" image ls --json 2>/dev/null | sed -n '/"tags":\[/,/\]/s/^ *"\(.*\)",*$/\1/p'
}

_gondolin_checkpoints() {
    "$1" checkpoint ls --json 2>/dev/null | sed -n 's/^ \{2,4\}"name": *"\([^"\\]*\)",*$/\1/p'
}

_gondolin_checkpoint_operands() {
    if [ "$2" -eq 0 ]; then
        "$1" help checkpoint 2>/dev/null | sed -n 's/^  \([a-z]*\) .*/\1/p'
    else
        case $3 in
        create) [ "$2" -eq 1 ] && _gondolin_sandboxes "$1" ;;
        rm) _gondolin_checkpoints "$1" ;;
        diff) [ "$2" -le 2 ] && _gondolin_checkpoints "$1" ;;
        show | describe | verify | export) [ "$2" -eq 1 ] && _gondolin_checkpoints "$1" ;;
        esac
    fi
}

_gondolin_image_operands() {
    if [ "$2" -eq 0 ]; then
        "$1" help image 2>/dev/null | sed -n 's/^  \([a-z]*\) .*/\1/p'
    else
        case $3 in
        rm) _gondolin_images "$1" ;;
        inspect | verify | tag) [ "$2" -eq 1 ] && _gondolin_images "$1" ;;
        esac
    fi
}

# Operands of a verb: PROGRAM VERB, how many operands stand before this one, the first of them.
_gondolin_operands() {
    case $2 in
    exec | shell | attach | status | umount) _gondolin_sandboxes "$1" ;;
    checkpoint) _gondolin_checkpoint_operands "$1" "$3" "$4" ;;
    restore) _gondolin_sandboxes "$1"; _gondolin_checkpoints "$1" ;;
    image) _gondolin_image_operands "$1" "$3" "$4" ;;
    build) [ "$3" -eq 0 ] && printf '%s\n' debian busybox ;;
    help) "$1" help 2>/dev/null | sed -n 's/^  \([a-z][a-z]*\) .*/\1/p' ;;
    esac
}

_gondolin() {
    local program=${COMP_WORDS[0]} verb=${COMP_WORDS[1]} word=${COMP_WORDS[COMP_CWORD]} before i value=
    local -a operands=()
    COMPREPLY=()
    if [ "$COMP_CWORD" -eq 1 ]; then
        mapfile -t COMPREPLY < <(compgen -W "$(_gondolin_operands "$program" help 0 "") --help --version" -- "$word")
        return
    fi
    for ((i = 2; i < COMP_CWORD; i++)); do
        case ${COMP_WORDS[i]} in
        --) # the command for the guest: nothing here knows its words
            compopt -o default
            return
            ;;
        =) value=1 ;;
        -*)
            value=
            _gondolin_option_takes_value "$program" "$verb" "${COMP_WORDS[i]}" && value=1
            ;;
        *)
            [ -n "$value" ] || operands+=("${COMP_WORDS[i]}")
            value=
            ;;
        esac
    done
    before=${COMP_WORDS[COMP_CWORD - 1]}
    if [ "$word" = = ]; then
        word=
    elif [ "$before" = = ]; then
        before=${COMP_WORDS[COMP_CWORD - 2]}
    fi
    if [[ $before == -* ]] && _gondolin_option_takes_value "$program" "$verb" "$before"; then
        mapfile -t COMPREPLY < <(compgen -W "$(_gondolin_values "$program" "$verb" "$before")" -- "$word")
        [ "${#COMPREPLY[@]}" -gt 0 ] || compopt -o default
    elif [[ $word == -* ]]; then
        mapfile -t COMPREPLY < <(compgen -W "$(_gondolin_options "$program" "$verb") --" -- "$word")
        [[ ${COMPREPLY[*]} != *= ]] || compopt -o nospace
    else
        mapfile -t COMPREPLY < <(compgen -W "$(_gondolin_operands "$program" "$verb" "${#operands[@]}" "${operands[0]}")" -- "$word")
        [ "${#COMPREPLY[@]}" -gt 0 ] || compopt -o default
    fi
}

complete -F _gondolin gondolin
