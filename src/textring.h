/* SPDX-License-Identifier: Apache-2.0 */
/* The last `capacity` bytes of a text that grows. Places in it are counted from its very beginning. */
#ifndef GONDOLIN_SRC_TEXTRING_H
#define GONDOLIN_SRC_TEXTRING_H

#include <stddef.h>
#include <stdint.h>

struct textring;

/* NULL on ENOMEM. */
struct textring *textring_new(size_t capacity);
void textring_free(struct textring *ring);
void textring_add(struct textring *ring, const void *bytes, size_t len);
/* The bytes added so far, and the place of the oldest that is kept. */
uint64_t textring_total(const struct textring *ring);
uint64_t textring_oldest(const struct textring *ring);
/* Where the first whole line begins of what is kept; the end when there is none. */
uint64_t textring_first_line(const struct textring *ring);
/* Copies what is between two places, which must be kept. */
void textring_copy(const struct textring *ring, uint64_t from, void *out, size_t len);

#endif
