/* SPDX-License-Identifier: Apache-2.0 */
#include "src/printable.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "src/utf8.h"

static bool is_control(const uint8_t *at, size_t n)
{
    return (n == 1 && (at[0] < ' ' || at[0] == 0x7f)) || (n == 2 && at[0] == 0xc2 && at[1] < 0xa0);
}

void printable(char *text, size_t len)
{
    uint8_t *at = (uint8_t *)text;
    for (size_t i = 0; i < len;) {
        size_t n = utf8_sequence(at + i, len - i);
        if (n && !is_control(at + i, n))
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
