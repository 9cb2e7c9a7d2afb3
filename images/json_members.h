/* SPDX-License-Identifier: Apache-2.0 */
/* JSON from anywhere, read strictly: each object is described by a table of its members and one walker checks them all.
 * A member that is unknown, missing, of another type, too long or with characters that do not belong there is EINVAL,
 * and the sentence names it. */
#ifndef GONDOLIN_IMAGES_JSON_MEMBERS_H
#define GONDOLIN_IMAGES_JSON_MEMBERS_H

#include <stdbool.h>
#include <stddef.h>

#include <json-c/json.h>

#include "src/err.h"

enum { JSON_TEXT_MAX = 2048, JSON_LINES_MAX = 16 * 1024, JSON_PHRASE_MAX = 4096 };

/* What a member's value is and where it goes. Strings are malloc'd and never empty. */
enum json_kind {
    JSON_WORD,   /* at most 256 printable ASCII characters without spaces, into a char * */
    JSON_TEXT,   /* printable ASCII, at most JSON_TEXT_MAX, into a char * */
    JSON_LINES,  /* the same with line ends, at most JSON_LINES_MAX, into a char * */
    JSON_PHRASE, /* UTF-8 without control characters, at most JSON_PHRASE_MAX bytes, into a char *: paths, people's names */
    JSON_DIGEST, /* 64 hex digits, into a char[65] */
    JSON_NUMBER, /* 0 .. INT64_MAX, into a uint64_t */
    JSON_CUSTOM, /* checked by its own function */
};

struct json_reader {
    const char *what; /* begins each sentence: "manifest" */
    void *data;       /* of the reader's functions */
    struct err *err;  /* not NULL */
};

struct json_member {
    const char *name;
    enum json_kind kind;
    bool optional;
    void *to;
    int (*read)(struct json_reader *reader, struct json_object *value);
};

/* Reads the members of an object into where the table says. 0 or -errno. */
int json_members_read(struct json_reader *reader, const char *what, struct json_object *object,
                      const struct json_member *members, size_t count);

#define JSON_MEMBERS_READ(reader, what, object, members)                                           \
    json_members_read(reader, what, object, members, sizeof(members) / sizeof *(members))

/* Calls `element` for each of at most `max` elements until one fails. */
int json_members_array(struct json_reader *reader, const char *what, struct json_object *array, size_t max,
                       int (*element)(struct json_reader *reader, struct json_object *value));

/* "WHAT: NAME: REASON" with EINVAL. */
int json_members_wrong(const struct json_reader *reader, const char *name, const char *reason);

/* Parses a text that is one JSON object, nested no deeper than `depth`, and looks at its member "schema" before
 * anything else: another version's members would all look wrong. NULL with EINVAL or EPROTONOSUPPORT. Freed with
 * json_object_put. */
struct json_object *json_members_parse(const struct json_reader *reader, const char *text, size_t length, int depth,
                                       int schema);

#endif
