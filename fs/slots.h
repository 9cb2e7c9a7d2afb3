/* SPDX-License-Identifier: Apache-2.0 */
/* Numbers for objects that a peer may name: 24 bits of index, 24 bits of generation. A number is never a pointer or a
 * file descriptor, and one that was given back does not come to mean something else: its slot is reused last and under
 * another generation. Not locked. */
#ifndef GONDOLIN_FS_SLOTS_H
#define GONDOLIN_FS_SLOTS_H

#include <stdint.h>

enum { SLOTS_INDEX_BITS = 24, SLOTS_MAX = 1 << SLOTS_INDEX_BITS };

struct slot {
    void *item; /* NULL while free */
    uint32_t generation;
    uint32_t next_free;
};

struct slots {
    struct slot *slots;
    uint32_t used;     /* slots that have ever held something */
    uint32_t count;    /* items */
    uint32_t capacity; /* slots allocated */
    uint32_t max;
    uint32_t free_head, free_tail; /* a queue of free slots; SLOTS_MAX ends it */
};

/* Holds at most `max` items (at most SLOTS_MAX). Allocates nothing yet. */
void slots_init(struct slots *slots, uint32_t max);
void slots_fini(struct slots *slots);

/* Gives the item a number, which is at least 2^24. 0, -ENFILE when full, -ENOMEM. */
int slots_add(struct slots *slots, void *item, uint64_t *id);

/* Gives the item a number that another table has given. Only before slots_add, in the order of the numbers' indices:
 * otherwise, and for what is no number, -EINVAL; or as slots_add. */
int slots_restore(struct slots *slots, void *item, uint64_t id);

/* The item with this number, or NULL. Any number may be asked for. */
void *slots_get(const struct slots *slots, uint64_t id);

/* Takes the item out; the number must be valid. */
void slots_del(struct slots *slots, uint64_t id);

/* Some item that is left, or NULL; for emptying the table. `*cursor` starts at 0. */
void *slots_any(const struct slots *slots, uint32_t *cursor);

#endif
