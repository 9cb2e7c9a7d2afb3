/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "images/checkpoint_internal.h"
#include "images/checkpoint_view.h"
#include "images/contain.h"
#include "images/files.h"
#include "src/cleanup.h"

enum { SIDES = 2 };

struct diff {
    const char *store, *work;
    const char *disks[SIDES]; /* before, after */
    checkpoint_diff_fn *report;
    void *data;
    struct appliance appliance;
    guestfs_h *g;
    struct names found; /* "A/path" */
};

/* One directory that is on both sides: names, sorted, and what each is. */
struct listing {
    char *path; /* in the appliance */
    char **names;
    struct guestfs_statns_list *stats;
};

static void free_listing(struct listing *l)
{
    for (size_t i = 0; l->names && l->names[i]; i++)
        free(l->names[i]);
    free(l->names);
    if (l->stats)
        guestfs_free_statns_list(l->stats);
    free(l->path);
}

static bool list(struct diff *d, int side, const char *directory, struct listing *l)
{
    *l = (struct listing){.path = files_format("/%d%s", side, directory)};
    l->names = l->path ? guestfs_ls(d->g, l->path) : NULL;
    if (l->names)
        l->stats = guestfs_lstatnslist(d->g, l->path, l->names);
    return l->stats != NULL;
}

static void note(struct diff *d, char change, const char *path)
{
    names_addf(&d->found, "%s%c%c", path, '\n', change); /* sorts by path; taken apart again in the end */
}

/* It, and all that is below it. */
static int note_tree(struct diff *d, char change, int side, const char *path, const struct guestfs_statns *st)
{
    note(d, change, path);
    if (!S_ISDIR(st->st_mode))
        return 0;
    cleanup_free char *at = files_format("/%d%s", side, path);
    char **below = at ? guestfs_find(d->g, at) : NULL;
    if (!below)
        return -1;
    for (size_t i = 0; below[i]; i++) {
        cleanup_free char *inner = files_format("%s/%s", path, below[i] + (below[i][0] == '/'));
        if (inner)
            note(d, change, inner);
        free(below[i]);
    }
    free(below);
    return 0;
}

/* Of a file or a link: 1 different, 0 the same, -1 failed. */
static int compare_contents(struct diff *d, const char *path, bool is_link)
{
    char *texts[SIDES] = {NULL};
    bool good = true;
    for (int side = 0; side < SIDES; side++) {
        cleanup_free char *at = files_format("/%d%s", side, path);
        texts[side] = !at ? NULL : is_link ? guestfs_readlink(d->g, at) : guestfs_checksum(d->g, "sha256", at);
        good = good && texts[side];
    }
    int result = !good ? -1 : strcmp(texts[0], texts[1]) != 0;
    free(texts[0]);
    free(texts[1]);
    return result;
}

static int compare(struct diff *d, const char *path, const struct guestfs_statns *a, const struct guestfs_statns *b)
{
    if (a->st_mode != b->st_mode || a->st_uid != b->st_uid || a->st_gid != b->st_gid)
        return 1;
    if (S_ISCHR(a->st_mode) || S_ISBLK(a->st_mode))
        return a->st_rdev != b->st_rdev;
    if (!S_ISREG(a->st_mode) && !S_ISLNK(a->st_mode))
        return 0;
    if (a->st_size != b->st_size)
        return 1;
    if (a->st_mtime_sec == b->st_mtime_sec && a->st_mtime_nsec == b->st_mtime_nsec)
        return 0;
    return compare_contents(d, path, S_ISLNK(a->st_mode));
}

/* One name that is on both sides. Directories are put off. */
static int visit_both(struct diff *d, const char *path, const struct guestfs_statns *a, const struct guestfs_statns *b,
                      struct names *later)
{
    if ((a->st_mode & S_IFMT) != (b->st_mode & S_IFMT)) {
        int code = note_tree(d, 'D', 0, path, a);
        return code == 0 ? note_tree(d, 'A', 1, path, b) : code;
    }
    int different = compare(d, path, a, b);
    if (different > 0)
        note(d, 'M', path);
    if (S_ISDIR(a->st_mode))
        names_add(later, path);
    return different < 0 ? -1 : 0;
}

