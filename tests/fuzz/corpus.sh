#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Runs every fuzz target once over its corpus.
set -eu
build=${GONDOLIN_BUILD:-.}
for corpus in "${GONDOLIN_SOURCE:-.}"/tests/fuzz/corpus/*; do
    target=${corpus##*/}
    [ -x "$build/tests/fuzz/replay-$target" ] || continue
    printf '%s: ' "$target"
    "$build/tests/fuzz/replay-$target" "$corpus"/*
done
