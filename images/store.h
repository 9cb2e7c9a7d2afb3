/* SPDX-License-Identifier: Apache-2.0 */
/* The directories behind images/image.h: layout, atomic changes, locks. Every function takes the store's directory
 * descriptor-free, by path: STORE is owned by the user and 0700.
 *
 *   STORE/images/BUILD-ID/   published by one rename, then never changed; users hold a shared flock on its manifest
 *   STORE/checkpoints/NAME/  the same; images/checkpoint.h
 *   STORE/templates/KEY/     the same, can be removed at any time
 *   STORE/tags/NAME          symlink to ../images/BUILD-ID, replaced by one rename
 *   STORE/tmp/KIND.XXXXXX/   work in progress, flock'ed by its maker; STORE/tmp itself is locked while one is made
 *   STORE/cache/             kernels, package lists, the libguestfs appliance: can be removed at any time */
#ifndef GONDOLIN_IMAGES_STORE_H
#define GONDOLIN_IMAGES_STORE_H

#include <stdbool.h>
#include <stdint.h>

#include "images/digest.h"
#include "images/names.h"
#include "src/err.h"

/* $GONDOLIN_STORE and so on as image.h says; makes the directories. malloc'd, or NULL with *err set. */
char *store_open(struct err *err);

/* Its path alone. */
char *store_path(struct err *err);

/* The same for who only looks: makes nothing. That GONDOLIN_STORE names nothing is an error (ENOENT); the default place may
 * be missing. */
char *store_find(struct err *err);

/* False, with the sentence in *err, when so little space is left on the store's file system that it explains any
 * failure to write there: a full disk shows up in many ways (a broken disk in the appliance, a package that cannot
 * unpack). */
bool store_has_space(const char *store, struct err *err);

/* The same, for work that will need `bytes`. */
bool store_has_room(const char *store, uint64_t bytes, struct err *err);

/* Work in progress: a new directory STORE/tmp/KIND.XXXXXX that exists as long as its lock is held. */
struct store_work {
    char *path;
    int lock;
};
int store_work_begin(const char *store, const char *kind, struct store_work *work, struct err *err);
/* Removes what is left of it. */
void store_work_end(struct store_work *work);

/* Removes the work directories whose maker is gone. EACCES: some hold files of other user ids. */
int store_clean(const char *store);

/* The names of those in STORE/tmp, without removing them. 0 or -errno. */
int store_find_abandoned(const char *store, struct names *found);

/* Moves the work directory to images/BUILD-ID, durably (its files have to be synced by the caller). That it exists
 * already is success: the same files are there; the work directory is then left to store_work_end. */
int store_publish(const char *store, struct store_work *work, const char *build_id, struct err *err);

/* The same for a directory of another part ("checkpoints"): EEXIST when the name is taken, the work is then left as it
 * is, as it is after any other failure. */
int store_publish_entry(const char *store, struct store_work *work, const char *part, const char *name, struct err *err);

/* 1 to 64 letters, digits, '.', '_', '-', not beginning with '.', '_' or '-'. EINVAL with a sentence, which calls it
 * `kind` ("tag"). */
int store_check_name(const char *kind, const char *name, struct err *err);
/* For a new one: it does not look like the beginning of a build id either. */
int store_check_tag(const char *tag, struct err *err);
int store_set_tag(const char *store, const char *tag, const char *build_id, struct err *err);
int store_remove_tag(const char *store, const char *tag, struct err *err);

/* The build id a tag stands for: 0, -ENOENT. */
int store_read_tag(const char *store, const char *tag, char build_id[DIGEST_HEX_SIZE]);

/* All build ids, all tags: sorted. */
int store_list_images(const char *store, struct names *build_ids, struct err *err);
int store_list_tags(const char *store, struct names *tags, struct err *err);

/* The build id that begins with `prefix` (at least 4 hex digits): 0, -ENOENT, -EEXIST (several). */
int store_find_prefix(const char *store, const char *prefix, char build_id[DIGEST_HEX_SIZE]);

/* The names in a part of the store ("checkpoints"), sorted; none where it has not been made yet. 0 or -errno. */
int store_list_part(const char *store, const char *part, struct names *out);

/* Asked with the directory locked against new users: may it go? 0, or -errno with *err. */
typedef int store_may_go_fn(const char *store, const char *name, struct err *err);

/* Removes a directory of a part unless somebody has it open (EBUSY) or `may_go` (NULL: nothing is asked) refuses: moved
 * away whole by one rename, then removed. ENOENT. */
int store_remove_entry(const char *store, const char *part, const char *name, store_may_go_fn *may_go, struct err *err);

/* Removes it also when somebody has it open. ENOENT. */
int store_drop_entry(const char *store, const char *part, const char *name, struct err *err);

/* Has somebody a shared lock on the manifest in this directory? Whoever asks for one at the same time waits. */
bool store_is_locked(const char *directory);

/* Is `lock` on the manifest that is in this directory now, and not in one that has made way for it? */
bool store_is_lock_of(const char *directory, int lock);

/* A shared lock on the manifest in a directory, which keeps it from being removed: a descriptor open for reading.
 * -errno; ENOENT also when it was removed meanwhile. */
int store_lock_manifest(const char *directory);

#endif
