/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/nodes.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "fs/hash.h"

enum { MAX_DEPTH = 4096 };

/* A parent stays allocated while children point at it, even when the kernel has forgotten it: the kernel forgets
 * children first, so this is short, but a lying guest must not leave a dangling pointer. */
struct node {
    struct hash_link by_id, by_guest, by_name; /* by_name: not the root */
    char *name;                                /* NULL for the root */
    size_t name_len;
    struct node *parent;
    uint64_t id, guest;
    uint64_t lookups;
    size_t children;
    bool directory;
    unsigned depth_cap;    /* the shallowest place it has been found at after having been found elsewhere */
    unsigned children_cap; /* the same for every child: one of them, not known which, was moved there by the host */
};

struct nodes {
    struct hash ids, guests, names;
    uint64_t secret; /* mixed into hashes: the guest chooses names and ids, and must not choose them to collide */
    struct node *root;
    uint64_t last_id;
};

#define NODE_OF(link, member) ((struct node *)(void *)((char *)(link)-offsetof(struct node, member)))

static uint64_t hash_id(const struct nodes *nodes, uint64_t id)
{
    return hash_mix(id, nodes->secret);
}

static struct node *find(const struct nodes *nodes, uint64_t id)
{
    for (struct hash_link *link = hash_first(&nodes->ids, hash_id(nodes, id)); link; link = hash_next(link))
        if (NODE_OF(link, by_id)->id == id)
            return NODE_OF(link, by_id);
    return NULL;
}

static uint64_t hash_name(const struct nodes *nodes, const struct node *parent, const char *name, size_t len)
{
    uint64_t hash = hash_mix(parent->id ^ (uint64_t)len << 32, nodes->secret);
    for (size_t at = 0; at < len; at += sizeof hash) {
        uint64_t piece = 0;
        memcpy(&piece, name + at, len - at < sizeof piece ? len - at : sizeof piece);
        hash = hash_mix(hash ^ piece, nodes->secret);
    }
    return hash;
}

static struct node *find_name(const struct nodes *nodes, const struct node *parent, const char *name, size_t len)
{
    struct hash_link *link = hash_first(&nodes->names, hash_name(nodes, parent, name, len));
    for (; link; link = hash_next(link)) {
        struct node *node = NODE_OF(link, by_name);
        if (node->parent == parent && node->name_len == len && memcmp(node->name, name, len) == 0)
            return node;
    }
    return NULL;
}

static void link_name(struct nodes *nodes, struct node *node)
{
    hash_add(&nodes->names, &node->by_name, hash_name(nodes, node->parent, node->name, node->name_len));
}

/* A directory is itself only where it was; of a file there is one. */
static struct node *find_guest(const struct nodes *nodes, uint64_t guest, const struct node *parent, bool directory)
{
    for (struct hash_link *link = hash_first(&nodes->guests, hash_id(nodes, guest)); link; link = hash_next(link)) {
        struct node *node = NODE_OF(link, by_guest);
        if (node->guest == guest && node->directory == directory && (!directory || node->parent == parent))
            return node;
    }
    return NULL;
}

static struct node *add(struct nodes *nodes, struct node *parent, const char *name, size_t len, uint64_t guest)
{
    struct node *node = calloc(1, sizeof *node);
    if (!node)
        return NULL;
    *node = (struct node){
        .parent = parent, .id = ++nodes->last_id, .guest = guest, .depth_cap = UINT_MAX, .children_cap = UINT_MAX};
    if (parent) {
        node->name = strndup(name, len);
        node->name_len = len;
        if (!node->name) {
            free(node);
            return NULL;
        }
        parent->children++;
        link_name(nodes, node);
    }
    hash_add(&nodes->ids, &node->by_id, hash_id(nodes, node->id));
    hash_add(&nodes->guests, &node->by_guest, hash_id(nodes, guest));
    return node;
}

struct nodes *nodes_new(void)
{
    struct nodes *nodes = calloc(1, sizeof *nodes);
    if (!nodes)
        return NULL;
    nodes->last_id = NODES_ROOT - 1;
    if (getrandom(&nodes->secret, sizeof nodes->secret, 0) < 0)
        nodes->secret = (uintptr_t)nodes; /* better than nothing */
    if (hash_init(&nodes->ids) < 0 || hash_init(&nodes->guests) < 0 || hash_init(&nodes->names) < 0 ||
        !(nodes->root = add(nodes, NULL, NULL, 0, NODES_ROOT))) {
        nodes_free(nodes);
        return NULL;
    }
    nodes->root->directory = true;
    return nodes;
}

void nodes_free(struct nodes *nodes)
{
    if (!nodes)
        return;
    for (size_t i = 0; nodes->ids.buckets && i <= nodes->ids.mask; i++) {
        for (struct hash_link *link = nodes->ids.buckets[i], *next; link; link = next) {
            next = link->next;
            free(NODE_OF(link, by_id)->name);
            free(NODE_OF(link, by_id));
        }
    }
    hash_fini(&nodes->ids);
    hash_fini(&nodes->guests);
    hash_fini(&nodes->names);
    free(nodes);
}

static void drop_unused(struct nodes *nodes, struct node *node)
{
    while (node && node->parent && !node->lookups && !node->children) {
        struct node *parent = node->parent;
        hash_remove(&nodes->ids, &node->by_id);
        hash_remove(&nodes->guests, &node->by_guest);
        hash_remove(&nodes->names, &node->by_name);
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
    hash_remove(&nodes->names, &node->by_name);
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

/* One more place of a file, or another name of a directory where it was. */
static void found_again(struct nodes *nodes, struct node *node, struct node *parent, const char *name, size_t len)
{
    if (node->parent != parent) {
        unsigned before = own_depth(node);
        set_place(nodes, node, parent, name, len);
        unsigned after = own_depth(node);
        node->depth_cap = before < after ? before : after;
    } else if (node->name_len != len || memcmp(node->name, name, len) != 0) {
        set_place(nodes, node, parent, name, len);
    }
}

int nodes_found(struct nodes *nodes, uint64_t parent_id, const char *name, size_t name_len, uint64_t child, bool directory,
                uint64_t *id)
{
    struct node *parent = find(nodes, parent_id);
    if (!parent)
        return -ESTALE;
    if (child == NODES_ROOT)
        return -ELOOP;
    struct node *node = find_guest(nodes, child, parent, directory);
    if (node && lies_below(parent, node))
        return -ELOOP;
    if (node)
        found_again(nodes, node, parent, name, name_len);
    else
        node = add(nodes, parent, name, name_len, child);
    if (!node)
        return -ENOMEM;
    node->directory = directory;
    node->lookups++;
    *id = node->id;
    return 0;
}

uint64_t nodes_guest_id(const struct nodes *nodes, uint64_t id)
{
    const struct node *node = find(nodes, id);
    return node ? node->guest : 0;
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
    for (size_t i = 0; i <= nodes->ids.mask; i++)
        for (struct hash_link *link = nodes->ids.buckets[i]; link; link = link->next)
            fn(data, NODE_OF(link, by_id)->id);
}

void nodes_each_of(const struct nodes *nodes, uint64_t guest, void (*fn)(void *data, uint64_t id), void *data)
{
    for (struct hash_link *link = hash_first(&nodes->guests, hash_id(nodes, guest)); link; link = hash_next(link))
        if (NODE_OF(link, by_guest)->guest == guest)
            fn(data, NODE_OF(link, by_guest)->id);
}

size_t nodes_count(const struct nodes *nodes)
{
    return nodes->ids.count;
}
