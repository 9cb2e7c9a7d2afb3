/* SPDX-License-Identifier: Apache-2.0 */
/* A configuration file: one JSON object whose keys are long options. A value is what the option takes on the command
 * line, in the type of JSON that fits: true or false, a string, a number, an array where it may be given several times.
 * Mounts may be objects besides, and are turned into the text of --bind and --memfs (src/mount_spec.h). */
#ifndef GONDOLIN_SRC_CONFIG_FILE_H
#define GONDOLIN_SRC_CONFIG_FILE_H

#include <stddef.h>

#include "src/err.h"
#include "src/options.h"

enum { CONFIG_SIZE_MAX = 1 << 20 };

/* Sets the variables of the table to what the `length` bytes (which a NUL follows) say; strings among them point into
 * *texts, to be freed after them. Relative paths are put below `directory` (NULL: left alone). The sentence of an error
 * begins with the key, or with the line where it is no JSON. On an error the lists of the table are still to be freed. */
int config_parse(const char *text, size_t length, const char *directory, const struct option_spec *table,
                 struct option_list *texts, struct err *err);

#endif
