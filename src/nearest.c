/* SPDX-License-Identifier: Apache-2.0 */
#include "src/nearest.h"

#include <ctype.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#include <strings.h>

enum { LONGEST = 63 };

static unsigned min2(unsigned a, unsigned b)
{
    return a < b ? a : b;
}

static bool same(char a, char b)
{
    return tolower((unsigned char)a) == tolower((unsigned char)b);
}

/* Optimal string alignment over three rolling rows; both words are at most LONGEST bytes. */
static unsigned distance(const char *a, size_t a_len, const char *b, size_t b_len)
{
    unsigned rows[3][LONGEST + 1];
    unsigned *before = rows[0], *above = rows[1], *row = rows[2];
    for (unsigned j = 0; j <= b_len; j++)
        above[j] = before[j] = j;
    for (unsigned i = 1; i <= a_len; i++) {
        row[0] = i;
        for (unsigned j = 1; j <= b_len; j++) {
            row[j] = min2(min2(above[j] + 1, row[j - 1] + 1), above[j - 1] + !same(a[i - 1], b[j - 1]));
            if (i > 1 && j > 1 && same(a[i - 1], b[j - 2]) && same(a[i - 2], b[j - 1]))
                row[j] = min2(row[j], before[j - 2] + 1);
        }
        unsigned *oldest = before;
        before = above;
        above = row;
        row = oldest;
    }
    return above[b_len];
}

const char *nearest_match(const char *word, const char *const *candidates)
{
    size_t len = strlen(word);
    if (len > LONGEST)
        return NULL;
    const char *best = NULL;
    unsigned best_distance = (unsigned)len / 3 + 1; /* short words: one slip; long ones: one in three characters */
    for (; *candidates; candidates++) {
        size_t candidate_len = strlen(*candidates);
        if (candidate_len > LONGEST)
            continue;
        bool begins = len >= 2 && strncasecmp(word, *candidates, len) == 0;
        unsigned d = begins ? candidate_len > len : distance(word, len, *candidates, candidate_len);
        if (d < len && (d < best_distance || (!best && d == best_distance))) {
            best = *candidates;
            best_distance = d;
        }
    }
    return best;
}