static int merge(struct diff *d, const char *directory, const struct listing *before, const struct listing *after,
                 struct names *later)
{
    size_t i = 0, j = 0;
    int code = 0;
    while (code == 0 && (before->names[i] || after->names[j])) {
        const char *one = before->names[i], *other = after->names[j];
        int order = !one ? 1 : !other ? -1 : strcmp(one, other);
        cleanup_free char *path = files_format("%s/%s", directory, order <= 0 ? one : other);
        if (!path)
            return -1;
        if (order < 0)
            code = note_tree(d, 'D', 0, path, &before->stats->val[i]);
        else if (order > 0)
            code = note_tree(d, 'A', 1, path, &after->stats->val[j]);
        else
            code = visit_both(d, path, &before->stats->val[i], &after->stats->val[j], later);
        i += order <= 0;
        j += order >= 0;
    }
    return code;
}

static int by_bytes(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* In the order that merge() needs: the appliance's locale may have another. The stats are asked for afterwards. */
static bool list_sorted(struct diff *d, int side, const char *directory, struct listing *l)
{
    if (!list(d, side, directory, l))
        return false;
    size_t count = 0;
    while (l->names[count])
        count++;
    for (size_t i = 1; i < count; i++) {
        if (strcmp(l->names[i - 1], l->names[i]) <= 0)
            continue;
        qsort(l->names, count, sizeof *l->names, by_bytes);
        guestfs_free_statns_list(l->stats);
        l->stats = guestfs_lstatnslist(d->g, l->path, l->names);
        break;
    }
    return l->stats && l->stats->len == count;
}

static int visit_directory(struct diff *d, const char *directory, struct names *later)
{
    struct listing before = {0}, after = {0};
    int code = list_sorted(d, 0, directory, &before) && list_sorted(d, 1, directory, &after)
                   ? merge(d, directory, &before, &after, later) : -1;
    free_listing(&before);
    free_listing(&after);
    return code;
}

static void report_all(struct diff *d)
{
    names_sort(&d->found);
    for (size_t i = 0; i < d->found.count; i++) {
        char *path = d->found.list[i], *mark = strrchr(path, '\n');
        *mark = '\0';
        d->report(d->data, mark[1], path);
    }
}

static int diff_contained(void *data, struct contained *contained, struct err *err)
{
    struct diff *d = data;
    struct names directories = {0};
    (void)contained;
    int code = checkpoint_view_open(d->store, d->work, d->disks, SIDES, &d->appliance, err);
    if (code < 0)
        return code;
    d->g = d->appliance.g;
    names_add(&directories, "");
    for (size_t i = 0; code == 0 && i < directories.count; i++)
        if (visit_directory(d, directories.list[i], &directories) < 0)
            code = appliance_failed(&d->appliance, *directories.list[i] ? directories.list[i] : "/", err);
    if (code == 0 && (directories.failed || d->found.failed))
        code = err_errno(err, ENOMEM, "compare");
    if (code == 0)
        report_all(d);
    fflush(stdout);
    names_free(&directories);
    names_free(&d->found);
    appliance_close(&d->appliance);
    return code;
}

static int diff_disks(struct diff *d, struct err *err)
{
    struct store_work work;
    int code = appliance_prepare(d->store, err);
    if (code == 0)
        code = store_work_begin(d->store, "diff", &work, err);
    if (code < 0)
        return code;
    d->work = work.path;
    fflush(stdout);
    code = contain_run(&(struct contain){.work = diff_contained, .data = d, .keep = d->store}, err);
    store_work_end(&work);
    return code;
}

static char *lowest_disk(const char *store, const struct checkpoint_manifest *m)
{
    if (m->root_disk)
        return strdup(m->root_disk);
    return m->image ? files_format("%s/" IMAGE_ROOTFS, m->image)
                    : files_format("%s/images/%s/" IMAGE_ROOTFS, store, m->build_id);
}

int checkpoint_diff(const char *store, const char *from, const char *to, checkpoint_diff_fn *report, void *data,
                    struct err *err)
{
    struct checkpoint before = {.lock_fd = -1}, after = {.lock_fd = -1};
    int code = checkpoint_open(store, to, false, &after, err);
    if (code == 0 && from)
        code = checkpoint_open(store, from, false, &before, err);
    if (code == 0) {
        cleanup_free char *one = from ? files_format("%s/" CHECKPOINT_DISK, before.directory)
                                      : lowest_disk(store, &after.manifest);
        cleanup_free char *other = files_format("%s/" CHECKPOINT_DISK, after.directory);
        struct diff d = {.store = store, .disks = {one, other}, .report = report, .data = data};
        code = one && other ? diff_disks(&d, err) : err_errno(err, ENOMEM, "compare");
    }
    checkpoint_close(&before);
    checkpoint_close(&after);
    return code;
}
