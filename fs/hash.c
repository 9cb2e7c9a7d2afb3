/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/hash.h"

#include <errno.h>
#include <stdlib.h>

enum { FIRST_BUCKETS = 64 };

int hash_init(struct hash *hash)
{
    *hash = (struct hash){.buckets = calloc(FIRST_BUCKETS, sizeof *hash->buckets), .mask = FIRST_BUCKETS - 1};
    return hash->buckets ? 0 : -ENOMEM;
}

void hash_fini(struct hash *hash)
{
    free(hash->buckets);
    *hash = (struct hash){0};
}

/* The finaliser of SplitMix64 (Steele, Lea, Flood: Fast splittable pseudorandom number generators, 2014). */
uint64_t hash_mix(uint64_t a, uint64_t b)
{
    uint64_t x = a + b * 0x9e3779b97f4a7c15u;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return x ^ (x >> 31);
}

static void push(struct hash *hash, struct hash_link *link)
{
    struct hash_link **bucket = &hash->buckets[link->hash & hash->mask];
    link->next = *bucket;
    *bucket = link;
}

static void grow(struct hash *hash)
{
    size_t old_size = hash->mask + 1;
    struct hash_link **old = hash->buckets;
    struct hash_link **bigger = calloc(old_size * 2, sizeof *bigger);
    if (!bigger)
        return;
    hash->buckets = bigger;
    hash->mask = old_size * 2 - 1;
    for (size_t i = 0; i < old_size; i++) {
        for (struct hash_link *link = old[i], *next; link; link = next) {
            next = link->next;
            push(hash, link);
        }
    }
    free(old);
}

void hash_add(struct hash *hash, struct hash_link *link, uint64_t value)
{
    if (hash->count > hash->mask)
        grow(hash);
    link->hash = value;
    push(hash, link);
    hash->count++;
}

void hash_remove(struct hash *hash, struct hash_link *link)
{
    struct hash_link **at = &hash->buckets[link->hash & hash->mask];
    while (*at != link)
        at = &(*at)->next;
    *at = link->next;
    hash->count--;
}

static struct hash_link *skip_to(struct hash_link *link, uint64_t value)
{
    while (link && link->hash != value)
        link = link->next;
    return link;
}

struct hash_link *hash_first(const struct hash *hash, uint64_t value)
{
    return skip_to(hash->buckets[value & hash->mask], value);
}

struct hash_link *hash_next(const struct hash_link *link)
{
    return skip_to(link->next, link->hash);
}
