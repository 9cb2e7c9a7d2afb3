#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# gondolin-vfs itself against a guest that forges what it sends (tests/tools/hostile-guest.py), and what confines it.
. "$GONDOLIN_SOURCE/tests/integration/lib.sh"
requires python3 python3

timeout 120 python3 "$GONDOLIN_SOURCE/tests/tools/hostile-guest.py" "$GONDOLIN_BUILD/gondolin-vfs" "$scratch/place" ||
    fail "gondolin-vfs did what it must not"

code=0
"$GONDOLIN_BUILD/gondolin-vfs" 2>"$scratch/said" 3<&- 4<&- || code=$?
{ [ "$code" = 125 ] && grep -q 'started by gondolin' "$scratch/said"; } || fail "started by hand: $code, $(cat "$scratch/said")"
