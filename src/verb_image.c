/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "images/image.h"
#include "images/manifest.h"
#include "src/actions.h"
#include "src/options.h"
#include "src/verbs.h"

static int failed(const char *action, const struct err *err)
{
    return action_failed("image", action, err);
}

/* What the manifest says, as a JSON object. */
static struct json_object *manifest_json(const struct manifest *manifest)
{
    char *text = manifest_format(manifest);
    struct json_object *object = text ? json_tokener_parse(text) : NULL;
    free(text);
    return object ? object : json_object_new_object();
}

static struct json_object *split_tags(const char *tags)
{
    struct json_object *array = json_object_new_array();
    while (*tags) {
        size_t length = strcspn(tags, " ");
        json_object_array_add(array, json_object_new_string_len(tags, (int)length));
        tags += length + strspn(tags + length, " ");
    }
    return array;
}

static void list_json(const struct image_info *images, size_t count)
{
    struct json_object *array = json_object_new_array();
    for (size_t i = 0; i < count; i++) {
        struct json_object *object = images[i].manifest ? manifest_json(images[i].manifest) : json_object_new_object();
        json_object_object_add(object, "build_id", json_object_new_string(images[i].build_id));
        json_object_object_add(object, "tags", split_tags(images[i].tags));
        json_object_object_add(object, "disk_usage", json_object_new_uint64(images[i].disk_usage));
        json_object_object_add(object, "damaged", json_object_new_boolean(!images[i].manifest));
        json_object_array_add(array, object);
    }
    print_json(array);
}

static void list_table(const struct image_info *images, size_t count)
{
    int width = 4;
    for (size_t i = 0; i < count; i++)
        width = (int)strlen(images[i].tags) > width ? (int)strlen(images[i].tags) : width;
    printf("%-*s  %-12s  %-18s  %-24s  %8s  %s\n", width, "TAGS", "BUILD ID", "SOURCE", "KERNEL", "SIZE", "CREATED");
    for (size_t i = 0; i < count; i++) {
        const struct manifest *manifest = images[i].manifest;
        const char *tags = *images[i].tags ? images[i].tags : "-";
        char source[64] = "(damaged)";
        if (manifest)
            snprintf(source, sizeof source, "%s%s%s", manifest->source, manifest->suite ? " " : "",
                     manifest->suite ? manifest->suite : "");
        printf("%-*s  %-12.12s  %-18s  %-24s  %4" PRIu64 " MiB  %s\n", width, tags, images[i].build_id, source,
               manifest ? manifest->kernel_release : "-", images[i].disk_usage >> 20, manifest ? manifest->created : "-");
    }
}

static int run_ls(const struct operands *operands, const void *options)
{
    bool json = *(const bool *)options;
    struct image_info *images;
    size_t count;
    struct err err = {0};
    (void)operands;
    if (image_list(&images, &count, &err) < 0)
        return failed("ls", &err);
    if (json)
        list_json(images, count);
    else if (count == 0)
        fputs("no images yet; build one with: gondolin build\n", stderr);
    else
        list_table(images, count);
    image_list_free(images, count);
    return 0;
}

static void print_manifest(const struct image *image, const struct manifest *manifest)
{
    printf("build id   %s\n", manifest->build_id);
    printf("directory  %s\n", image->directory);
    printf("created    %s\n", manifest->created);
    printf("arch       %s\n", manifest->arch);
    printf("source     %s%s%s\n", manifest->source, manifest->suite ? " " : "", manifest->suite ? manifest->suite : "");
    for (size_t i = 0; i < manifest->package_count; i++)
        printf("package    %s %s\n", manifest->packages[i].name, manifest->packages[i].version);
    printf("kernel     %s (%s %s)\n", manifest->kernel_release, manifest->kernel_package,
           manifest->kernel_package_version);
    printf("agent      %s %s\n", manifest->agent_version, manifest->agent_sha256);
    for (size_t i = 0; i < manifest->file_count; i++)
        printf("file       %-15s %12" PRIu64 " bytes, sha256 %s\n", manifest->files[i].name, manifest->files[i].size,
               manifest->files[i].sha256);
    if (manifest->memory)
        printf("memory     %" PRIu64 " MiB\n", manifest->memory >> 20);
    if (manifest->kernel_append)
        printf("append     %s\n", manifest->kernel_append);
}

