/* SPDX-License-Identifier: Apache-2.0 */
/* gondolin checkpoint ls, tree, show. */
#include <errno.h>
#include <inttypes.h>
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "images/checkpoint.h"
#include "images/files.h"
#include "images/store.h"
#include "src/actions.h"
#include "src/checkpoint_actions.h"
#include "src/cleanup.h"
#include "src/printable.h"
#include "src/session.h"

struct entry {
    char *name, *description;
    struct checkpoint_manifest manifest;
    bool damaged; /* a file is, or the manifest cannot be read and is empty */
    uint64_t bytes;
};

struct entries {
    struct entry *list;
    size_t count;
};

static int failed(const char *action, const struct err *err)
{
    return action_failed("checkpoint", action, err);
}

static const char *or_dash(const char *text)
{
    return text && *text ? text : "-";
}

static const char *kind_of(const struct entry *entry)
{
    if (entry->damaged)
        return "(damaged)";
    return entry->manifest.kind == CHECKPOINT_FULL ? "full" : "disk";
}

/* *error is why it is damaged. */
static bool read_entry(const char *store, const char *name, struct entry *entry, struct err *error)
{
    cleanup_free char *directory = files_format("%s/checkpoints/%s", store, name);
    *entry = (struct entry){.name = strdup(name), .description = checkpoint_description(store, name)};
    entry->damaged = checkpoint_look(store, name, &entry->manifest, error) < 0;
    entry->bytes = directory ? files_usage(directory) : 0;
    return directory && entry->name && entry->description;
}

static void free_entry(struct entry *entry)
{
    free(entry->name);
    free(entry->description);
    checkpoint_manifest_free(&entry->manifest);
}

static void free_entries(struct entries *entries)
{
    for (size_t i = 0; i < entries->count; i++)
        free_entry(&entries->list[i]);
    free(entries->list);
    *entries = (struct entries){0};
}

static int read_entries(struct entries *entries, struct err *err)
{
    struct names names = {0};
    *entries = (struct entries){0};
    cleanup_free char *store = store_open(err);
    int code = store ? checkpoint_list(store, &names, err) : -err->code;
    if (code == 0 && !(entries->list = calloc(names.count + 1, sizeof *entries->list)))
        code = err_errno(err, ENOMEM, "list checkpoints");
    for (size_t i = 0; code == 0 && i < names.count; i++) {
        struct err ignored;
        entries->count++;
        if (!read_entry(store, names.list[i], &entries->list[i], &ignored))
            code = err_errno(err, ENOMEM, "list checkpoints");
    }
    names_free(&names);
    if (code < 0)
        free_entries(entries);
    return code;
}

static struct json_object *entry_json(const struct entry *entry)
{
    char *text = entry->manifest.created ? checkpoint_manifest_format(&entry->manifest) : NULL;
    struct json_object *object = text ? json_tokener_parse(text) : NULL;
    free(text);
    if (!object)
        object = json_object_new_object();
    json_object_object_add(object, "name", json_object_new_string(entry->name));
    json_object_object_add(object, "description", json_object_new_string(entry->description));
    json_object_object_add(object, "disk_usage", json_object_new_uint64(entry->bytes));
    json_object_object_add(object, "damaged", json_object_new_boolean(entry->damaged));
    return object;
}

static void list_json(const struct entries *entries)
{
    struct json_object *array = json_object_new_array();
    for (size_t i = 0; i < entries->count; i++)
        json_object_array_add(array, entry_json(&entries->list[i]));
    print_json(array);
}

/* The first line of the description, for a table. */
static void brief(const struct entry *entry, char *text, size_t size)
{
    printable_copy(text, size, entry->description, strcspn(entry->description, "\n"));
}

static int widest(const struct entries *entries)
{
    size_t width = strlen("PARENT");
    for (size_t i = 0; i < entries->count; i++) {
        size_t n = strlen(entries->list[i].name);
        width = n > width ? n : width;
    }
    return (int)width;
}

static void list_table(const struct entries *entries)
{
    int width = widest(entries);
    printf("%-*s  %-9s  %-*s  %-12s  %8s  %-20s  %s\n", width, "NAME", "KIND", width, "PARENT", "IMAGE", "SIZE", "CREATED",
           "DESCRIPTION");
    for (size_t i = 0; i < entries->count; i++) {
        const struct entry *entry = &entries->list[i];
        char text[81];
        brief(entry, text, sizeof text);
        printf("%-*s  %-9s  %-*s  %-12.12s  %4" PRIu64 " MiB  %-20s  %s\n", width, entry->name, kind_of(entry), width,
               or_dash(entry->manifest.parent), or_dash(entry->manifest.build_id), (entry->bytes + (1 << 20) - 1) >> 20,
               or_dash(entry->manifest.created), text);
    }
}

static int list_with(const char *action, const void *options, void (*table)(const struct entries *))
{
    const struct checkpoint_options *o = options;
    struct entries entries;
    struct err err = {0};
    if (read_entries(&entries, &err) < 0)
        return failed(action, &err);
    if (o->json)
        list_json(&entries);
    else if (entries.count == 0)
        fputs("no checkpoints yet; take one with: gondolin checkpoint create NAME\n", stderr);
    else
        table(&entries);
    free_entries(&entries);
    return 0;
}

int checkpoint_ls(const struct operands *operands, const void *options)
{
    (void)operands;
    return list_with("ls", options, list_table);
}

