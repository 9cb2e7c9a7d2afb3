/* SPDX-License-Identifier: Apache-2.0 */
/* SHA-256 (FIPS 180-4, computed by OpenSSL) as lower-case hex. */
#ifndef GONDOLIN_IMAGES_DIGEST_H
#define GONDOLIN_IMAGES_DIGEST_H

#include <stdbool.h>
#include <stddef.h>

#include "images/interrupt.h"

enum { DIGEST_HEX_SIZE = 65 }; /* 64 digits and a NUL */

struct digest;

/* NULL on ENOMEM. */
struct digest *digest_new(void);
void digest_add(struct digest *digest, const void *bytes, size_t length);
/* Adds the string and its NUL, so that neighbours cannot flow into each other. NULL counts as "". */
void digest_add_string(struct digest *digest, const char *string);
/* Frees the digest too. */
void digest_end(struct digest *digest, char hex[DIGEST_HEX_SIZE]);

/* Of a file from its beginning to its end; the file offset is not used. 0, or -errno from reading, or -ENOMEM, or -EINTR
 * (`interrupt` may be NULL). */
int digest_fd(int fd, const struct interrupt *interrupt, char hex[DIGEST_HEX_SIZE]);

/* Of a file that is mostly holes: over (index, bytes) of each block of 64 KiB that is not all zeros, then its size,
 * numbers as little-endian 64 bits. The same however the file is laid out; holes are not read. The file offset changes.
 */
int digest_sparse_fd(int fd, const struct interrupt *interrupt, char hex[DIGEST_HEX_SIZE]);

/* Is this exactly 64 lower-case hex digits? */
bool digest_is_hex(const char *text);

#endif
