/* SPDX-License-Identifier: Apache-2.0 */
#include "src/printable.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
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

static size_t spell(char out[static 5], uint8_t byte)
{
    static const char letters[] = "abtnvfr"; /* from 7 on */
    if (byte >= 7 && byte <= 13)
        return (size_t)sprintf(out, "\\%c", letters[byte - 7]);
    return (size_t)sprintf(out, "\\x%02x", byte);
}

char *printable_spelled(const char *text)
{
    const uint8_t *at = (const uint8_t *)text;
    size_t len = strlen(text), used = 0;
    char *out = malloc(4 * len + 1);
    for (size_t i = 0; out && i < len;) {
        size_t n = utf8_sequence(at + i, len - i);
        if (n && !is_control(at + i, n)) {
            memcpy(out + used, at + i, n);
            used += n;
            i += n;
        } else {
            used += spell(out + used, at[i++]);
        }
    }
    if (out)
        out[used] = '\0';
    return out;
}

void printable_copy(char *out, size_t size, const void *text, size_t len)
{
    if (len >= size)
        len = size - 1;
    memcpy(out, text, len);
    out[len] = '\0';
    printable(out, len);
}
