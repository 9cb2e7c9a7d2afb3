/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the configuration parser share. */
#ifndef GONDOLIN_SRC_CONFIG_FILE_INTERNAL_H
#define GONDOLIN_SRC_CONFIG_FILE_INTERNAL_H

#include <json-c/json.h>

#include "src/config_file.h"

enum {
    CONFIG_DEPTH_MAX = 8,
    CONFIG_KEYS_MAX = 64,   /* of one object */
    CONFIG_WHERE_MAX = 192, /* "bind[3]: shadow[1]" */
};

struct config_reader {
    const char *directory;
    const struct option_spec *table;
    struct option_list *texts;
    struct err *err;
};

/* The text as a tree in which no key was given twice, or NULL with *err set. */
struct json_object *config_json(const char *text, size_t length, struct err *err);

/* The rest are -errno with *err set, in a sentence that begins with `where`. */

/* What a value of this kind is on the command line, malloc'd. */
int config_text(const struct config_reader *reader, const char *where, enum option_kind kind, struct json_object *value,
                char **text);

/* The same for an element of a list option. */
int config_element(const struct config_reader *reader, const char *where, const char *option, struct json_object *value,
                   char **text);

int config_check_type(const struct config_reader *reader, const char *where, enum option_kind kind,
                      struct json_object *value);

/* Refuses a key that is none of the NULL-terminated names. */
int config_unknown(const struct config_reader *reader, const char *where, const char *key, const char *const *names);

#endif
