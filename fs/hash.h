/* SPDX-License-Identifier: Apache-2.0 */
/* An intrusive chained hash table that grows. Not locked. Users compare the whole key themselves: they walk the links
 * with an equal hash from hash_first on. */
#ifndef GONDOLIN_FS_HASH_H
#define GONDOLIN_FS_HASH_H

#include <stddef.h>
#include <stdint.h>

struct hash_link {
    struct hash_link *next;
    uint64_t hash;
};

struct hash {
    struct hash_link **buckets;
    size_t mask, count;
};

/* 0 or -ENOMEM. */
int hash_init(struct hash *hash);

/* Frees the table, not what is linked in it. */
void hash_fini(struct hash *hash);

/* Mixes two numbers into one whose low bits are spread evenly. */
uint64_t hash_mix(uint64_t a, uint64_t b);

/* `link` must stay where it is until removed. Never fails: a table that cannot grow gets slower. */
void hash_add(struct hash *hash, struct hash_link *link, uint64_t value);
void hash_remove(struct hash *hash, struct hash_link *link);

/* The first link with this hash, and the one after a link with the same hash; NULL at the end. */
struct hash_link *hash_first(const struct hash *hash, uint64_t value);
struct hash_link *hash_next(const struct hash_link *link);

#endif
