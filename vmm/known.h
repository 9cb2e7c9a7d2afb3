/* SPDX-License-Identifier: Apache-2.0 */
/* What takes time to find out and stays true until the next boot of the host: kept in files known.* next to the sessions
 * (src/session.h). Where they cannot be read or written, or do not fit, it is found out again. */
#ifndef GONDOLIN_VMM_KNOWN_H
#define GONDOLIN_VMM_KNOWN_H

#include <stdint.h>

enum { KNOWN_MAX = 4096 }; /* bytes of a key and its value */

/* What was kept under that name (a few letters), if it was with the same key in this boot. malloc'd, or NULL. */
char *known_get(const char *name, const char *key);

/* Keeps it; a failure is of no consequence. */
void known_put(const char *name, const char *key, const char *value);

/* accel_tsc_khz, once in a boot: also, the same answer each time. */
uint32_t known_tsc_khz(void);

#endif
