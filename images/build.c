/* SPDX-License-Identifier: Apache-2.0 */
/* gondolin build: kernel, root disk, initramfs, manifest, in this order, in a work directory that becomes the image by one
 * rename. Everything runs in a contained process (images/contain.h). */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#include "images/agent.h"
#include "images/files.h"
#include "images/image_internal.h"
#include "images/initramfs.h"
#include "images/kernel.h"
#include "images/rootfs.h"
#include "images/source.h"
#include "images/store.h"
#include "src/cleanup.h"

/* Changes whenever the disk made from the same tree does. */
#define DISK_LAYOUT "disk layout 1: ext4, no partitions"

enum { MIN_DISK = 64 << 20 };
#define MAX_DISK (16ULL << 40)

struct build {
    const struct image_recipe *recipe;
    const struct image_source *source;
    const char *store;
    const char *suite; /* may be NULL */
    uint64_t disk_size;
    int agent; /* descriptor of the guest agent */
    struct apt apt;
    struct kernel kernel;
    struct store_work work; /* becomes the image */
    struct store_work temporary;
    struct manifest manifest;
    const struct contained *contained;
};

static char *in_work(const struct build *build, const char *name)
{
    return files_format("%s/%s", build->work.path, name);
}

static struct source_job source_job_of(const struct build *build)
{
    return (struct source_job){.recipe = build->recipe, .suite = build->suite, .apt = &build->apt,
                               .contained = build->contained, .work = build->temporary.path};
}

static int compute_inputs(struct build *build, struct err *err)
{
    struct source_job job = source_job_of(build);
    struct digest *digest = digest_new();
    char size[32];
    if (!digest)
        return err_errno(err, ENOMEM, "build");
    snprintf(size, sizeof size, "%llu", (unsigned long long)build->disk_size);
    digest_add_string(digest, DISK_LAYOUT);
    digest_add_string(digest, build->source->name);
    digest_add_string(digest, size);
    int code = build->source->add_inputs(&job, digest, err);
    digest_end(digest, build->manifest.inputs);
    return code;
}

/* Takes over the root disk, and what is known of it, from an image that was made from the same inputs. */
static int share_rootfs_of(struct build *build, const char *build_id)
{
    struct image image;
    struct manifest manifest = {0};
    int code = image_open(build_id, false, &image, NULL);
    if (code < 0)
        return code;
    cleanup_free char *to = in_work(build, IMAGE_ROOTFS);
    code = image_read_manifest(&image, &manifest, NULL);
    if (code == 0 && strcmp(manifest.inputs, build->manifest.inputs) != 0)
        code = -ENOENT;
    if (code == 0)
        code = to ? files_link_or_copy(image.rootfs, to) : -ENOMEM;
    for (size_t i = 0; code == 0 && i < manifest.package_count; i++)
        code = manifest_add_package(&build->manifest, manifest.packages[i].name, manifest.packages[i].version);
    if (code == 0) {
        const struct manifest_file *rootfs = manifest_find_file(&manifest, IMAGE_ROOTFS);
        code = manifest_add_file(&build->manifest, IMAGE_ROOTFS, rootfs->size, rootfs->sha256);
    }
    manifest_free(&manifest);
    image_close(&image);
    return code;
}

static bool share_rootfs(struct build *build)
{
    struct names ids = {0};
    bool shared = false;
    if (build->recipe->fresh || store_list_images(build->store, &ids, NULL) < 0)
        return false;
    for (size_t i = 0; !shared && i < ids.count; i++)
        shared = share_rootfs_of(build, ids.list[i]) == 0;
    names_free(&ids);
    return shared;
}

/* What libguestfs, supermin and QEMU print would spoil the progress bar; the errors come back in sentences. */
static void silence_errors(void)
{
    cleanup_close int fd = getenv("LIBGUESTFS_DEBUG") ? -1 : open("/dev/null", O_WRONLY | O_CLOEXEC);
    if (fd >= 0)
        dup2(fd, 2);
}

static int make_rootfs(struct build *build, struct err *err)
{
    cleanup_free char *path = in_work(build, IMAGE_ROOTFS);
    struct source_job source_job = source_job_of(build);
    struct disk_job disk_job = {.path = path, .size = build->disk_size, .store = build->store,
                                .work = build->temporary.path, .kernel = &build->kernel, .contained = build->contained,
                                .quiet_start = build->source->reports_phases};
    if (!path)
        return err_errno(err, ENOMEM, "build");
    if (build->source->needs_many_ids && !build->contained->many_ids)
        return err_set(err, EPERM, "%s: needs user ids besides your own; install the package uidmap, and give this user "
                       "some with: sudo usermod --add-subuids 100000-165535 --add-subgids 100000-165535 $USER",
                       build->source->name);
    silence_errors();
    int code = rootfs_build(build->source, &source_job, &disk_job, err);
    if (code == 0 && build->source->describe)
        code = build->source->describe(&source_job, &build->manifest, err);
    return code;
}

