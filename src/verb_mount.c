/* SPDX-License-Identifier: Apache-2.0 */
/* gondolin mount: finds or builds the image, checks the mount point, and starts the supervisor: in the background unless
 * -f is given, returning when the guest is ready. As `run` in place of `mount` it is the first half of gondolin run. */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "images/files.h"
#include "images/image.h"
#include "src/cleanup.h"
#include "src/mount_config.h"
#include "src/mount_from.h"
#include "src/mount_options.h"
#include "src/mount_place.h"
#include "src/mount_start.h"
#include "src/offline.h"
#include "src/options.h"
#include "src/progress.h"
#include "src/session_name.h"
#include "src/verbs.h"

static int build_default(const char *verb, struct err *err)
{
    static const struct image_recipe recipe = {.source = "debian", .tag = IMAGE_DEFAULT_TAG};
    fprintf(stderr, "gondolin: %s: there is no image yet; building the default one (Debian, a few minutes, once)\n", verb);
    struct progress progress;
    progress_begin(&progress, stderr);
    int rc = image_build(&recipe, progress_show, &progress, NULL, err);
    progress_end(&progress);
    return rc;
}

static int open_image(const char *verb, const char *reference, struct image *image, struct err *err)
{
    int rc = image_open(reference ? reference : IMAGE_DEFAULT_TAG, false, image, err);
    if (rc != -ENOENT || reference)
        return rc;
    rc = build_default(verb, err);
    return rc < 0 ? rc : image_open(IMAGE_DEFAULT_TAG, false, image, err);
}

/* Files that options name. The daemon works in the root directory. */
struct absolute {
    char root_disk[PATH_MAX], qemu[PATH_MAX];
};

static int make_absolute(const char **file, const char *option, char path[PATH_MAX], struct err *err)
{
    if (!*file || **file == '/')
        return 0;
    if (!realpath(*file, path))
        return err_errno(err, errno, "mount: --%s %s", option, *file);
    *file = path;
    return 0;
}

static int make_files_absolute(struct mount_options *o, struct absolute *to, struct err *err)
{
    int rc = make_absolute(&o->root_disk, "root-disk", to->root_disk, err);
    if (rc == 0 && o->qemu && strchr(o->qemu, '/'))
        rc = make_absolute(&o->qemu, "qemu", to->qemu, err);
    return rc;
}

typedef int read_mount_fn(const char *what, const char *text, struct mount_spec *out, struct err *err);

/* Adds what a list of options says, of the command line or of a file (NULL: none). */
static int read_list(const char *file, const char *option, const struct option_list *list, read_mount_fn *read_one,
                     struct mount_specs *to, struct err *err)
{
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < list->count; i++) {
        struct mount_spec spec;
        cleanup_free char *what = file ? files_format("%.300s: %s[%zu]", file, option, i) : files_format("--%s", option);
        if (!what)
            return err_errno(err, ENOMEM, "--%s", option);
        rc = read_one(what, list->words[i], &spec, err);
        rc = rc ? rc : mount_specs_add(to, what, &spec, err);
        if (rc < 0)
            mount_spec_free(&spec);
    }
    return rc;
}

static int read_mounts(const char *file, const struct mount_options *o, struct mount_specs *to, struct err *err)
{
    int rc = read_list(file, "bind", &o->binds, mount_spec_bind, to, err);
    return rc ? rc : read_list(file, "memfs", &o->memory_files, mount_spec_memory, to, err);
}

/* Looks at what bind and memfs say, on the command line and in the file, and opens what they name. */
static int read_all_mounts(const struct mount_options *o, const struct mount_config *config, struct mount_specs *to,
                           struct err *err)
{
    int rc = read_mounts(NULL, o, to, err);
    rc = rc ? rc : read_mounts(o->config, &config->options, to, err);
    return rc < 0 ? err_wrap(err, "mount") : 0;
}

static int check_name(const struct mount_options *o, struct err *err)
{
    int rc = o->name ? session_name_check(o->name, err) : 0;
    return rc < 0 ? err_wrap(err, "mount") : 0;
}

static int read_hook(const struct mount_options *o, struct vfs_hook_spec *to, struct err *err)
{
    int rc = o->vfs_hook ? vfs_hook_spec_read(o->vfs_hook, to, err) : 0;
    return rc < 0 ? err_wrap(err, "mount") : 0;
}

