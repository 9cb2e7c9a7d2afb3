/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <inttypes.h>
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "images/checkpoint.h"
#include "images/files.h"
#include "images/image.h"
#include "images/image_internal.h"
#include "images/store.h"
#include "src/actions.h"
#include "src/cleanup.h"
#include "src/mountpoint.h"
#include "src/options.h"
#include "src/verbs.h"

struct gc {
    bool templates, all, dry_run, json;
    char *store;
    struct names abandoned;
    uint64_t abandoned_bytes;
    struct template_info *list;
    size_t count;
    uint64_t cache_bytes, freed;
};

static uint64_t mebibytes(uint64_t bytes)
{
    return (bytes + (1 << 20) - 1) >> 20;
}

static bool clears_templates(const struct gc *gc)
{
    return gc->templates || gc->all;
}

static int look(struct gc *gc, struct err *err)
{
    int code = store_find_abandoned(gc->store, &gc->abandoned);
    if (code < 0)
        return err_errno(err, -code, "%s/tmp", gc->store);
    for (size_t i = 0; i < gc->abandoned.count; i++) {
        cleanup_free char *path = files_format("%s/tmp/%s", gc->store, gc->abandoned.list[i]);
        gc->abandoned_bytes += path ? files_usage(path) : 0;
    }
    cleanup_free char *cache = files_format("%s/cache/", gc->store); /* which may be a link */
    gc->cache_bytes = cache ? files_usage(cache) : 0;
    return template_list(gc->store, &gc->list, &gc->count, err);
}

/* Somebody at work in the store may be using what is in the cache. */
static int nobody_works(const struct gc *gc, struct err *err)
{
    struct names all = {0}, abandoned = {0};
    int code = store_list_part(gc->store, "tmp", &all);
    if (code == 0)
        code = store_find_abandoned(gc->store, &abandoned);
    bool busy = all.count > abandoned.count;
    names_free(&all);
    names_free(&abandoned);
    if (code < 0)
        return err_errno(err, -code, "%s/tmp", gc->store);
    return busy ? err_set(err, EBUSY, "another gondolin is building or importing; the cache stays") : 0;
}

/* Downloads and the appliance: builds and comparisons fetch and make them again. */
static int clear_cache(struct gc *gc, struct err *err)
{
    struct names entries = {0};
    int code = nobody_works(gc, err);
    if (code < 0)
        return code;
    code = store_list_part(gc->store, "cache/.", &entries);
    names_addf(&entries, ".guestfs-%u", (unsigned)geteuid());
    for (size_t i = 0; code == 0 && i < entries.count; i++) {
        cleanup_free char *path = files_format("%s/cache/%s", gc->store, entries.list[i]);
        code = path ? files_remove_tree(path) : -ENOMEM;
    }
    names_free(&entries);
    gc->freed += code == 0 ? gc->cache_bytes : 0;
    return code < 0 ? err_errno(err, -code, "clear %s/cache", gc->store) : 0;
}

static int clear(struct gc *gc, struct err *err)
{
    uint64_t freed = 0;
    int code = 0;
    mountpoint_clear_offline();
    image_clean_store(gc->store);
    gc->freed = gc->abandoned_bytes;
    if (clears_templates(gc))
        code = template_trim(gc->store, 0, &freed, err);
    gc->freed += freed;
    if (code == 0 && gc->all)
        code = clear_cache(gc, err);
    return code;
}

static void format_time(int64_t seconds, char text[32])
{
    struct tm tm;
    time_t t = (time_t)seconds;
    strftime(text, 32, "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&t, &tm));
}

static const char *fate(const struct gc *gc, bool goes, bool in_use)
{
    if (in_use)
        return "in use";
    if (!goes)
        return "kept";
    return gc->dry_run ? "would be removed" : "removed";
}

static void print_text(const struct gc *gc)
{
    printf("abandoned work  %4zu, %" PRIu64 " MiB: %s\n", gc->abandoned.count, mebibytes(gc->abandoned_bytes),
           gc->abandoned.count ? fate(gc, true, false) : "nothing to do");
    printf("cache           %" PRIu64 " MiB: %s\n", mebibytes(gc->cache_bytes), fate(gc, gc->all, false));
    for (size_t i = 0; i < gc->count; i++) {
        const struct template_info *t = &gc->list[i];
        char used[32];
        format_time(t->used_s, used);
        printf("template        %.12s, image %.12s, %" PRIu64 " MiB, last used %s: %s\n", t->key, *t->build_id ? t->build_id : "?",
               mebibytes(t->bytes), used, fate(gc, clears_templates(gc), t->in_use));
    }
    if (!gc->dry_run)
        printf("freed           %" PRIu64 " MiB\n", mebibytes(gc->freed));
}

static struct json_object *template_json(const struct gc *gc, const struct template_info *t)
{
    struct json_object *object = json_object_new_object();
    json_object_object_add(object, "key", json_object_new_string(t->key));
    json_object_object_add(object, "build_id", *t->build_id ? json_object_new_string(t->build_id) : NULL);
    json_object_object_add(object, "bytes", json_object_new_uint64(t->bytes));
    json_object_object_add(object, "used_s", json_object_new_int64(t->used_s));
    json_object_object_add(object, "in_use", json_object_new_boolean(t->in_use));
    json_object_object_add(object, "removed", json_object_new_boolean(!gc->dry_run && clears_templates(gc) && !t->in_use));
    return object;
}

static void print_as_json(const struct gc *gc)
{
    struct json_object *object = json_object_new_object(), *templates = json_object_new_array();
    for (size_t i = 0; i < gc->count; i++)
        json_object_array_add(templates, template_json(gc, &gc->list[i]));
    json_object_object_add(object, "abandoned", json_object_new_uint64(gc->abandoned.count));
    json_object_object_add(object, "abandoned_bytes", json_object_new_uint64(gc->abandoned_bytes));
    json_object_object_add(object, "cache_bytes", json_object_new_uint64(gc->cache_bytes));
    json_object_object_add(object, "templates", templates);
    json_object_object_add(object, "freed", json_object_new_uint64(gc->freed));
    print_json(object);
}

int verb_gc(int argc, char **argv)
{
    struct gc gc = {0};
    const struct option_spec options[] = {
        {"all", 0, NULL, "clear templates and the cache of downloads", NULL, OPTION_FLAG, &gc.all},
        {"dry-run", 'n', NULL, "only show what would be done", NULL, OPTION_FLAG, &gc.dry_run},
        {"json", 0, NULL, "print JSON", NULL, OPTION_FLAG, &gc.json},
        {"templates", 0, NULL, "clear the templates of warm starts that nobody uses", NULL, OPTION_FLAG, &gc.templates},
        {0},
    };
    const struct usage usage = {
        .verb = "gc",
        .about = "Clears what interrupted work has left in the store, and shows what else is there only to make things faster.\n"
                 "Images and checkpoints are never touched.",
        .options = options,
    };
    struct operands operands;
    struct err err = {0};
    int code;
    if (!options_parse(&usage, argc, argv, &operands, &code))
        return code;
    gc.store = store_open(&err);
    code = gc.store ? look(&gc, &err) : -err.code;
    if (code == 0 && !gc.dry_run)
        code = clear(&gc, &err);
    if (code == 0 && gc.json)
        print_as_json(&gc);
    else if (code == 0)
        print_text(&gc);
    names_free(&gc.abandoned);
    free(gc.list);
    free(gc.store);
    return code < 0 ? verb_failed("gc", &err) : 0;
}
