/* SPDX-License-Identifier: Apache-2.0 */
#include "guest/payload.h"

#include <errno.h>
#include <string.h>

enum { MAX_DEPTH = 8 };

struct json_object *payload_parse(const void *text, size_t len, struct err *err)
{
    struct json_tokener *tokener = json_tokener_new_ex(MAX_DEPTH);
    if (!tokener) {
        err_set(err, ENOMEM, "read JSON: out of memory");
        return NULL;
    }
    json_tokener_set_flags(tokener, JSON_TOKENER_STRICT);
    struct json_object *object = len > 0 ? json_tokener_parse_ex(tokener, text, (int)len) : NULL;
    size_t end = json_tokener_get_parse_end(tokener);
    enum json_tokener_error error = len > 0 ? json_tokener_get_error(tokener) : json_tokener_continue;
    json_tokener_free(tokener);

    if (object && end == len && json_object_is_type(object, json_type_object))
        return object;
    err_set(err, EINVAL, "read JSON: %s", object ? "not exactly one object" : json_tokener_error_desc(error));
    json_object_put(object);
    return NULL;
}

const char *payload_text(struct json_object *value, const char *what, struct err *err)
{
    if (!json_object_is_type(value, json_type_string)) {
        err_set(err, EINVAL, "%s: not a string", what);
        return NULL;
    }
    const char *text = json_object_get_string(value);
    if (strlen(text) != (size_t)json_object_get_string_len(value)) {
        err_set(err, EINVAL, "%s: holds a NUL byte", what);
        return NULL;
    }
    return text;
}

int payload_string(struct json_object *object, const char *name, const char **out, struct err *err)
{
    struct json_object *value;
    if (!json_object_object_get_ex(object, name, &value) || !value)
        return 0;
    const char *text = payload_text(value, name, err);
    if (!text)
        return -EINVAL;
    *out = text;
    return 0;
}

int payload_bool(struct json_object *object, const char *name, bool *out, struct err *err)
{
    struct json_object *value;
    if (!json_object_object_get_ex(object, name, &value) || !value)
        return 0;
    if (!json_object_is_type(value, json_type_boolean))
        return err_set(err, EINVAL, "%s: neither true nor false", name);
    *out = json_object_get_boolean(value);
    return 0;
}

int payload_number(struct json_object *object, const char *name, uint64_t max, uint64_t *out, struct err *err)
{
    struct json_object *value;
    if (!json_object_object_get_ex(object, name, &value) || !value)
        return 0;
    if (!json_object_is_type(value, json_type_int) || json_object_get_int64(value) < 0 ||
        json_object_get_uint64(value) > max)
        return err_set(err, EINVAL, "%s: not a whole number from 0 to %llu", name, (unsigned long long)max);
    *out = json_object_get_uint64(value);
    return 0;
}

int payload_env(struct json_object *object, const char *name, struct envlist *out, struct err *err)
{
    struct json_object *env;
    if (!json_object_object_get_ex(object, name, &env) || !env)
        return 0;
    if (!json_object_is_type(env, json_type_object))
        return err_set(err, EINVAL, "%s: not an object", name);
    json_object_object_foreach(env, key, value)
    {
        const char *text = payload_text(value, name, err);
        if (!text)
            return err_wrap(err, "%s", key);
        int rc = envlist_put(out, key, text);
        if (rc < 0)
            return err_set(err, -rc, "%s: \"%s\" cannot be the name of a variable", name, key);
    }
    return 0;
}
