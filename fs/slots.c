/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/slots.h"

#include <errno.h>
#include <stdlib.h>

enum { FIRST_CAPACITY = 64, GENERATION_MASK = (1 << 24) - 1, NO_SLOT = SLOTS_MAX };

void slots_init(struct slots *s, uint32_t max)
{
    *s = (struct slots){.max = max < SLOTS_MAX ? max : SLOTS_MAX, .free_head = NO_SLOT, .free_tail = NO_SLOT};
}

void slots_fini(struct slots *s)
{
    free(s->slots);
    slots_init(s, s->max);
}

static int grow(struct slots *s)
{
    if (s->used == s->max)
        return -ENFILE;
    uint32_t capacity = s->capacity ? s->capacity * 2 : FIRST_CAPACITY;
    if (capacity > s->max)
        capacity = s->max;
    struct slot *bigger = reallocarray(s->slots, capacity, sizeof *bigger);
    if (!bigger)
        return -ENOMEM;
    s->slots = bigger;
    s->capacity = capacity;
    return 0;
}

static int take_free(struct slots *s, uint32_t *index)
{
    if (s->free_head != NO_SLOT) {
        *index = s->free_head;
        s->free_head = s->slots[*index].next_free;
        if (s->free_head == NO_SLOT)
            s->free_tail = NO_SLOT;
        return 0;
    }
    int rc = s->used == s->capacity ? grow(s) : 0;
    if (rc < 0)
        return rc;
    *index = s->used++;
    s->slots[*index] = (struct slot){.generation = 0};
    return 0;
}

int slots_add(struct slots *s, void *item, uint64_t *id)
{
    uint32_t index;
    int rc = take_free(s, &index);
    if (rc < 0)
        return rc;
    struct slot *slot = &s->slots[index];
    slot->item = item;
    slot->generation = (slot->generation + 1) & GENERATION_MASK;
    if (slot->generation == 0) /* generation 0 would give ids below 2^24, where the root's is */
        slot->generation = 1;
    s->count++;
    *id = (uint64_t)slot->generation << SLOTS_INDEX_BITS | index;
    return 0;
}

static void add_to_free(struct slots *s, uint32_t index)
{
    s->slots[index].next_free = NO_SLOT;
    if (s->free_tail == NO_SLOT)
        s->free_head = index;
    else
        s->slots[s->free_tail].next_free = index;
    s->free_tail = index;
}

int slots_restore(struct slots *s, void *item, uint64_t id)
{
    uint32_t index = (uint32_t)(id & (SLOTS_MAX - 1));
    uint64_t generation = id >> SLOTS_INDEX_BITS;
    if (index < s->used || generation == 0 || generation > GENERATION_MASK)
        return -EINVAL;
    while (s->used <= index) {
        int rc = s->used == s->capacity ? grow(s) : 0;
        if (rc < 0)
            return rc;
        s->slots[s->used] = (struct slot){.generation = (uint32_t)generation};
        if (s->used < index)
            add_to_free(s, s->used);
        s->used++;
    }
    s->slots[index].item = item;
    s->count++;
    return 0;
}

void *slots_get(const struct slots *s, uint64_t id)
{
    uint64_t index = id & (SLOTS_MAX - 1);
    if (index >= s->used || s->slots[index].generation != id >> SLOTS_INDEX_BITS)
        return NULL;
    return s->slots[index].item;
}

void slots_del(struct slots *s, uint64_t id)
{
    uint32_t index = (uint32_t)(id & (SLOTS_MAX - 1));
    s->slots[index].item = NULL;
    s->count--;
    add_to_free(s, index);
}

void *slots_any(const struct slots *s, uint32_t *cursor)
{
    for (; *cursor < s->used; ++*cursor) {
        if (s->slots[*cursor].item)
            return s->slots[*cursor].item;
    }
    return NULL;
}
