/* SPDX-License-Identifier: Apache-2.0 */
/* What the fuzz targets share. Each is a libFuzzer entry point; tests/fuzz/replay.c makes an ordinary program of it. */
#ifndef GONDOLIN_TESTS_FUZZ_FUZZ_H
#define GONDOLIN_TESTS_FUZZ_FUZZ_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* An assertion that is there in every build. */
#define fuzz_require(condition)                                                                     \
    do {                                                                                            \
        if (!(condition)) {                                                                         \
            fprintf(stderr, "%s:%d: not true: %s\n", __FILE__, __LINE__, #condition);               \
            abort();                                                                                \
        }                                                                                           \
    } while (0)

#endif
