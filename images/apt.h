/* SPDX-License-Identifier: Apache-2.0 */
/* The system's apt, asked as an ordinary user: package versions, downloads, and the configured sources. Nothing here
 * names a mirror: what the system is configured with is used. */
#ifndef GONDOLIN_IMAGES_APT_H
#define GONDOLIN_IMAGES_APT_H

#include "images/names.h"
#include "src/err.h"

/* Options for every apt command; empty when the system's package lists are used as they are. */
struct apt {
    struct names options;
};

/* Uses the system's package lists, or, where it has none (a fresh container), fetches lists of our own. `directory` (made
 * if need be) keeps what makes the next call quick. Errors: ENOENT (no apt), EIO (what apt said). */
int apt_open(struct apt *apt, const char *directory, struct err *err);
void apt_close(struct apt *apt);

/* The field ("Version", "Depends") of the newest version of a package, malloc'd. ENOENT: no such package, or field. */
int apt_field(const struct apt *apt, const char *package, const char *field, char **value, struct err *err);

/* Downloads the package file, verified by apt, into `directory`; its path, malloc'd, in *file. */
int apt_download(const struct apt *apt, const char *package, const char *directory, char **file, struct err *err);

/* sources.list lines ("deb URI SUITE COMPONENT...") for a suite of this system's distribution, made from the configured
 * sources of that distribution: the suite itself and its -updates and -security companions. ENOENT when there are none. */
int apt_sources(const struct apt *apt, const char *suite, struct names *lines, struct err *err);

/* The files of all package lists, one per line, malloc'd. */
int apt_list_files(const struct apt *apt, char **text, struct err *err);

/* Network settings (proxies, certificates, retries) of the system's apt, as apt.conf text, malloc'd. */
int apt_network_settings(const struct apt *apt, char **text, struct err *err);

#endif
