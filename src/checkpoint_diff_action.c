/* SPDX-License-Identifier: Apache-2.0 */
/* gondolin checkpoint diff. */
#include <errno.h>
#include <json-c/json.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "images/checkpoint_view.h"
#include "images/store.h"
#include "src/actions.h"
#include "src/checkpoint_actions.h"
#include "src/cleanup.h"
#include "src/printable.h"

static void print_line(void *data, char change, const char *path)
{
    char text[PATH_MAX];
    (void)data;
    printable_copy(text, sizeof text, path, strlen(path));
    printf("%c %s\n", change, text);
}

/* One object a line: the list may be long. */
static void print_object(void *data, char change, const char *path)
{
    const char kind[] = {change, '\0'};
    struct json_object *object = json_object_new_object();
    (void)data;
    json_object_object_add(object, "change", json_object_new_string(kind));
    json_object_object_add(object, "path", json_object_new_string(path));
    puts(json_object_to_json_string_ext(object, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE));
    json_object_put(object);
}

int checkpoint_diff_action(const struct operands *operands, const void *options)
{
    const struct checkpoint_options *o = options;
    const char *second = operand_at(operands, 2), *first = operands->words[1];
    struct err err = {0};
    cleanup_free char *store = store_open(&err);
    if (!store || checkpoint_diff(store, second ? first : NULL, second ? second : first, o->json ? print_object : print_line,
                                  NULL, &err) < 0)
        return action_failed("checkpoint", "diff", &err);
    return 0;
}