static int run_inspect(const struct operands *operands, const void *options)
{
    bool json = *(const bool *)options;
    struct image image;
    struct manifest manifest;
    struct err err = {0};
    int code = image_open(operands->words[1], false, &image, &err);
    if (code < 0)
        return failed("inspect", &err);
    code = image_read_manifest(&image, &manifest, &err);
    if (code == 0) {
        if (json)
            print_json(manifest_json(&manifest));
        else
            print_manifest(&image, &manifest);
        manifest_free(&manifest);
    }
    image_close(&image);
    return code < 0 ? failed("inspect", &err) : 0;
}

static int run_verify(const struct operands *operands, const void *options)
{
    bool json = *(const bool *)options;
    struct image image;
    struct err err = {0};
    int code = image_open(operands->words[1], true, &image, &err);
    if (json) {
        struct json_object *object = json_object_new_object();
        json_object_object_add(object, "ok", json_object_new_boolean(code == 0));
        json_object_object_add(object, "reason", code < 0 ? json_object_new_string(err.text) : NULL);
        print_json(object);
    }
    if (code < 0)
        return json ? EXIT_GONDOLIN : failed("verify", &err);
    if (!json)
        printf("%s: every file has the recorded SHA-256\n", image.build_id);
    image_close(&image);
    return 0;
}

static int run_rm(const struct operands *operands, const void *options)
{
    bool json = *(const bool *)options;
    int worst = 0;
    struct json_object *array = json_object_new_array();
    for (int i = 1; i < operands->count; i++) {
        struct err err = {0};
        bool removed;
        if (image_remove(operands->words[i], &removed, &err) < 0) {
            worst = failed("rm", &err);
            continue;
        }
        struct json_object *object = json_object_new_object();
        json_object_object_add(object, "reference", json_object_new_string(operands->words[i]));
        json_object_object_add(object, "image_removed", json_object_new_boolean(removed));
        json_object_array_add(array, object);
        if (!json)
            printf("%s: %s\n", operands->words[i], removed ? "removed" : "tag removed; the image has others");
    }
    if (json)
        print_json(array);
    else
        json_object_put(array);
    return worst;
}

static int run_tag(const struct operands *operands, const void *options)
{
    struct err err = {0};
    (void)options;
    return image_tag(operands->words[1], operands->words[2], &err) < 0 ? failed("tag", &err) : 0;
}

static const struct action actions[] = {
    {"ls", "", "lists the images, newest first", 0, 0, run_ls, "json"},
    {"inspect", "IMAGE", "shows what an image is made of", 1, 1, run_inspect, "json"},
    {"verify", "IMAGE", "compares every file with its recorded SHA-256", 1, 1, run_verify, "json"},
    {"rm", "IMAGE...", "removes a tag, and with the last one the image; a build id removes the image", 1, -1, run_rm, "json"},
    {"tag", "IMAGE TAG", "gives an image another name; a name that is taken moves", 2, 2, run_tag, NULL},
};

static const struct actions image_actions = {
    .verb = "image",
    .operands = "ACTION [IMAGE]...",
    .intro = "Looks after the images. IMAGE is a tag, or the beginning of a build id.\n",
    .list = actions,
    .count = sizeof actions / sizeof *actions,
};

int verb_image(int argc, char **argv)
{
    bool json = false;
    const struct option_spec options[] = {
        {"json", 0, NULL, "print JSON", NULL, OPTION_FLAG, &json},
        {0},
    };
    return actions_main(&image_actions, options, &json, argc, argv);
}