/* Adds a finished file to the manifest, syncs it and makes it read-only. */
static int seal(struct build *build, const char *name, struct err *err)
{
    cleanup_free char *path = in_work(build, name);
    cleanup_close int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    struct stat st;
    char hex[DIGEST_HEX_SIZE];

    if (fd < 0 || fsync(fd) < 0 || fchmod(fd, 0444) < 0 || fstat(fd, &st) < 0)
        return err_errno(err, errno, "write %s", name);
    if (manifest_find_file(&build->manifest, name)) /* shared: its digest is known */
        return 0;
    int code = digest_fd(fd, NULL, hex);
    if (code == 0)
        code = manifest_add_file(&build->manifest, name, (uint64_t)st.st_size, hex);
    return code < 0 ? err_errno(err, -code, "write %s", name) : 0;
}

static int make_boot_files(struct build *build, struct err *err)
{
    cleanup_free char *kernel = in_work(build, IMAGE_KERNEL), *initramfs = in_work(build, IMAGE_INITRAMFS);
    if (!kernel || !initramfs)
        return err_errno(err, ENOMEM, "build");
    int code = files_link_or_copy(build->kernel.elf, kernel);
    if (code < 0)
        return err_errno(err, -code, "copy the kernel to %s", kernel);
    return initramfs_write(initramfs, &build->kernel, build->agent, err);
}

static int fill_manifest(struct build *build)
{
    struct manifest *manifest = &build->manifest;
    struct utsname system;
    char now[32];
    time_t seconds = time(NULL);
    struct tm utc;

    uname(&system);
    strftime(now, sizeof now, "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&seconds, &utc));
    manifest->arch = strdup(system.machine);
    manifest->created = strdup(now);
    manifest->source = strdup(build->source->name);
    manifest->suite = build->suite ? strdup(build->suite) : NULL;
    manifest->kernel_package = strdup(build->kernel.package);
    manifest->kernel_package_version = strdup(build->kernel.version);
    manifest->kernel_release = strdup(build->kernel.release);
    manifest->agent_version = strdup(PACKAGE_VERSION);
    manifest->memory = build->source->memory;
    if (!manifest->arch || !manifest->created || !manifest->source || (build->suite && !manifest->suite) ||
        !manifest->kernel_package || !manifest->kernel_package_version || !manifest->kernel_release ||
        !manifest->agent_version)
        return -ENOMEM;
    manifest_compute_build_id(manifest, manifest->build_id);
    return digest_fd(build->agent, NULL, manifest->agent_sha256);
}

static int write_manifest(struct build *build, struct err *err)
{
    cleanup_free char *path = in_work(build, MANIFEST_NAME);
    int code = fill_manifest(build);
    cleanup_free char *text = code == 0 && path ? manifest_format(&build->manifest) : NULL;
    if (!text)
        return err_errno(err, code < 0 ? -code : ENOMEM, "write manifest");
    cleanup_close int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0444);
    code = fd < 0 ? -errno : files_write(fd, text, strlen(text));
    if (code == 0 && fsync(fd) < 0)
        code = -errno;
    return code < 0 ? err_errno(err, -code, "write manifest: %s", path) : 0;
}

/* The same build id is the same files, unless those have been damaged since: then they are replaced. */
static int publish(struct build *build, struct err *err)
{
    struct image present;
    const char *build_id = build->manifest.build_id;

    if (image_open(build_id, false, &present, NULL) == 0)
        image_close(&present);
    else
        store_remove_entry(build->store, "images", build_id, NULL, NULL);
    int code = store_publish(build->store, &build->work, build_id, err);
    return code == 0 ? store_set_tag(build->store, build->recipe->tag, build_id, err) : code;
}

static int make_image(struct build *build, struct err *err)
{
    static const char *const files[] = {IMAGE_ROOTFS, IMAGE_KERNEL, IMAGE_INITRAMFS};
    int code = compute_inputs(build, err);
    if (code == 0 && !share_rootfs(build))
        code = make_rootfs(build, err);
    if (code == 0)
        code = make_boot_files(build, err);
    if (code == 0)
        contained_progress(build->contained, "computing checksums", -1);
    for (size_t i = 0; code == 0 && i < sizeof files / sizeof *files; i++)
        code = seal(build, files[i], err);
    if (code == 0)
        code = write_manifest(build, err);
    return code == 0 ? publish(build, err) : code;
}

