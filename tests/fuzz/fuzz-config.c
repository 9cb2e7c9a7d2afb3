/* SPDX-License-Identifier: Apache-2.0 */
/* config_parse on any bytes: what it accepts has every key once, and what it makes of a mount's object is read back as it
 * was written.
 * SOURCES: src/config_file.c src/config_json.c src/config_value.c src/mount_options.c src/mount_spec.c src/host_path.c src/options.c src/options_help.c src/nearest.c src/err.c -ljson-c */
#include <json-c/json.h>
#include <string.h>

#include "src/config_file_internal.h"
#include "src/mount_options.h"
#include "src/mount_spec.h"
#include "tests/fuzz/fuzz.h"

static size_t keys_of(struct json_object *value)
{
    size_t count = 0;
    if (json_object_is_type(value, json_type_object)) {
        json_object_object_foreach(value, key, member) {
            (void)key;
            count += 1 + keys_of(member);
        }
    }
    for (size_t i = 0; json_object_is_type(value, json_type_array) && i < json_object_array_length(value); i++)
        count += keys_of(json_object_array_get_idx(value, i));
    return count;
}

/* Each key is followed by the only kind of ':' outside strings. */
static size_t colons_of(const char *text)
{
    size_t count = 0;
    bool quoted = false;
    for (; *text; text++) {
        if (quoted && *text == '\\')
            text++;
        else if (*text == '"')
            quoted = !quoted;
        else
            count += !quoted && *text == ':';
    }
    return count;
}

static void parse(const char *text, size_t length, struct mount_options *options, struct option_list *texts)
{
    struct option_spec table[MOUNT_OPTIONS_TABLE];
    struct err err = {0};
    *options = (struct mount_options){0};
    mount_options_table(options, table);
    int rc = config_parse(text, length, "/nowhere", table, texts, &err);
    fuzz_require(rc == -err.code && (rc == 0 || err.text[0]));
}

static void check_keys(const char *text, size_t length)
{
    struct json_object *top = config_json(text, length, NULL);
    fuzz_require(!top || keys_of(top) == colons_of(text));
    json_object_put(top);
}

static void check_memory_mounts(const struct option_list *list)
{
    for (size_t i = 0; i < list->count; i++) {
        struct mount_spec spec;
        struct err err = {0};
        if (mount_spec_memory("memfs", list->words[i], &spec, &err) == 0)
            mount_spec_free(&spec);
        else
            fuzz_require(err.text[0]);
    }
}

/* The bytes as a pattern: a file says it in an object, the mount has the same. */
static void check_pattern(const char *pattern)
{
    struct json_object *top = json_object_new_object(), *binds = json_object_new_array(), *bind = json_object_new_object(),
                       *shadow = json_object_new_array();
    json_object_array_add(shadow, json_object_new_string(pattern));
    json_object_object_add(bind, "source", json_object_new_string("/"));
    json_object_object_add(bind, "target", json_object_new_string("/srv"));
    json_object_object_add(bind, "shadow", shadow);
    json_object_array_add(binds, bind);
    json_object_object_add(top, "bind", binds);
    const char *text = json_object_to_json_string(top);
    struct mount_options options;
    struct option_list texts = {0};
    struct mount_spec spec;
    parse(text, strlen(text), &options, &texts);
    if (options.binds.count == 1 && *pattern && !strchr(pattern, '\n') && strlen(pattern) < WORKER_TEXT - 2) {
        size_t length = strlen(pattern);
        fuzz_require(mount_spec_bind("bind", options.binds.words[0], &spec, NULL) == 0);
        fuzz_require(spec.patterns && spec.patterns[0] == '-' && strlen(spec.patterns) == length + 2);
        fuzz_require(memcmp(spec.patterns + 1, pattern, length) == 0);
        mount_spec_free(&spec);
    }
    mount_options_free(&options);
    option_list_free(&texts);
    json_object_put(top);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = malloc(size + 1);
    struct mount_options options;
    struct option_list texts = {0};
    fuzz_require(text);
    memcpy(text, data, size);
    text[size] = '\0';
    parse(text, size, &options, &texts);
    check_keys(text, size);
    check_memory_mounts(&options.memory_files);
    check_pattern(text);
    mount_options_free(&options);
    option_list_free(&texts);
    free(text);
    return 0;
}