/* Does it stand below `parent` in the tree (NULL: at its top)? What has a parent that is gone stands at the top. */
static bool stands_below(const struct entries *entries, const struct entry *entry, const struct entry *parent)
{
    const char *name = entry->manifest.parent;
    if (parent)
        return name && strcmp(name, parent->name) == 0;
    for (size_t i = 0; name && i < entries->count; i++)
        if (strcmp(entries->list[i].name, name) == 0)
            return false;
    return true;
}

/* A circle, which only tampering can make, is never reached: nothing in it stands at the top. */
static void print_branch(const struct entries *entries, const struct entry *parent, const char *indent)
{
    size_t left = 0;
    for (size_t i = 0; i < entries->count; i++)
        left += stands_below(entries, &entries->list[i], parent);
    for (size_t i = 0; i < entries->count; i++) {
        const struct entry *entry = &entries->list[i];
        char text[81];
        if (!stands_below(entries, entry, parent))
            continue;
        left--;
        brief(entry, text, sizeof text);
        printf("%s%s%s  %s  %s%s%s\n", indent, !parent ? "" : left ? "|-- " : "`-- ", entry->name, kind_of(entry),
               or_dash(entry->manifest.created), *text ? "  " : "", text);
        cleanup_free char *deeper = files_format("%s%s", indent, !parent ? "" : left ? "|   " : "    ");
        if (deeper)
            print_branch(entries, entry, deeper);
    }
}

static void print_tree(const struct entries *entries)
{
    print_branch(entries, NULL, "");
}

int checkpoint_tree(const struct operands *operands, const void *options)
{
    (void)operands;
    return list_with("tree", options, print_tree);
}

/* The sandboxes whose disk lies on it. */
static void find_users(const char *name, struct names *users)
{
    struct session *sessions;
    size_t count;
    if (session_list(&sessions, &count, NULL) < 0)
        return;
    for (size_t i = 0; i < count; i++)
        if (sessions[i].checkpoint && strcmp(sessions[i].checkpoint, name) == 0)
            names_add(users, sessions[i].name);
    session_list_free(sessions, count);
}

static void print_names(const char *what, const struct names *names)
{
    cleanup_free char *text = names->count ? names_join(names) : NULL;
    if (text)
        printf("%-11s %s\n", what, text);
}

static void print_machine(const struct checkpoint_manifest *m)
{
    printf("paused      %" PRIu64 ".%03" PRIu64 " s, saved in %" PRIu64 ".%03" PRIu64 " s%s%s%s\n", m->pause_us / 1000000,
           m->pause_us / 1000 % 1000, m->total_us / 1000000, m->total_us / 1000 % 1000, m->method ? " (" : "",
           m->method ? m->method : "", m->method ? ")" : "");
    for (const char *line = m->shape; line && *line; line += strcspn(line, "\n"), line += *line == '\n')
        printf("machine     %.*s\n", (int)strcspn(line, "\n"), line);
}

static void print_entry(const struct entry *entry, const struct names *children, const struct names *users)
{
    const struct checkpoint_manifest *m = &entry->manifest;
    char sandbox[256], text[CHECKPOINT_DESCRIPTION_MAX + 1];
    printable_copy(sandbox, sizeof sandbox, m->sandbox, strlen(m->sandbox));
    printf("name        %s\nkind        %s\ncreated     %s\nsandbox     %s\nimage       %s\n", entry->name, kind_of(entry),
           m->created, sandbox, m->image ? m->image : m->build_id);
    if (m->root_disk)
        printf("root disk   %s\n", m->root_disk);
    if (m->parent)
        printf("parent      %s\n", m->parent);
    print_names("children", children);
    print_names("used by", users);
    printf("size        %" PRIu64 " MiB\n", (entry->bytes + (1 << 20) - 1) >> 20);
    if (m->kind == CHECKPOINT_FULL)
        print_machine(m);
    for (size_t i = 0; i < m->file_count; i++)
        printf("file        %-15s %12" PRIu64 " bytes, digest %s\n", m->files[i].name, m->files[i].size, m->files[i].sha256);
    for (const char *line = entry->description; *line; line += strcspn(line, "\n"), line += *line == '\n') {
        printable_copy(text, sizeof text, line, strcspn(line, "\n"));
        printf("description %s\n", text);
    }
}

static struct json_object *names_json(const struct names *names)
{
    struct json_object *array = json_object_new_array();
    for (size_t i = 0; i < names->count; i++)
        json_object_array_add(array, json_object_new_string(names->list[i]));
    return array;
}

static void show(const struct entry *entry, const struct names *children, const struct names *users, bool json)
{
    if (!json) {
        print_entry(entry, children, users);
        return;
    }
    struct json_object *object = entry_json(entry);
    json_object_object_add(object, "children", names_json(children));
    json_object_object_add(object, "used_by", names_json(users));
    print_json(object);
}

int checkpoint_show(const struct operands *operands, const void *options)
{
    const struct checkpoint_options *o = options;
    const char *name = operands->words[1];
    struct names children = {0}, users = {0};
    struct entry entry = {0};
    struct err err = {0};
    cleanup_free char *store = store_open(&err);
    int code = store ? checkpoint_require(store, name, &err) : -err.code;
    if (code == 0 && !read_entry(store, name, &entry, &err))
        code = err_errno(&err, ENOMEM, "%s", name);
    if (code == 0 && entry.damaged)
        code = -err.code;
    if (code == 0)
        code = checkpoint_children(store, name, &children, &err);
    if (code == 0) {
        find_users(name, &users);
        show(&entry, &children, &users, o->json);
    }
    names_free(&children);
    names_free(&users);
    free_entry(&entry);
    return code < 0 ? failed("show", &err) : 0;
}
