/* SPDX-License-Identifier: Apache-2.0 */
/* Reads the JSON payloads of control frames. Errors name the member. */
#ifndef GONDOLIN_GUEST_PAYLOAD_H
#define GONDOLIN_GUEST_PAYLOAD_H

#include <json-c/json.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "guest/envlist.h"
#include "src/err.h"

/* Parses exactly `len` bytes as one JSON object. The caller puts it. NULL with *err (EINVAL). */
struct json_object *payload_parse(const void *text, size_t len, struct err *err);

/* Each of these leaves *out as it is when the member is absent or null. They return 0 or -EINVAL with *err set: wrong
 * type, or out of range. A string is owned by the object and never holds a NUL byte. */
int payload_string(struct json_object *object, const char *name, const char **out, struct err *err);
int payload_bool(struct json_object *object, const char *name, bool *out, struct err *err);
int payload_number(struct json_object *object, const char *name, uint64_t max, uint64_t *out, struct err *err);
/* An object of strings, put into *out. Also -ENOMEM. */
int payload_env(struct json_object *object, const char *name, struct envlist *out, struct err *err);

/* The text of a string value. NULL with *err (EINVAL) if it is no string or holds a NUL byte; `what` names it. */
const char *payload_text(struct json_object *value, const char *what, struct err *err);

#endif
