/* SPDX-License-Identifier: Apache-2.0 */
/* Finding programs as a shell would. */
#ifndef GONDOLIN_VMM_PROGRAM_H
#define GONDOLIN_VMM_PROGRAM_H

/* The path of an executable file: `name` itself when it has a '/', else the first one of that name in PATH. malloc'd,
 * or NULL with errno: ENOENT, EACCES (found, but not executable), ENOMEM. */
char *program_find(const char *name);

#endif
