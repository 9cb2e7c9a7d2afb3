/* SPDX-License-Identifier: Apache-2.0 */
/* Values of a configuration file as the words of a command line. */
#include "src/config_file_internal.h"

#include <assert.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "src/cleanup.h"
#include "src/nearest.h"

static const char mount_expected[] = "a string or an object";

static const char *expected(enum option_kind kind)
{
    switch (kind) {
    case OPTION_FLAG:
        return "true or false";
    case OPTION_STRING:
    case OPTION_FILE:
    case OPTION_REFERENCE:
        return "a string";
    case OPTION_UNSIGNED:
        return "a whole number";
    case OPTION_SIZE:
        return "a size such as \"512M\" or a number of bytes";
    case OPTION_LIST:
    case OPTION_PASS:
        return "an array";
    }
    return "";
}

static bool fits(enum option_kind kind, enum json_type type)
{
    switch (kind) {
    case OPTION_FLAG:
        return type == json_type_boolean;
    case OPTION_STRING:
    case OPTION_FILE:
    case OPTION_REFERENCE:
        return type == json_type_string;
    case OPTION_UNSIGNED:
        return type == json_type_int;
    case OPTION_SIZE:
        return type == json_type_string || type == json_type_int;
    case OPTION_LIST:
        return type == json_type_array;
    case OPTION_PASS:
        break;
    }
    return false;
}

static int wrong_type(const struct config_reader *reader, const char *where, const char *wanted,
                      struct json_object *value)
{
    return err_set(reader->err, EINVAL, "%s: %s is expected, not %.60s", where, wanted,
                   json_object_to_json_string_ext(value, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE));
}

int config_check_type(const struct config_reader *reader, const char *where, enum option_kind kind,
                      struct json_object *value)
{
    return fits(kind, json_object_get_type(value)) ? 0 : wrong_type(reader, where, expected(kind), value);
}

int config_unknown(const struct config_reader *reader, const char *where, const char *key, const char *const *names)
{
    const char *near = nearest_match(key, names);
    return err_set(reader->err, EINVAL, "%s%.60s: no such key%s%s%s", where, key,
                   near ? "; did you mean " : "; keys are told in gondolin-mount(1)", near ? near : "", near ? "?" : "");
}

/* Does the path begin in the directory of the file? */
static bool is_relative(const struct config_reader *reader, const char *path)
{
    return reader->directory && *path && *path != '/';
}

int config_text(const struct config_reader *reader, const char *where, enum option_kind kind, struct json_object *value,
                char **text)
{
    int rc = config_check_type(reader, where, kind, value);
    if (rc < 0)
        return rc;
    const char *word = json_object_get_string(value);
    if (json_object_is_type(value, json_type_string) && strlen(word) != (size_t)json_object_get_string_len(value))
        return err_set(reader->err, EINVAL, "%s: a NUL cannot be in it", where);
    bool is_path = kind == OPTION_FILE || (kind == OPTION_REFERENCE && strchr(word, '/'));
    bool below = is_path && is_relative(reader, word);
    if (asprintf(text, "%s%s%s", below ? reader->directory : "", below ? "/" : "", word) >= 0)
        return 0;
    *text = NULL;
    return err_errno(reader->err, ENOMEM, "%s", where);
}

/* ---- mounts ---- */

/* A member of a mount's object and what it becomes: a path, which a ':' separates from the next, or an option. */
struct member {
    const char *name;
    enum option_kind kind;
    const char *option; /* up to its value; NULL: a path, which has to be there */
};

static const struct member bind_members[] = {
    {"source", OPTION_FILE, NULL},
    {"target", OPTION_STRING, NULL},
    {"readonly", OPTION_FLAG, "ro"},
    {"noexec", OPTION_FLAG, "noexec"},
    {"owner", OPTION_STRING, "owner="},
    {"cache", OPTION_STRING, "cache="},
    {"shadow", OPTION_LIST, "shadow="},
    {"shadow-tmpfs", OPTION_LIST, "shadow-tmpfs="},
    {0},
};

static const struct member memfs_members[] = {
    {"target", OPTION_STRING, NULL},
    {"size", OPTION_SIZE, "size="},
    {0},
};

enum { MEMBERS_MAX = 8 };
static_assert(sizeof bind_members / sizeof *bind_members <= MEMBERS_MAX + 1, "MEMBERS_MAX holds those of any mount");

static const struct form {
    const char *option;
    const struct member *members;
} forms[] = {{"bind", bind_members}, {"memfs", memfs_members}};

static const struct member *find_members(const char *option)
{
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
        if (strcmp(forms[i].option, option) == 0)
            return forms[i].members;
    }
    return NULL;
}

/* The text of a mount as it grows. */
struct mount_text {
    const struct config_reader *reader;
    FILE *out;
    unsigned paths, options;
};

