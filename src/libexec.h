/* SPDX-License-Identifier: Apache-2.0 */
/* Where gondolin's own helper programs are. */
#ifndef GONDOLIN_SRC_LIBEXEC_H
#define GONDOLIN_SRC_LIBEXEC_H

/* The path of a helper ("gondolin-guest"): in $GONDOLIN_LIBEXEC where that is set; else, for a gondolin that runs from
 * its build tree, in that tree; else where `make install` puts it. malloc'd; NULL with errno (ENOENT: not there). */
char *libexec_path(const char *program);

#endif
