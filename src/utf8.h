/* SPDX-License-Identifier: Apache-2.0 */
/* UTF-8 as RFC 3629 has it: no overlong forms, no surrogates, nothing above U+10FFFF. */
#ifndef GONDOLIN_SRC_UTF8_H
#define GONDOLIN_SRC_UTF8_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The bytes of the sequence that may begin with `lead`; 0: none. */
static inline size_t utf8_length(uint8_t lead)
{
    if (lead < 0x80)
        return 1;
    if (lead >= 0xc2 && lead <= 0xdf)
        return 2;
    if (lead >= 0xe0 && lead <= 0xef)
        return 3;
    return lead >= 0xf0 && lead <= 0xf4 ? 4 : 0;
}

/* The bytes of the character at `at`, of which there are `len` bytes to look at; 0 when it is none. */
static inline size_t utf8_sequence(const uint8_t *at, size_t len)
{
    size_t n = len ? utf8_length(at[0]) : 0;
    if (n > len)
        return 0;
    for (size_t i = 1; i < n; i++)
        if ((at[i] & 0xc0) != 0x80)
            return 0;
    bool good = true;
    if (n == 3)
        good = (at[0] != 0xe0 || at[1] >= 0xa0) && (at[0] != 0xed || at[1] < 0xa0);
    else if (n == 4)
        good = (at[0] != 0xf0 || at[1] >= 0x90) && (at[0] != 0xf4 || at[1] < 0x90);
    return good ? n : 0;
}

#endif
