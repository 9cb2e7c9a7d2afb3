/* SPDX-License-Identifier: Apache-2.0 */
/* A store in a temporary directory, with images that no machine could boot. */
#ifndef GONDOLIN_TESTS_UNIT_IMAGEDIR_H
#define GONDOLIN_TESTS_UNIT_IMAGEDIR_H

/* Makes a fresh store, sets $GONDOLIN_STORE, and returns its path (static). */
const char *imagedir_begin(void);
void imagedir_end(void);

/* Puts an image with these contents of its root disk into the store; its build id goes to `build_id`. */
void imagedir_add(const char *contents, char build_id[65]);

#endif
