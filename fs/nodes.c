/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/nodes.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

enum { ROOT = 1, FIRST_BUCKETS = 256, MAX_DEPTH = 4096 };

/* A parent stays allocated while children point at it, even when the kernel has forgotten it: the kernel forgets
 * children first, so this is short, but a lying guest must not leave a dangling pointer. */
struct node {
    struct node *next;      /* in its bucket by id */
    struct node *next_name; /* in its bucket by parent and name */
    char *name;             /* NULL for the root */
    size_t name_len;
    struct node *parent;
    uint64_t id;
    uint64_t lookups;
    size_t children;
    unsigned depth_cap; /* the shallowest place it has been found at after having been found elsewhere */
    unsigned children_cap; /* the same for every child: one of them, not known which, was moved there by the host */
};

struct nodes {
    struct node **buckets, **names; /* bucket_count each */
    size_t bucket_count, count;
    struct node *root;
};

static size_t bucket_of(const struct nodes *nodes, uint64_t id)
{
    return (size_t)((id * UINT64_C(0x9e3779b97f4a7c15)) >> 32) & (nodes->bucket_count - 1);
}

static struct node *find(const struct nodes *nodes, uint64_t id)
{
    for (struct node *node = nodes->buckets[bucket_of(nodes, id)]; node; node = node->next)
        if (node->id == id)
            return node;
    return NULL;
}

static size_t name_bucket(const struct nodes *nodes, const struct node *parent, const char *name, size_t len)
{
    uint64_t hash = parent->id * UINT64_C(0x9e3779b97f4a7c15);
    for (size_t i = 0; i < len; i++)
        hash = (hash ^ (uint8_t)name[i]) * UINT64_C(0x100000001b3);
    return (size_t)(hash >> 20) & (nodes->bucket_count - 1);
}

static struct node *find_name(const struct nodes *nodes, const struct node *parent, const char *name, size_t len)
{
    struct node *node = nodes->names[name_bucket(nodes, parent, name, len)];
    while (node && (node->parent != parent || node->name_len != len || memcmp(node->name, name, len) != 0))
        node = node->next_name;
    return node;
}

static void link_name(struct nodes *nodes, struct node *node)
{
    size_t b = name_bucket(nodes, node->parent, node->name, node->name_len);
    node->next_name = nodes->names[b];
    nodes->names[b] = node;
}

static void unlink_name(struct nodes *nodes, struct node *node)
{
    struct node **at = &nodes->names[name_bucket(nodes, node->parent, node->name, node->name_len)];
    while (*at != node)
        at = &(*at)->next_name;
    *at = node->next_name;
}

static void link_id(struct nodes *nodes, struct node *node)
{
    size_t b = bucket_of(nodes, node->id);
    node->next = nodes->buckets[b];
    nodes->buckets[b] = node;
}

static void grow(struct nodes *nodes)
{
    size_t old_count = nodes->bucket_count;
    struct node **old = nodes->buckets;
    struct node **ids = calloc(old_count * 2, sizeof *ids), **names = calloc(old_count * 2, sizeof *names);
    if (!ids || !names) {
        free(ids);
        free(names);
        return; /* longer chains, nothing worse */
    }
    free(nodes->names);
    nodes->buckets = ids;
    nodes->names = names;
    nodes->bucket_count = old_count * 2;
    for (size_t i = 0; i < old_count; i++) {
        for (struct node *node = old[i], *next; node; node = next) {
            next = node->next;
            link_id(nodes, node);
            if (node->name)
                link_name(nodes, node);
        }
    }
    free(old);
}

static struct node *add(struct nodes *nodes, struct node *parent, const char *name, size_t len, uint64_t id)
{
    struct node *node = calloc(1, sizeof *node);
    if (!node)
        return NULL;
    *node = (struct node){.parent = parent, .id = id, .depth_cap = UINT_MAX, .children_cap = UINT_MAX};
    if (parent) {
        node->name = strndup(name, len);
        node->name_len = len;
        if (!node->name) {
            free(node);
            return NULL;
        }
        parent->children++;
    }
    if (nodes->count >= nodes->bucket_count)
        grow(nodes);
    link_id(nodes, node);
    if (parent)
        link_name(nodes, node);
    nodes->count++;
    return node;
}

struct nodes *nodes_new(void)
{
    struct nodes *nodes = calloc(1, sizeof *nodes);
    if (!nodes)
        return NULL;
    nodes->bucket_count = FIRST_BUCKETS;
    nodes->buckets = calloc(FIRST_BUCKETS, sizeof(struct node *));
    nodes->names = calloc(FIRST_BUCKETS, sizeof(struct node *));
    nodes->root = nodes->buckets && nodes->names ? add(nodes, NULL, NULL, 0, ROOT) : NULL;
    if (!nodes->root) {
        free(nodes->names);
        free(nodes->buckets);
        free(nodes);
        return NULL;
    }
    return nodes;
}

void nodes_free(struct nodes *nodes)
{
    if (!nodes)
        return;
    for (size_t i = 0; i < nodes->bucket_count; i++) {
        for (struct node *node = nodes->buckets[i], *next; node; node = next) {
            next = node->next;
            free(node->name);
            free(node);
        }
    }
    free(nodes->names);
    free(nodes->buckets);
    free(nodes);
}

