/* SPDX-License-Identifier: Apache-2.0 */
/* What the host kernel knows of the guest's tree: for each node id where it was last found (directory and name) and how
 * often it has been looked up. Needed to jail symlinks (how deep does the link lie?) and to give back references. Depths
 * err on the shallow side: a link taken for deeper than it lies could climb out of the tree. */
#ifndef GONDOLIN_FS_NODES_H
#define GONDOLIN_FS_NODES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct nodes;

/* NULL on ENOMEM. The root (id 1) is there from the beginning. */
struct nodes *nodes_new(void);
void nodes_free(struct nodes *nodes);

/* `child` was found in `parent` (both guest ids) as `name` and the kernel counts one more reference. Returns 0, -ENOMEM, -ESTALE
 * (the parent is not known) or -ELOOP (a directory would lie below itself: only a lying guest says so; nothing is
 * recorded). */
int nodes_found(struct nodes *nodes, uint64_t parent, const char *name, size_t name_len, uint64_t child);

/* The host renamed (`exchange`: swapped) directory entries: its kernel moves what it knows by the old name without
 * looking it up again. */
void nodes_renamed(struct nodes *nodes, uint64_t old_parent, const char *old_name, uint64_t new_parent,
                   const char *new_name, bool exchange);

/* The kernel drops `count` references; the node is forgotten at zero. Returns how many there were to drop. */
uint64_t nodes_forget(struct nodes *nodes, uint64_t id, uint64_t count);

/* How many directories lie between the root and the directory that holds `id`: 0 for the root's children. A node that
 * has been found in several places counts as in the shallowest of them. 0 for unknown ids. */
unsigned nodes_depth(const struct nodes *nodes, uint64_t id);

/* Calls fn for every node, the root included. */
void nodes_each(const struct nodes *nodes, void (*fn)(void *data, uint64_t id), void *data);

size_t nodes_count(const struct nodes *nodes);

#endif
