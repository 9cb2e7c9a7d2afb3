/* SPDX-License-Identifier: Apache-2.0 */
#include "src/config_file_internal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { NAMES_MAX = 64, WRITTEN_MAX = 512 };

/* Long options that are no keys. */
static const struct {
    const char *name, *reason;
} elsewhere[] = {
    {"config", "a file cannot name another; put its keys here"},
    {"help", "it is for the command line only"},
    {"foreground", "it tells how to start, not what; give it on the command line"},
    {"offline", "it starts no machine, which is all that a file describes; give it on the command line"},
    {"env", "it belongs to a command; give it to run or exec"},
    {"workdir", "it belongs to a command; give it to run or exec"},
    {"user", "it belongs to a command; give it to run or exec"},
    {"tty", "it belongs to a command; give it to run or exec"},
    {"timeout", "it belongs to a command; give it to run or exec"},
    {"no-stdin", "it belongs to a command; give it to run or exec"},
};

static int find_option(const struct config_reader *reader, const char *key, const struct option_spec **option)
{
    const char *names[NAMES_MAX + 1] = {NULL};
    size_t count = 0;
    for (size_t i = 0; i < sizeof elsewhere / sizeof *elsewhere; i++) {
        if (strcmp(elsewhere[i].name, key) == 0)
            return err_set(reader->err, EINVAL, "%s: cannot stand in a file: %s", key, elsewhere[i].reason);
    }
    for (*option = reader->table; (*option)->name; ++*option) {
        if (strcmp((*option)->name, key) == 0)
            return 0;
        if (count < NAMES_MAX && strcmp((*option)->name, "config") != 0)
            names[count++] = (*option)->name;
    }
    return config_unknown(reader, "", key, names);
}

/* Takes the text over. */
static int set(const struct config_reader *reader, const struct option_spec *option, const char *where, char *text)
{
    char written[WRITTEN_MAX];
    snprintf(written, sizeof written, "%s: \"%s\"", where, text);
    if (option_list_add(reader->texts, text) < 0) {
        free(text);
        return err_errno(reader->err, ENOMEM, "%s", where);
    }
    return option_set(option, written, text, reader->err);
}

static int read_list(const struct config_reader *reader, const struct option_spec *option, struct json_object *array)
{
    char where[CONFIG_WHERE_MAX];
    int rc = config_check_type(reader, option->name, OPTION_LIST, array);
    for (size_t i = 0; rc == 0 && i < json_object_array_length(array); i++) {
        char *text;
        snprintf(where, sizeof where, "%s[%zu]", option->name, i);
        rc = config_element(reader, where, option->name, json_object_array_get_idx(array, i), &text);
        rc = rc ? rc : set(reader, option, where, text);
    }
    return rc;
}

static int read_flag(const struct config_reader *reader, const struct option_spec *option, struct json_object *value)
{
    int rc = config_check_type(reader, option->name, OPTION_FLAG, value);
    return rc == 0 && json_object_get_boolean(value) ? option_set(option, option->name, NULL, reader->err) : rc;
}

static int read_option(const struct config_reader *reader, const struct option_spec *option, struct json_object *value)
{
    char *text;
    if (option->kind == OPTION_LIST)
        return read_list(reader, option, value);
    if (option->kind == OPTION_FLAG)
        return read_flag(reader, option, value);
    int rc = config_text(reader, option->name, option->kind, value, &text);
    return rc ? rc : set(reader, option, option->name, text);
}

int config_parse(const char *text, size_t length, const char *directory, const struct option_spec *table,
                 struct option_list *texts, struct err *err)
{
    struct config_reader reader = {.directory = directory, .table = table, .texts = texts, .err = err};
    struct json_object *top = config_json(text, length, err);
    if (!top)
        return -err->code;
    texts->owned = true;
    int rc = 0;
    json_object_object_foreach(top, key, value) {
        const struct option_spec *option;
        rc = find_option(&reader, key, &option);
        rc = rc ? rc : read_option(&reader, option, value);
        if (rc < 0)
            break;
    }
    json_object_put(top);
    return rc;
}