/* Programs print in a known language, and find those that only root has on the path. */
static int prepare_environment(const struct build *build)
{
    cleanup_free char *path = files_format("%s:/usr/local/sbin:/usr/sbin:/sbin:/usr/bin:/bin",
                                           getenv("PATH") ? getenv("PATH") : "/usr/local/bin");
    umask(022);
    if (!path || setenv("PATH", path, 1) < 0 || setenv("LC_ALL", "C.UTF-8", 1) < 0 ||
        setenv("DEBIAN_FRONTEND", "noninteractive", 1) < 0 || setenv("TMPDIR", build->temporary.path, 1) < 0)
        return -ENOMEM;
    return chdir("/") < 0 ? -errno : 0;
}

static int begin(struct build *build, struct err *err)
{
    int code = store_work_begin(build->store, "temporary", &build->temporary, err);
    if (code == 0)
        code = store_work_begin(build->store, "image", &build->work, err);
    if (code == 0 && (code = prepare_environment(build)) < 0)
        err_errno(err, -code, "build");
    /* The package manager's chroot is below it, and runs programs as other users. */
    if (code == 0 && chmod(build->temporary.path, 0755) < 0)
        code = err_errno(err, errno, "build: %s", build->temporary.path);
    return code;
}

static int open_kernel(struct build *build, struct err *err)
{
    cleanup_free char *lists = files_format("%s/cache/apt", build->store);
    contained_progress(build->contained, "looking for the kernel", -1);
    int code = lists ? apt_open(&build->apt, lists, err) : err_errno(err, ENOMEM, "build");
    return code == 0 ? kernel_open(build->store, &build->apt, build->contained, &build->kernel, err) : code;
}

/* Why did it fail? A program that ran out of space may have tidied up since, but says so. */
static int explain(const struct build *build, struct err *err)
{
    if (strstr(err->text, strerror(ENOSPC)))
        err_set(err, ENOSPC, "no space left on the file system of %s; make room, or set GONDOLIN_STORE to a directory "
                "elsewhere", build->store);
    else if (err->code != ENOSPC)
        store_has_space(build->store, err);
    return -err->code;
}

static int build_contained(void *data, struct contained *contained, struct err *err)
{
    struct build *build = data;

    build->contained = contained;
    store_clean(build->store);
    int code = store_has_space(build->store, err) ? begin(build, err) : -ENOSPC;
    if (code == 0)
        code = open_kernel(build, err);
    if (code == 0)
        code = make_image(build, err);
    if (code < 0)
        code = explain(build, err);
    else
        contained_answer(contained, build->manifest.build_id);
    store_work_end(&build->work);
    store_work_end(&build->temporary);
    kernel_free(&build->kernel);
    apt_close(&build->apt);
    manifest_free(&build->manifest);
    return code;
}

static int check_recipe(const struct build *build, struct err *err)
{
    const struct image_recipe *recipe = build->recipe;
    if (!build->source->default_suite && recipe->suite)
        return err_set(err, EINVAL, "%s has no suites", build->source->name);
    if (!build->source->default_suite && ((recipe->packages && recipe->packages[0]) || recipe->only_packages))
        return err_set(err, EINVAL, "%s takes no packages", build->source->name);
    if (build->disk_size < MIN_DISK || build->disk_size > MAX_DISK)
        return err_set(err, EINVAL, "size %llu: a root disk has 64M to 16T", (unsigned long long)build->disk_size);
    return store_check_tag(recipe->tag, err);
}

/* Finds the agent and the store, and builds in a contained process. */
static int run(struct build *build, struct contain *contain, struct err *err)
{
    struct err own = {0};
    cleanup_close int agent = agent_open(&own);
    cleanup_free char *store = agent >= 0 ? store_open(&own) : NULL;
    if (!store)
        return err_set(err, own.code, "%s", own.text);
    build->agent = agent;
    build->store = store;
    contain->keep = store;
    int code = contain_run(contain, err);
    /* A worker that was killed could not tidy up. */
    if (code == -EINTR || code == -ECHILD)
        image_clean_store(store);
    return code;
}

int image_build(const struct image_recipe *recipe, image_progress_fn *progress, void *data, char build_id[65],
                struct err *err)
{
    struct image_recipe full = *recipe;
    const struct image_source *source = image_source_find(recipe->source, err);
    if (!source)
        return -EINVAL;
    if (!full.tag)
        full.tag = source->name;
    struct build build = {
        .recipe = &full,
        .source = source,
        .suite = recipe->suite ? recipe->suite : source->default_suite,
        .disk_size = recipe->disk_size ? recipe->disk_size : source->disk_size,
        .work = {.lock = -1},
        .temporary = {.lock = -1},
    };
    struct contain contain = {.work = build_contained, .data = &build, .progress = progress, .progress_data = data,
                              .answer = build_id, .answer_size = 65};
    int code = check_recipe(&build, err);
    return code == 0 ? run(&build, &contain, err) : code;
}
