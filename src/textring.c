/* SPDX-License-Identifier: Apache-2.0 */
#include "src/textring.h"

#include <stdlib.h>
#include <string.h>

struct textring {
    size_t capacity;
    uint64_t total;
    char bytes[];
};

struct textring *textring_new(size_t capacity)
{
    struct textring *ring = calloc(1, sizeof *ring + capacity);
    if (ring)
        ring->capacity = capacity;
    return ring;
}

void textring_free(struct textring *ring)
{
    free(ring);
}

void textring_add(struct textring *ring, const void *bytes, size_t len)
{
    const char *from = bytes;
    for (size_t i = 0; i < len;) {
        size_t at = (size_t)((ring->total + i) % ring->capacity);
        size_t piece = ring->capacity - at < len - i ? ring->capacity - at : len - i;
        memcpy(ring->bytes + at, from + i, piece);
        i += piece;
    }
    ring->total += len;
}

uint64_t textring_total(const struct textring *ring)
{
    return ring->total;
}

uint64_t textring_oldest(const struct textring *ring)
{
    return ring->total > ring->capacity ? ring->total - ring->capacity : 0;
}

uint64_t textring_first_line(const struct textring *ring)
{
    uint64_t at = textring_oldest(ring);
    if (at == 0)
        return 0;
    while (at < ring->total && ring->bytes[at % ring->capacity] != '\n')
        at++;
    return at < ring->total ? at + 1 : at;
}

void textring_copy(const struct textring *ring, uint64_t from, void *out, size_t len)
{
    size_t at = (size_t)(from % ring->capacity);
    size_t first = ring->capacity - at < len ? ring->capacity - at : len;
    memcpy(out, ring->bytes + at, first);
    memcpy((char *)out + first, ring->bytes, len - first);
}
