/* SPDX-License-Identifier: Apache-2.0 */
/* What a gondolin-vfs leaves to a later one that goes on with its session, as a file: sections, each a header and its bytes.
 * Like all that a guest had a hand in, it is not trusted. */
#ifndef GONDOLIN_FS_WORKER_STATE_H
#define GONDOLIN_FS_WORKER_STATE_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

enum worker_section {
    WORKER_SECTION_SERVER = 1, /* server_save */
    WORKER_SECTION_MEMORY = 2, /* worker_stack_save, of the mount whose number it has */
};

/* Writes one section to a file that can be sought in: `save` writes what is in it and returns 0 or -errno. */
typedef int worker_section_fn(void *object, FILE *out);
int worker_state_put(FILE *out, enum worker_section kind, uint32_t id, worker_section_fn *save, void *object);

struct worker_state {
    const uint8_t *bytes;
    size_t len;
};

/* Maps a file. 0, and the caller unmaps `bytes` or keeps them for ever; -EPROTO: it is no whole number of sections; -errno. */
int worker_state_map(int fd, struct worker_state *out);
/* The section of that kind and number; NULL: there is none. */
const uint8_t *worker_state_find(const struct worker_state *state, enum worker_section kind, uint32_t id, size_t *len);

#endif