/* All that the command line leads to, in the order in which it is opened. */
struct request {
    const char *verb, *directory;
    bool foreground;
    struct mount_options options;
    struct mount_config config;
    struct mount_specs mounts;
    struct vfs_hook_spec hook;
    struct absolute absolute;
    struct mount_from from;
    struct image image;
};

static int open_request(struct request *r, struct err *err)
{
    int rc = mount_config_open(&r->options, &r->config, err);
    rc = rc ? rc : check_name(&r->options, err);
    rc = rc ? rc : read_all_mounts(&r->options, &r->config, &r->mounts, err);
    rc = rc ? rc : read_hook(&r->options, &r->hook, err);
    rc = rc ? rc : make_files_absolute(&r->options, &r->absolute, err);
    rc = rc ? rc : mount_from_open(&r->options, &r->from, err);
    return rc ? rc : open_image(r->verb, r->options.image, &r->image, err);
}

static void close_request(struct request *r)
{
    image_close(&r->image);
    mount_from_close(&r->from);
    vfs_hook_spec_free(&r->hook);
    mount_specs_free(&r->mounts);
    mount_config_close(&r->config);
    mount_options_free(&r->options);
}

static int start_at(struct request *r, struct mount_place *place)
{
    struct supervisor_start start = {.options = &r->options,
                                     .mountpoint = place->path,
                                     .made_mountpoint = place->made,
                                     .image = &r->image,
                                     .from = r->options.from ? &r->from.checkpoint : NULL,
                                     .mounts = &r->mounts,
                                     .hook = r->options.vfs_hook ? &r->hook : NULL,
                                     .waiter_fd = -1};
    return r->foreground ? mount_in_foreground(r->verb, &start) : mount_in_background(&start);
}

static int mount_sandbox(struct request *r)
{
    struct mount_place place = {.fd = -1};
    struct err err = {0};
    sigset_t signals;
    int rc = open_request(r, &err), code = 0;
    if (rc == 0) {
        mount_block_signals(&signals);
        rc = mount_place_take(r->directory, &place, &err);
    }
    code = rc < 0 ? mount_failed(r->verb, &err, r->directory) : start_at(r, &place);
    place.made = place.made && code != 0;
    mount_place_give_up(&place);
    return code;
}

/* A checkpoint's disk, without a machine. */
static int mount_disk(const char *checkpoint, const char *directory, bool foreground)
{
    struct mount_place place = {.fd = -1};
    struct err err = {0};
    int code = mount_place_take(directory, &place, &err) < 0
                   ? verb_failed("mount", &err)
                   : offline_mount(checkpoint, place.path, place.made, foreground);
    place.made = place.made && code != 0;
    mount_place_give_up(&place);
    return code;
}

int verb_mount(int argc, char **argv)
{
    const char *offline = NULL;
    struct request r = {.verb = argv[0], .from.checkpoint.lock_fd = -1, .image.lock_fd = -1};
    struct option_spec shared[MOUNT_OPTIONS_TABLE];
    const struct option_spec own[] = {
        {"foreground", 'f', NULL, "stay in the foreground until the sandbox ends", NULL, OPTION_FLAG, &r.foreground},
        {"offline", 0, "CHECKPOINT", "show what is on a checkpoint's disk, read-only, without its machine", NULL, OPTION_STRING,
         &offline},
        {0},
    };
    mount_options_table(&r.options, shared);
    const struct usage usage = {
        .verb = r.verb,
        .operands = "DIRECTORY",
        .about = "Boots a sandbox and shows it as DIRECTORY, which must be empty or absent. Returns when the guest is\n"
                 "ready and prints the mount point and the sandbox's id. README in the directory tells how to use it.",
        .options = own,
        .more = shared,
        .min_operands = 1,
        .max_operands = 1,
    };
    struct operands operands;
    int code;
    if (!options_parse(&usage, argc, argv, &operands, &code))
        return code;
    r.directory = operand_at(&operands, 0);
    code = offline ? mount_disk(offline, r.directory, r.foreground) : mount_sandbox(&r);
    close_request(&r);
    return code;
}
