/* SPDX-License-Identifier: Apache-2.0 */
/* The syntax of a configuration file. json-c keeps the last of two equal keys without a word, and minds neither the wrong
 * quotes around one nor line ends in strings: a second look at the text finds these. */
#include "src/config_file_internal.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

struct key {
    const char *start;
    size_t length;
};

struct object_keys {
    struct key keys[CONFIG_KEYS_MAX];
    size_t count;
};

struct scan {
    const char *text, *end;
    struct object_keys objects[CONFIG_DEPTH_MAX]; /* those that enclose where the scan is */
    size_t depth;
    struct err *err;
};

static int wrong_at(const char *text, const char *at, struct err *err, const char *reason)
{
    size_t line = 1;
    const char *start = text;
    for (const char *c = text; c < at; c++) {
        if (*c == '\n') {
            line++;
            start = c + 1;
        }
    }
    return err_set(err, EINVAL, "line %zu, column %zu: %s", line, (size_t)(at - start) + 1, reason);
}

static struct json_object *parse(const char *text, size_t length, struct err *err)
{
    struct json_tokener *tokener = json_tokener_new_ex(CONFIG_DEPTH_MAX);
    if (!tokener) {
        err_errno(err, ENOMEM, "reading JSON");
        return NULL;
    }
    json_tokener_set_flags(tokener, JSON_TOKENER_STRICT | JSON_TOKENER_VALIDATE_UTF8);
    struct json_object *top = json_tokener_parse_ex(tokener, text, (int)length + 1); /* with the NUL that ends it */
    enum json_tokener_error error = json_tokener_get_error(tokener);
    if (error != json_tokener_success) {
        wrong_at(text, text + json_tokener_get_parse_end(tokener), err, json_tokener_error_desc(error));
        json_object_put(top);
        top = NULL;
    } else if (!json_object_is_type(top, json_type_object)) {
        err_set(err, EINVAL, "one JSON object is expected: {\"OPTION\": VALUE, ...}");
        json_object_put(top);
        top = NULL;
    }
    json_tokener_free(tokener);
    return top;
}

/* The quote that closes a string, or what does not belong into one, or the end. */
static const char *string_end(const char *at, const char *end)
{
    for (; at < end && *at != '"' && (unsigned char)*at >= ' '; at++) {
        if (*at == '\\' && at + 1 < end)
            at++;
    }
    return at;
}

static bool colon_follows(const char *at, const char *end)
{
    while (at < end && strchr(" \t\r\n", *at))
        at++;
    return at < end && *at == ':';
}

static int given_twice(const struct scan *s, struct key key)
{
    char sentence[128];
    snprintf(sentence, sizeof sentence, "\"%.*s\" was given before; put both into one",
             key.length < 60 ? (int)key.length : 60, key.start);
    return wrong_at(s->text, key.start, s->err, sentence);
}

static int add_key(struct scan *s, struct key key)
{
    if (s->depth == 0)
        return 0;
    struct object_keys *object = &s->objects[s->depth - 1];
    if (memchr(key.start, '\\', key.length))
        return wrong_at(s->text, key.start, s->err, "a key with a \\ in it; write its characters as they are");
    for (size_t i = 0; i < object->count; i++) {
        if (object->keys[i].length == key.length && memcmp(object->keys[i].start, key.start, key.length) == 0)
            return given_twice(s, key);
    }
    if (object->count == CONFIG_KEYS_MAX)
        return wrong_at(s->text, key.start, s->err, "more keys than any object here can have");
    object->keys[object->count++] = key;
    return 0;
}

static int scan_string(struct scan *s, const char **at)
{
    const char *start = *at + 1;
    *at = string_end(start, s->end);
    if (*at == s->end || **at != '"')
        return wrong_at(s->text, *at, s->err, "a control character or the end of the line in a string");
    if (!colon_follows(*at + 1, s->end))
        return 0;
    return add_key(s, (struct key){start, (size_t)(*at - start)});
}

/* Of a text that has been parsed. */
static int scan_keys(const char *text, size_t length, struct err *err)
{
    struct scan s = {.text = text, .end = text + length, .err = err};
    int rc = 0;
    for (const char *at = text; rc == 0 && at < s.end; at++) {
        if (*at == '"')
            rc = scan_string(&s, &at);
        else if (*at == '\'')
            rc = wrong_at(text, at, err, "strings of JSON stand in \"\"");
        else if (*at == '{' && s.depth == CONFIG_DEPTH_MAX)
            rc = wrong_at(text, at, err, "nested too deep");
        else if (*at == '{')
            s.objects[s.depth++].count = 0;
        else if (*at == '}' && s.depth > 0)
            s.depth--;
    }
    return rc;
}

struct json_object *config_json(const char *text, size_t length, struct err *err)
{
    const char *nul = memchr(text, '\0', length);
    if (length > CONFIG_SIZE_MAX) {
        err_set(err, E2BIG, "longer than %d bytes", CONFIG_SIZE_MAX);
        return NULL;
    }
    if (nul) {
        wrong_at(text, nul, err, "a NUL byte; JSON is text");
        return NULL;
    }
    struct json_object *top = parse(text, length, err);
    if (top && scan_keys(text, length, err) < 0) {
        json_object_put(top);
        return NULL;
    }
    return top;
}
