/* SPDX-License-Identifier: Apache-2.0 */
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "src/ended.h"
#include "src/options.h"
#include "src/printable.h"
#include "src/session.h"
#include "src/verbs.h"

enum { ENDED_LINES_SHOWN = 5 };

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

/* A directory can have any name. */
static void make_printable(char **text)
{
    char *shown = printable_spelled(*text);
    if (!shown) {
        printable(*text, strlen(*text));
        return;
    }
    free(*text);
    *text = shown;
}

static void print_table(const struct session *sessions, size_t count)
{
    int name = widest(sessions, count, name_width, 4), image = widest(sessions, count, image_width, 5);
    if (count)
        printf("%-12s  %-*s  %-8s  %-*s  %-7s  %s\n", "ID", name, "NAME", "STATE", image, "IMAGE", "AGE",
               "MOUNT POINT");
    for (size_t i = 0; i < count; i++) {
        const struct session *s = &sessions[i];
        char age[32];
        ended_format_age(s->started_ms, age, sizeof age);
        printf("%-12s  %-*s  %-8s  %-*s  %-7s  %s\n", s->id, name, s->name, text_or(s->state, "-"), image,
               text_or(s->image, "-"), age, s->mountpoint);
    }
}

static void print_sessions(struct session *sessions, size_t count, bool quiet)
{
    for (size_t i = 0; i < count; i++) {
        make_printable(&sessions[i].name);
        make_printable(&sessions[i].mountpoint);
    }
    if (!quiet)
        print_table(sessions, count);
    for (size_t i = 0; quiet && i < count; i++)
        puts(sessions[i].mountpoint);
}

static void print_ended_json(const struct ended *list, size_t count)
{
    struct json_object *array = json_object_new_array();
    for (size_t i = 0; i < count; i++) {
        const struct ended *e = &list[i];
        struct json_object *object = json_object_new_object();
        add_text(object, "id", e->id);
        add_text(object, "name", e->name);
        add_text(object, "mountpoint", e->mountpoint);
        add_text(object, "image", e->image);
        json_object_object_add(object, "orderly", json_object_new_boolean(e->orderly));
        add_text(object, "reason", e->reason);
        add_text(object, "console", e->console);
        json_object_object_add(object, "started_ms", json_object_new_int64(e->started_ms));
        json_object_object_add(object, "ended_ms", json_object_new_int64(e->ended_ms));
        json_object_array_add(array, object);
    }
    puts(json_object_to_json_string_ext(array, JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_NOSLASHESCAPE));
    json_object_put(array);
}

/* What the guest said last is of interest only where nobody wanted the end. */
static void print_console(char *text)
{
    const char *lines[ENDED_LINES_SHOWN] = {NULL};
    size_t n = 0;
    for (char *line; (line = strsep(&text, "\n"));)
        if (line[strspn(line, " ")])
            lines[n++ % ENDED_LINES_SHOWN] = line;
    for (size_t i = n > ENDED_LINES_SHOWN ? n - ENDED_LINES_SHOWN : 0; i < n; i++)
        printf("    | %s\n", lines[i % ENDED_LINES_SHOWN]);
}

static void print_ended(struct ended *list, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct ended *e = &list[i];
        char age[32];
        ended_format_age(e->ended_ms, age, sizeof age);
        make_printable(&e->mountpoint);
        printf("%-12s  %s ago  %s: %s\n", e->id, age, e->mountpoint, e->reason);
        if (!e->orderly)
            print_console(e->console);
    }
}

static void print_ended_places(struct ended *list, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        make_printable(&list[i].mountpoint);
        puts(list[i].mountpoint);
    }
}

static int list_ended(bool json, bool quiet)
{
    struct ended *list;
    size_t count;
    struct err err;
    if (ended_list(&list, &count, &err) < 0)
        return verb_failed("list", &err);
    if (json)
        print_ended_json(list, count);
    else if (quiet)
        print_ended_places(list, count);
    else
        print_ended(list, count);
    ended_list_free(list, count);
    return 0;
}

int verb_list(int argc, char **argv)
{
    bool json = false, quiet = false, ended = false;
    const struct option_spec options[] = {
        {"json", 0, NULL, "print a JSON array", NULL, OPTION_FLAG, &json},
        {"ended", 0, NULL, "list those that have ended, newest first, and why", NULL, OPTION_FLAG, &ended},
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
    if (quiet && json)
        return verb_refused("list", "--quiet and --json exclude each other");
    if (ended)
        return list_ended(json, quiet);
    struct session *sessions;
    size_t count;
    struct err err;
    if (session_list(&sessions, &count, &err) < 0)
        return verb_failed("list", &err);
    if (json)
        print_json(sessions, count);
    else
        print_sessions(sessions, count, quiet);
    session_list_free(sessions, count);
    return 0;
}