static void put_quoted(FILE *out, const char *text, const char *separators)
{
    for (; *text; text++) {
        if (strchr(separators, *text))
            fputc('\\', out);
        fputc(*text, out);
    }
}

static int put(struct mount_text *text, const char *where, const struct member *member, const char *value)
{
    size_t length = strlen(value);
    if (length && value[length - 1] == '\\')
        return err_set(text->reader->err, EINVAL, "%s: a \\ at the end cannot be written for a mount", where);
    if (member->option) {
        fprintf(text->out, "%c%s", text->options++ ? ',' : ':', member->option);
        put_quoted(text->out, value, ",");
    } else {
        fputs(text->paths++ ? ":" : "", text->out);
        put_quoted(text->out, value, ":,");
    }
    return 0;
}

static int put_value(struct mount_text *text, const char *where, const struct member *member, enum option_kind kind,
                     struct json_object *value)
{
    cleanup_free char *word = NULL;
    int rc = config_text(text->reader, where, kind, value, &word);
    return rc ? rc : put(text, where, member, word);
}

static int put_values(struct mount_text *text, const char *where, const struct member *member,
                      struct json_object *array)
{
    char element[CONFIG_WHERE_MAX];
    int rc = config_check_type(text->reader, where, OPTION_LIST, array);
    for (size_t i = 0; rc == 0 && i < json_object_array_length(array); i++) {
        snprintf(element, sizeof element, "%.160s[%zu]", where, i);
        rc = put_value(text, element, member, OPTION_STRING, json_object_array_get_idx(array, i));
    }
    return rc;
}

static int put_flag(struct mount_text *text, const char *where, const struct member *member, struct json_object *value)
{
    int rc = config_check_type(text->reader, where, OPTION_FLAG, value);
    return rc == 0 && json_object_get_boolean(value) ? put(text, where, member, "") : rc;
}

static int put_member(struct mount_text *text, const char *mount, const struct member *member,
                      struct json_object *object)
{
    struct json_object *value;
    char where[CONFIG_WHERE_MAX];
    snprintf(where, sizeof where, "%s: %s", mount, member->name);
    if (!json_object_object_get_ex(object, member->name, &value))
        return member->option ? 0 : err_set(text->reader->err, EINVAL, "%s: is missing", where);
    if (member->kind == OPTION_LIST)
        return put_values(text, where, member, value);
    if (member->kind == OPTION_FLAG)
        return put_flag(text, where, member, value);
    return put_value(text, where, member, member->kind, value);
}

static int check_members(const struct config_reader *reader, const char *mount, const struct member *members,
                         struct json_object *object)
{
    const char *names[MEMBERS_MAX + 1] = {NULL};
    char where[CONFIG_WHERE_MAX];
    snprintf(where, sizeof where, "%s: ", mount);
    for (size_t i = 0; members[i].name; i++)
        names[i] = members[i].name;
    json_object_object_foreach(object, key, ignored) {
        (void)ignored;
        size_t i = 0;
        while (names[i] && strcmp(names[i], key) != 0)
            i++;
        if (!names[i])
            return config_unknown(reader, where, key, names);
    }
    return 0;
}

static int put_object(struct mount_text *text, const char *where, const struct member *members,
                      struct json_object *object)
{
    int rc = check_members(text->reader, where, members, object);
    for (const struct member *m = members; rc == 0 && m->name; m++)
        rc = put_member(text, where, m, object);
    return rc;
}

/* A mount as on the command line; its path on the host, where it has one, may be relative to the file. */
static int put_string(struct mount_text *text, const char *where, const struct member *members,
                      struct json_object *value)
{
    cleanup_free char *word = NULL;
    int rc = config_text(text->reader, where, OPTION_STRING, value, &word);
    if (rc < 0)
        return rc;
    if (members->kind == OPTION_FILE && *word != ':' && is_relative(text->reader, word)) {
        put_quoted(text->out, text->reader->directory, ":,");
        fputc('/', text->out);
    }
    fputs(word, text->out);
    return 0;
}

int config_element(const struct config_reader *reader, const char *where, const char *option, struct json_object *value,
                   char **text)
{
    const struct member *members = find_members(option);
    bool is_object = json_object_is_type(value, json_type_object);
    size_t length;
    if (!members)
        return config_text(reader, where, OPTION_STRING, value, text);
    if (!is_object && !json_object_is_type(value, json_type_string))
        return wrong_type(reader, where, mount_expected, value);
    *text = NULL;
    struct mount_text mount = {.reader = reader, .out = open_memstream(text, &length)};
    if (!mount.out)
        return err_errno(reader->err, errno, "%s", where);
    int rc = is_object ? put_object(&mount, where, members, value) : put_string(&mount, where, members, value);
    if (fclose(mount.out) != 0 && rc == 0)
        rc = err_errno(reader->err, ENOMEM, "%s", where);
    if (rc < 0) {
        free(*text);
        *text = NULL;
    }
    return rc;
}
