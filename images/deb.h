/* SPDX-License-Identifier: Apache-2.0 */
/* The files inside a Debian package, deb(5): an ar archive with a compressed tar in it, both read by libarchive. */
#ifndef GONDOLIN_IMAGES_DEB_H
#define GONDOLIN_IMAGES_DEB_H

#include "src/err.h"

struct archive;
struct archive_entry;

/* Called for each member; `path` has no leading "./". `archive` is positioned at the member's data, which may be left
 * unread. 0 goes on, -errno (with *err filled) stops and is returned by deb_read. */
typedef int deb_member_fn(void *data, const char *path, struct archive *archive, struct archive_entry *entry,
                          struct err *err);

/* Reads the package file. Errors: those of opening, EINVAL (not a package, damaged), and the callback's. */
int deb_read(const char *path, deb_member_fn *member, void *data, struct err *err);

/* Writes the data of the member at hand to a new file (mode 0644), uncompressing it if its name in the package ends in
 * .xz, .zst or .gz. Errors: of open and write, E2BIG (more than 512 MiB), EINVAL (damaged). */
int deb_save(struct archive *archive, struct archive_entry *entry, const char *to, struct err *err);

#endif
