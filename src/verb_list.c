/* SPDX-License-Identifier: Apache-2.0 */
#include <json-c/json.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "src/options.h"
#include "src/session.h"
#include "src/verbs.h"

static const char *text_or(const char *text, const char *fallback)
{
    return text && *text ? text : fallback;
}

static void add_text(struct json_object *object, const char *key, const char *value)
{
    json_object_object_add(object, key, value ? json_object_new_string(value) : NULL);
}

static void print_json(const struct session *sessions, size_t count)
{
    struct json_object *array = json_object_new_array();
    for (size_t i = 0; i < count; i++) {
        const struct session *s = &sessions[i];
        struct json_object *object = json_object_new_object();
        add_text(object, "id", s->id);
        add_text(object, "name", s->name);
        add_text(object, "mountpoint", s->mountpoint);
        add_text(object, "state", s->state);
        add_text(object, "image", s->image);
        add_text(object, "build_id", s->build_id);
        add_text(object, "log", s->log);
        json_object_object_add(object, "supervisor_pid", json_object_new_int64(s->pid));
        json_object_object_add(object, "vm_pid", json_object_new_int64(s->vm_pid));
        json_object_object_add(object, "started_ms", json_object_new_int64(s->started_ms));
        json_object_array_add(array, object);
    }
    puts(json_object_to_json_string_ext(array, JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_NOSLASHESCAPE));
    json_object_put(array);
}

/* "45s", "12m", "3h05m", "2d04h". */
static void format_age(int64_t started_ms, char *to, size_t size)
{
    long long s = (long long)time(NULL) - started_ms / 1000;
    if (s < 0)
        s = 0;
    if (s < 60)
        snprintf(to, size, "%llds", s);
    else if (s < 3600)
        snprintf(to, size, "%lldm", s / 60);
    else if (s < 86400)
        snprintf(to, size, "%lldh%02lldm", s / 3600, s / 60 % 60);
    else
        snprintf(to, size, "%lldd%02lldh", s / 86400, s / 3600 % 24);
}

static int widest(const struct session *sessions, size_t count, int (*width)(const struct session *), int least)
{
    for (size_t i = 0; i < count; i++) {
        int n = width(&sessions[i]);
        least = n > least ? n : least;
    }
    return least;
}

static int name_width(const struct session *s)
{
    return (int)strlen(s->name);
}

static int image_width(const struct session *s)
{
    return (int)strlen(text_or(s->image, "-"));
}

static void print_table(const struct session *sessions, size_t count)
{
    int name = widest(sessions, count, name_width, 4), image = widest(sessions, count, image_width, 5);
    if (count)
        printf("%-12s  %-*s  %-8s  %-*s  %-7s  %s\n", "ID", name, "NAME", "STATE", image, "IMAGE", "AGE", "MOUNT POINT");
    for (size_t i = 0; i < count; i++) {
        const struct session *s = &sessions[i];
        char age[32];
        format_age(s->started_ms, age, sizeof age);
        printf("%-12s  %-*s  %-8s  %-*s  %-7s  %s\n", s->id, name, s->name, text_or(s->state, "-"), image,
               text_or(s->image, "-"), age, s->mountpoint);
    }
}

int verb_list(int argc, char **argv)
{
    bool json = false, quiet = false;
    const struct option_spec options[] = {
        {"json", 0, NULL, "print a JSON array", NULL, OPTION_FLAG, &json},
        {"quiet", 'q', NULL, "print only the mount points, one on a line", NULL, OPTION_FLAG, &quiet},
        {0},
    };
    const struct usage usage = {
        .verb = "list",
        .about = "Lists the running sandboxes of this user, oldest first.",
        .options = options,
    };
    struct operands operands;
    int code;
    if (!options_parse(&usage, argc, argv, &operands, &code))
        return code;
    struct session *sessions;
    size_t count;
    struct err err;
    if (session_list(&sessions, &count, &err) < 0)
        return verb_failed("list", &err);
    if (json)
        print_json(sessions, count);
    else if (!quiet)
        print_table(sessions, count);
    for (size_t i = 0; quiet && !json && i < count; i++)
        puts(sessions[i].mountpoint);
    session_list_free(sessions, count);
    return 0;
}
