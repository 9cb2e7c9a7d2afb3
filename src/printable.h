/* SPDX-License-Identifier: Apache-2.0 */
/* Text from elsewhere (a guest, a user's file) on its way to a terminal or a log. */
#ifndef GONDOLIN_SRC_PRINTABLE_H
#define GONDOLIN_SRC_PRINTABLE_H

#include <stddef.h>

/* Replaces, in place, by `?` whatever a terminal might obey or cannot show: control characters (newlines and tabs too,
 * and the 8-bit ones that UTF-8 can spell), and bytes that are not UTF-8. */
void printable(char *text, size_t len);

/* The same, but spelled out as in C: \n, \t, \x1b. A '\' of the text stays as it is. malloc'd; NULL: no memory. */
char *printable_spelled(const char *text);

/* Copies `len` bytes as a printable string, cut to `size` - 1 bytes. */
void printable_copy(char *out, size_t size, const void *text, size_t len);

#endif
