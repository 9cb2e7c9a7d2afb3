/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <inttypes.h>
#include <json-c/json.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#include "images/image.h"
#include "src/options.h"
#include "src/progress.h"
#include "src/verbs.h"

static const char about[] =
    "Builds an image: the root disk, kernel and agent that sandboxes start from. SOURCE is debian (a Debian release with\n"
    "bash, ca-certificates, curl, git and python3) or busybox (a tiny root, made in seconds); debian when left out, and\n"
    "then the image is the default one. What has not changed since the last build is taken over from it.";

static void print_result(const char *build_id, const char *tag, uint64_t took_ms, bool json)
{
    if (!json) {
        printf("%s %.12s (%.1f s)\n", tag, build_id, (double)took_ms / 1000);
        return;
    }
    struct json_object *object = json_object_new_object();
    json_object_object_add(object, "build_id", json_object_new_string(build_id));
    json_object_object_add(object, "tag", json_object_new_string(tag));
    json_object_object_add(object, "took_ms", json_object_new_uint64(took_ms));
    puts(json_object_to_json_string_ext(object, JSON_C_TO_STRING_PLAIN));
    json_object_put(object);
}

static int build(const struct image_recipe *recipe, bool quiet, bool json)
{
    struct progress progress;
    struct err err = {0};
    char build_id[65] = "";

    progress_begin(&progress, quiet ? NULL : stderr);
    int code = image_build(recipe, progress_show, &progress, build_id, &err);
    uint64_t took_ms = progress_end(&progress);
    if (code == -EINTR)
        return EXIT_SIGNAL_BASE + SIGINT;
    if (code < 0)
        return verb_failed("build", &err);
    if (!quiet || json)
        print_result(build_id, recipe->tag, took_ms, json);
    return 0;
}

int verb_build(int argc, char **argv)
{
    struct image_recipe recipe = {0};
    struct option_list packages = {0};
    bool quiet = false, json = false;
    const struct option_spec options[] = {
        {"suite", 's', "NAME", "the Debian release (bookworm)", NULL, OPTION_STRING, &recipe.suite},
        {"package", 'p', "NAME", "install this package too; may be given several times", NULL, OPTION_LIST, &packages},
        {"only-packages", 0, NULL, "install only the packages given, not the usual ones", NULL, OPTION_FLAG,
         &recipe.only_packages},
        {"tag", 't', "NAME", "the name of the image (SOURCE; without one: default)", NULL, OPTION_STRING, &recipe.tag},
        {"size", 0, "SIZE", "size of the root disk as the guest sees it (debian: 8G, busybox: 1G)", NULL, OPTION_SIZE,
         &recipe.disk_size},
        {"fresh", 0, NULL, "build the root disk anew even if nothing has changed", NULL, OPTION_FLAG, &recipe.fresh},
        {"json", 0, NULL, "print the result as JSON", NULL, OPTION_FLAG, &json},
        {"quiet", 'q', NULL, "show no progress", NULL, OPTION_FLAG, &quiet},
        {0},
    };
    const struct usage usage = {
        .verb = "build",
        .operands = "[SOURCE]",
        .about = about,
        .options = options,
        .max_operands = 1,
    };
    struct operands operands;
    int code;
    if (!options_parse(&usage, argc, argv, &operands, &code))
        return code;
    const char *source = operand_at(&operands, 0);
    recipe.source = source ? source : "debian";
    recipe.packages = packages.words;
    if (!recipe.tag)
        recipe.tag = source ? source : IMAGE_DEFAULT_TAG;
    code = build(&recipe, quiet, json);
    option_list_free(&packages);
    return code;
}
