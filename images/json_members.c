/* SPDX-License-Identifier: Apache-2.0 */
#include "images/json_members.h"

#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <stdint.h>
#include <string.h>

#include "images/digest.h"

enum { WORD_MAX = 256 };

int json_members_wrong(const struct json_reader *reader, const char *name, const char *reason)
{
    return err_set(reader->err, EINVAL, "%s: %.64s: %s", reader->what, name, reason);
}

static bool fits(enum json_kind kind, unsigned char c)
{
    if (kind == JSON_PHRASE)
        return c >= 0x20 && c != 0x7f;
    if (kind == JSON_LINES && c == '\n')
        return true;
    return c <= 0x7e && c >= (kind == JSON_TEXT || kind == JSON_LINES ? 0x20 : 0x21);
}

static size_t longest(enum json_kind kind)
{
    switch (kind) {
    case JSON_TEXT:
        return JSON_TEXT_MAX;
    case JSON_LINES:
        return JSON_LINES_MAX;
    case JSON_PHRASE:
        return JSON_PHRASE_MAX;
    default:
        return WORD_MAX;
    }
}

static int read_string(const struct json_reader *reader, const struct json_member *member, struct json_object *value)
{
    char **to = member->to;
    const char *text = json_object_get_string(value);
    size_t length = (size_t)json_object_get_string_len(value);

    if (!json_object_is_type(value, json_type_string))
        return json_members_wrong(reader, member->name, "not a string");
    if (length == 0 || length > longest(member->kind))
        return json_members_wrong(reader, member->name, "empty or too long");
    for (size_t i = 0; i < length; i++)
        if (!fits(member->kind, (unsigned char)text[i]))
            return json_members_wrong(reader, member->name, "has characters that do not belong there");
    if (member->kind == JSON_DIGEST) {
        if (!digest_is_hex(text))
            return json_members_wrong(reader, member->name, "not a SHA-256 digest in lower-case hex");
        memcpy(member->to, text, DIGEST_HEX_SIZE);
        return 0;
    }
    *to = strdup(text);
    return *to ? 0 : err_errno(reader->err, ENOMEM, "%s", reader->what);
}

static int read_number(const struct json_reader *reader, const struct json_member *member, struct json_object *value)
{
    uint64_t *to = member->to;
    if (!json_object_is_type(value, json_type_int) || json_object_get_int64(value) < 0)
        return json_members_wrong(reader, member->name, "not a number of 0 or more");
    *to = (uint64_t)json_object_get_int64(value);
    return 0;
}

static int read_member(struct json_reader *reader, const struct json_member *member, struct json_object *value)
{
    if (member->kind == JSON_CUSTOM)
        return member->read(reader, value);
    return member->kind == JSON_NUMBER ? read_number(reader, member, value) : read_string(reader, member, value);
}

static bool is_member(const char *name, const struct json_member *members, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(members[i].name, name) == 0)
            return true;
    return false;
}

int json_members_read(struct json_reader *reader, const char *what, struct json_object *object,
                      const struct json_member *members, size_t count)
{
    if (!json_object_is_type(object, json_type_object))
        return json_members_wrong(reader, what, "not an object");
    json_object_object_foreach(object, name, ignored) {
        (void)ignored;
        if (!is_member(name, members, count))
            return json_members_wrong(reader, what, "has an unknown member");
    }
    for (size_t i = 0; i < count; i++) {
        struct json_object *value;
        if (!json_object_object_get_ex(object, members[i].name, &value)) {
            if (members[i].optional)
                continue;
            return json_members_wrong(reader, members[i].name, "is missing");
        }
        int code = read_member(reader, &members[i], value);
        if (code < 0)
            return code;
    }
    return 0;
}

int json_members_array(struct json_reader *reader, const char *what, struct json_object *array, size_t max,
                       int (*element)(struct json_reader *reader, struct json_object *value))
{
    if (!json_object_is_type(array, json_type_array))
        return json_members_wrong(reader, what, "not an array");
    if (json_object_array_length(array) > max)
        return json_members_wrong(reader, what, "has too many elements");
    for (size_t i = 0; i < json_object_array_length(array); i++) {
        int code = element(reader, json_object_array_get_idx(array, i));
        if (code < 0)
            return code;
    }
    return 0;
}

static int check_schema(const struct json_reader *reader, struct json_object *top, int expected)
{
    struct json_object *schema;
    if (!json_object_is_type(top, json_type_object) || !json_object_object_get_ex(top, "schema", &schema) ||
        !json_object_is_type(schema, json_type_int))
        return json_members_wrong(reader, "schema", "is missing or not a number");
    if (json_object_get_int64(schema) != expected)
        return err_set(reader->err, EPROTONOSUPPORT,
                       "%s: made by another version of gondolin (schema %lld, this one reads %d); make it again",
                       reader->what, (long long)json_object_get_int64(schema), expected);
    return 0;
}

struct json_object *json_members_parse(const struct json_reader *reader, const char *text, size_t length, int depth,
                                       int schema)
{
    struct json_tokener *tokener = length <= INT_MAX ? json_tokener_new_ex(depth) : NULL;
    if (!tokener) {
        err_errno(reader->err, ENOMEM, "%s", reader->what);
        return NULL;
    }
    json_tokener_set_flags(tokener, JSON_TOKENER_STRICT | JSON_TOKENER_VALIDATE_UTF8);
    struct json_object *top = json_tokener_parse_ex(tokener, text, (int)length);
    size_t used = json_tokener_get_parse_end(tokener);
    while (used < length && isspace((unsigned char)text[used]))
        used++;
    int code;
    if (json_tokener_get_error(tokener) != json_tokener_success || used != length)
        code = err_set(reader->err, EINVAL, "%s: not one JSON object", reader->what);
    else
        code = check_schema(reader, top, schema);
    json_tokener_free(tokener);
    if (code == 0)
        return top;
    json_object_put(top);
    return NULL;
}
