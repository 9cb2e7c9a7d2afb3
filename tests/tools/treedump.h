/* SPDX-License-Identifier: Apache-2.0 */
/* All that can be seen of a provider's tree, as bytes to compare. */
#ifndef GONDOLIN_TESTS_TOOLS_TREEDUMP_H
#define GONDOLIN_TESTS_TOOLS_TREEDUMP_H

#include <stddef.h>
#include <stdint.h>

struct vfs;

/* Of each name, in the order of listings: attributes, identity, extended attributes, data and holes, target, and the
 * listing itself. malloc'd; aborts when something cannot be read. */
uint8_t *tree_dump(struct vfs *vfs, size_t *len);

#endif
