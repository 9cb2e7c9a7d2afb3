/* SPDX-License-Identifier: Apache-2.0 */
/* What the host kernel knows of the guest's tree. Each node has an id of the host's own making, the guest's id, the place
 * where it was last found (directory and name), and how often it has been looked up. Needed to jail symlinks (how deep
 * does the link lie?) and to give back references.
 *
 * A directory that the guest has moved is found again as a new node: had it the old id, the kernel would move the
 * directory it knows, and with it whoever is on his way through it along a symlink's `..`, out of the tree. So only the
 * host's own renames move directories. A file has one node however many names it has; depths err on the shallow side: a
 * link taken for deeper than it lies could climb out of the tree. */
#ifndef GONDOLIN_FS_NODES_H
#define GONDOLIN_FS_NODES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct nodes;

/* The root's id, on both sides; it is there from the beginning. */
#define NODES_ROOT UINT64_C(1)

/* NULL on ENOMEM. */
struct nodes *nodes_new(void);
void nodes_free(struct nodes *nodes);

/* The guest's `child` was found in `parent` as `name`, and the kernel counts one more reference to it. Sets *id to the
 * host's id. Returns 0, -ENOMEM, -ESTALE (the parent is not known) or -ELOOP (the child is the root: only a lying guest
 * says so; nothing is recorded). */
int nodes_found(struct nodes *nodes, uint64_t parent, const char *name, size_t name_len, uint64_t child, bool directory,
                uint64_t *id);

/* The guest's id of a node, or 0. */
uint64_t nodes_guest_id(const struct nodes *nodes, uint64_t id);

/* The host renamed (`exchange`: swapped) directory entries: its kernel moves what it knows by the old name without
 * looking it up again. */
void nodes_renamed(struct nodes *nodes, uint64_t old_parent, const char *old_name, uint64_t new_parent,
                   const char *new_name, bool exchange);

/* The kernel drops `count` references; the node is forgotten at zero. Returns how many there were to drop. */
uint64_t nodes_forget(struct nodes *nodes, uint64_t id, uint64_t count);

/* How many directories lie between the root and the directory that holds `id`: 0 for the root's children. A node that
 * has been found in several places counts as in the shallowest of them. 0 for unknown ids. */
unsigned nodes_depth(const struct nodes *nodes, uint64_t id);

/* Calls fn for every node, the root included; nodes_each_of: for those with this guest id. fn must not change the table. */
void nodes_each(const struct nodes *nodes, void (*fn)(void *data, uint64_t id), void *data);
void nodes_each_of(const struct nodes *nodes, uint64_t guest_id, void (*fn)(void *data, uint64_t id), void *data);

size_t nodes_count(const struct nodes *nodes);

#endif
