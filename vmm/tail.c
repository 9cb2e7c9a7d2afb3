/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/tail.h"

#include <stdio.h>

static void add_char(struct tail *tail, char c)
{
    if (c == '\n' || c == '\r') {
        tail->open = false;
        return;
    }
    if (!tail->open) {
        tail->count++;
        tail->length = 0;
        tail->open = true;
    }
    char *line = tail->lines[(tail->count - 1) % TAIL_LINES];
    if (tail->length < TAIL_LINE_MAX - 1)
        line[tail->length++] = c >= ' ' && c != 0x7f ? c : '?';
    line[tail->length] = '\0';
}

void tail_add(struct tail *tail, const char *bytes, size_t len)
{
    for (size_t i = 0; i < len; i++)
        add_char(tail, bytes[i]);
}

void tail_join(const struct tail *tail, unsigned lines, char *text, size_t size)
{
    unsigned kept = tail->count < TAIL_LINES ? tail->count : TAIL_LINES;
    unsigned wanted = lines < kept ? lines : kept;
    size_t used = 0;
    text[0] = '\0';
    for (unsigned i = tail->count - wanted; i < tail->count && used < size; i++) {
        int n = snprintf(text + used, size - used, "%s%s", used ? "; " : "", tail->lines[i % TAIL_LINES]);
        used += n > 0 ? (size_t)n : 0;
    }
}
