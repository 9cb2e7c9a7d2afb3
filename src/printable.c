/* SPDX-License-Identifier: Apache-2.0 */
#include "src/printable.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

/* The bytes of the UTF-8 sequence that may begin with `lead`; 0: none. */
static size_t sequence_length(uint8_t lead)
{
    if (lead < 0x80)
        return 1;
    if (lead >= 0xc2 && lead <= 0xdf)
        return 2;
    if (lead >= 0xe0 && lead <= 0xef)
        return 3;
    return lead >= 0xf0 && lead <= 0xf4 ? 4 : 0;
}

/* RFC 3629: no overlong forms, no surrogates, nothing above U+10FFFF. */
static bool is_sequence(const uint8_t *at, size_t n)
{
    for (size_t i = 1; i < n; i++)
        if ((at[i] & 0xc0) != 0x80)
            return false;
    if (n == 3)
        return (at[0] != 0xe0 || at[1] >= 0xa0) && (at[0] != 0xed || at[1] < 0xa0);
    if (n == 4)
        return (at[0] != 0xf0 || at[1] >= 0x90) && (at[0] != 0xf4 || at[1] < 0x90);
    return true;
}

static bool is_control(const uint8_t *at, size_t n)
{
    return (n == 1 && (at[0] < ' ' || at[0] == 0x7f)) || (n == 2 && at[0] == 0xc2 && at[1] < 0xa0);
}

void printable(char *text, size_t len)
{
    uint8_t *at = (uint8_t *)text;
    for (size_t i = 0; i < len;) {
        size_t n = sequence_length(at[i]);
        if (n && n <= len - i && is_sequence(at + i, n) && !is_control(at + i, n))
            i += n;
        else
            at[i++] = '?';
    }
}

void printable_copy(char *out, size_t size, const void *text, size_t len)
{
    if (len >= size)
        len = size - 1;
    memcpy(out, text, len);
    out[len] = '\0';
    printable(out, len);
}