static void drop_unused(struct nodes *nodes, struct node *node)
{
    while (node->parent && !node->lookups && !node->children) {
        struct node *parent = node->parent;
        struct node **at = &nodes->buckets[bucket_of(nodes, node->id)];
        while (*at != node)
            at = &(*at)->next;
        *at = node->next;
        unlink_name(nodes, node);
        nodes->count--;
        free(node->name);
        free(node);
        parent->children--;
        node = parent;
    }
}

static bool lies_below(const struct node *node, const struct node *ancestor)
{
    for (; node; node = node->parent)
        if (node == ancestor)
            return true;
    return false;
}

/* Directories between the root and `node` itself: 0 for the root. */
static unsigned own_depth(const struct node *node)
{
    unsigned steps = 0;
    unsigned best = UINT_MAX;
    for (; node->parent; node = node->parent, steps++) {
        if (node->depth_cap != UINT_MAX && steps + node->depth_cap < best)
            best = steps + node->depth_cap;
        if (node->parent->children_cap != UINT_MAX && steps + node->parent->children_cap < best)
            best = steps + node->parent->children_cap;
        if (steps > MAX_DEPTH)
            return 0;
    }
    return steps < best ? steps : best;
}

/* Records a new place. A name that cannot be copied (ENOMEM) leaves the old one: the place is then only found again by
 * the next lookup, and renames of it count for all its neighbours. */
static void set_place(struct nodes *nodes, struct node *node, struct node *parent, const char *name, size_t len)
{
    struct node *old = node->parent;
    char *copy = strndup(name, len);
    unlink_name(nodes, node);
    if (copy) {
        free(node->name);
        node->name = copy;
        node->name_len = len;
    }
    parent->children++;
    node->parent = parent;
    link_name(nodes, node);
    old->children--;
    drop_unused(nodes, old);
}

int nodes_found(struct nodes *nodes, uint64_t parent_id, const char *name, size_t name_len, uint64_t child_id)
{
    struct node *parent = find(nodes, parent_id);
    if (!parent)
        return -ESTALE;
    struct node *child = find(nodes, child_id);
    if (!child) {
        child = add(nodes, parent, name, name_len, child_id);
        if (!child)
            return -ENOMEM;
    } else if (child->parent != parent) {
        if (lies_below(parent, child))
            return -ELOOP;
        unsigned before = own_depth(child);
        set_place(nodes, child, parent, name, name_len);
        unsigned after = own_depth(child);
        child->depth_cap = before < after ? before : after;
    } else if (child->name_len != name_len || memcmp(child->name, name, name_len) != 0) {
        set_place(nodes, child, parent, name, name_len);
    }
    child->lookups++;
    return 0;
}

/* Moves what is known as (from, name); what is not known by that name is one of from's children under another. */
static void move(struct nodes *nodes, struct node *from, struct node *child, struct node *to, const char *name)
{
    unsigned depth = own_depth(to) + 1;
    if (!child) {
        if (depth < from->children_cap)
            from->children_cap = depth;
    } else if (!lies_below(to, child)) {
        set_place(nodes, child, to, name, strlen(name));
        if (child->depth_cap != UINT_MAX && depth < child->depth_cap)
            child->depth_cap = depth;
    }
}

void nodes_renamed(struct nodes *nodes, uint64_t old_parent, const char *old_name, uint64_t new_parent,
                   const char *new_name, bool exchange)
{
    struct node *from = find(nodes, old_parent), *to = find(nodes, new_parent);
    if (!from || !to)
        return;
    struct node *moved = find_name(nodes, from, old_name, strlen(old_name));
    struct node *swapped = exchange ? find_name(nodes, to, new_name, strlen(new_name)) : NULL;
    from->lookups++; /* kept while their last child may leave them */
    to->lookups++;
    move(nodes, from, moved, to, new_name);
    if (exchange)
        move(nodes, to, swapped, from, old_name);
    from->lookups--;
    to->lookups--;
    drop_unused(nodes, from);
    if (find(nodes, new_parent) == to)
        drop_unused(nodes, to);
}

uint64_t nodes_forget(struct nodes *nodes, uint64_t id, uint64_t count)
{
    struct node *node = find(nodes, id);
    if (!node || node == nodes->root)
        return 0;
    if (count > node->lookups)
        count = node->lookups;
    node->lookups -= count;
    drop_unused(nodes, node);
    return count;
}

unsigned nodes_depth(const struct nodes *nodes, uint64_t id)
{
    const struct node *node = find(nodes, id);
    unsigned depth = node ? own_depth(node) : 0;
    return depth ? depth - 1 : 0;
}

void nodes_each(const struct nodes *nodes, void (*fn)(void *data, uint64_t id), void *data)
{
    for (size_t i = 0; i < nodes->bucket_count; i++)
        for (const struct node *node = nodes->buckets[i]; node; node = node->next)
            fn(data, node->id);
}

size_t nodes_count(const struct nodes *nodes)
{
    return nodes->count;
}
