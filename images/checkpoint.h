/* SPDX-License-Identifier: Apache-2.0 */
/* Checkpoints in the store; gondolin-checkpoint(1).
 *
 *   STORE/checkpoints/NAME/manifest.json   written last, never changed; users hold a shared flock on it
 *                          disk.qcow2      the guest's disk
 *                          layer-N.qcow2   what it lies on, where that is no other checkpoint's: its own hard links
 *                          ram, state      memory (sparse) and devices; full checkpoints only
 *                          output          what its jobs had printed and nobody had read yet; may be absent
 *                          mounts          what it had open of the files of the host (fs/worker_state.h); may be absent
 *                          description     free text, may be absent and may change
 *   STORE/templates/KEY/                   the same, made by mount for itself: a cache, least recently used goes first
 *
 * Each disk names the one below it by a name relative to its own directory (../PARENT/disk.qcow2, layer-1.qcow2,
 * ../../images/BUILD-ID/rootfs.qcow2), so that the store can be moved. A directory is made in STORE/tmp, synced and renamed:
 * a checkpoint is complete or absent. */
#ifndef GONDOLIN_IMAGES_CHECKPOINT_H
#define GONDOLIN_IMAGES_CHECKPOINT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "images/digest.h"
#include "images/manifest.h"
#include "images/names.h"
#include "images/store.h"
#include "src/err.h"

#define CHECKPOINT_DISK "disk.qcow2"
#define CHECKPOINT_LAYER "layer-%u.qcow2" /* from 1, the uppermost first */
#define CHECKPOINT_RAM "ram"
#define CHECKPOINT_STATE "state"
#define CHECKPOINT_OUTPUT "output" /* of its jobs, not read yet; may be absent */
#define CHECKPOINT_MOUNTS "mounts" /* what it has open of the files of the host; may be absent */
#define CHECKPOINT_DESCRIPTION "description"

enum {
    CHECKPOINT_SCHEMA = 1,
    CHECKPOINT_MANIFEST_MAX = 4 * 1024 * 1024, /* bytes; the jobs of a busy sandbox are most of it */
    CHECKPOINT_DESCRIPTION_MAX = 4096,
    CHECKPOINT_DISKS_MAX = 32, /* on one another, those of checkpoints below included, when a checkpoint is taken */
};

struct json_object;

enum checkpoint_kind { CHECKPOINT_FULL, CHECKPOINT_DISK_ONLY };

/* Strings are malloc'd and owned; those marked so may be NULL. */
struct checkpoint_manifest {
    enum checkpoint_kind kind;
    char *created;                  /* UTC, "2026-01-31T12:00:00Z" */
    char *sandbox;                  /* its name at the time */
    char build_id[DIGEST_HEX_SIZE]; /* of the image */
    char *image;                    /* may be NULL: the image is in the store; else its directory */
    char *root_disk;                /* may be NULL: the lowest disk is the image's; else the file (--root-disk) */
    char *root_disk_state;          /* may be NULL: not known; checkpoint_root_disk_state before the machine started */
    char *parent;                   /* may be NULL: the checkpoint whose disk is below this one's */

    /* Full ones: vmm_backend.shape of the machine, and the options that it was started with; NULL: not given. */
    char *shape;
    char *vmm, *machine, *accel, *cpu, *append;
    uint64_t memory; /* bytes */
    uint64_t cpus;
    uint64_t agent_protocol; /* CTL_VERSION */

    uint64_t pause_us, total_us;
    char *method;             /* how memory was copied; NULL for disk-only ones */
    struct json_object *jobs; /* array of src/job_record.h's objects, of which only the output is looked at; NULL: none */
    struct json_object *mounts; /* array of what host_mounts_describe says; not looked into here; NULL: none */

    struct manifest_file files[MANIFEST_MAX_FILES]; /* digests as digest_sparse_fd makes them */
    size_t file_count;
};

/* Reads JSON text from anywhere (an imported file, say), as strictly as manifest_parse. EINVAL with the member's name, or
 * EPROTONOSUPPORT for another schema version. On failure *out holds nothing. */
int checkpoint_manifest_parse(const char *text, size_t length, struct checkpoint_manifest *out, struct err *err);
/* As JSON text, malloc'd; NULL on ENOMEM. */
char *checkpoint_manifest_format(const struct checkpoint_manifest *manifest);
void checkpoint_manifest_free(struct checkpoint_manifest *manifest);

/* 1 to 64 letters, digits, '.', '_', '-', beginning with a letter or digit. EINVAL with a sentence. */
int checkpoint_check_name(const char *name, struct err *err);

/* An opened checkpoint or template: while lock_fd is open it cannot be removed. */
struct checkpoint {
    char *name; /* NULL for a template */
    char *directory;
    struct checkpoint_manifest manifest;
    int lock_fd; /* close-on-exec */
};

/* Finds a checkpoint and checks that its manifest is well formed, that its files and the disks below them, in other
 * checkpoints too, have the recorded sizes and digests (the error names the file), and that its image is there. Without
 * `verify` digests are computed only when a file has been touched since that was last done (images/verified.h). Errors:
 * ENOENT (names the nearest), EINVAL, EPROTONOSUPPORT, EBADMSG (damaged). *out is to be closed in case of success only. */
int checkpoint_open(const char *store, const char *name, bool verify, struct checkpoint *out, struct err *err);
void checkpoint_close(struct checkpoint *checkpoint);

/* Completes the work directory, in which everything but manifest.json lies (disk.qcow2 and, for a full one, ram and state):
 * fills manifest->files with their digests, writes and syncs it all, and renames it to NAME. On success *out is the opened
 * checkpoint, locked since before it could be seen, and the manifest is moved into it; on failure the work directory and the
 * manifest stay the caller's. EEXIST: the name is taken. ENOSPC. Blocks for as long as the disk takes. */
int checkpoint_publish(const char *store, struct store_work *work, const char *name, struct checkpoint_manifest *manifest,
                       struct checkpoint *out, struct err *err);

/* The name of disk number i, 0 being the uppermost one: "disk.qcow2", "layer-1.qcow2". */
enum { CHECKPOINT_DISK_NAME_SIZE = 32 };
void checkpoint_disk_name(unsigned i, char name[CHECKPOINT_DISK_NAME_SIZE]);

/* How disk number i has to name the one below it; malloc'd, NULL on ENOMEM. */
char *checkpoint_backing_name(const struct checkpoint_manifest *manifest, unsigned i);

/* How many disks it has, with those of the checkpoints below it. */
int checkpoint_count_disks(const char *store, const struct checkpoint *checkpoint, unsigned *count, struct err *err);
/* Makes one of disk.qcow2 in a work directory and all below it (which can be found by the names in their headers, besides
 * those beside it) down to the file `root`; the new one names that `backing`. By qemu-img, which takes its time. */
int checkpoint_merge_disks(const char *directory, const char *root, const char *backing, struct err *err);

/* What `root_disk` is now: nobody keeps it from being written to, and then what lies on it is damaged. malloc'd; NULL with
 * errno. */
char *checkpoint_root_disk_state(const char *root_disk);
/* Can it be read, and is it in that state still (NULL: not known)? EBADMSG. */
int checkpoint_check_root_disk(const char *root_disk, const char *state, struct err *err);

/* Is there one of that name (well formed or not)? */
bool checkpoint_exists(const char *store, const char *name);
/* 0 if there is one of that name; else EINVAL (no name for one), or ENOENT with the nearest name that there is. */
int checkpoint_require(const char *store, const char *name, struct err *err);
/* The names of all, sorted. */
int checkpoint_list(const char *store, struct names *names, struct err *err);
/* Reads a manifest without checking files. -errno with *err. */
int checkpoint_read_manifest(const char *store, const char *name, struct checkpoint_manifest *out, struct err *err);
/* For lists: reads a manifest, and looks at the sizes of the checkpoint's own files, which costs nothing. -errno with *err;
 * *out is to be freed in any case, and holds the manifest also where only a file is wrong. */
int checkpoint_look(const char *store, const char *name, struct checkpoint_manifest *out, struct err *err);
/* The names of the checkpoints whose parent is `name`. */
int checkpoint_children(const char *store, const char *name, struct names *children, struct err *err);
/* The names of the checkpoints that lie on an image, directly or not. */
int checkpoint_users_of_image(const char *store, const char *build_id, struct names *users, struct err *err);

/* Removes one unless others lie on it or somebody has it open: EBUSY, naming the checkpoints or the sandboxes (from the
 * session registry). ENOENT. Moved away whole by one rename, then removed. */
int checkpoint_remove(const char *store, const char *name, struct err *err);

/* The description, malloc'd, "" when there is none. Setting replaces the file whole; EMSGSIZE when it is too long. */
char *checkpoint_description(const char *store, const char *name);
int checkpoint_set_description(const char *store, const char *name, const char *text, struct err *err);

/* Templates, which have one disk; nothing of them is synced, so their digests are compared when they are first used after
 * each boot of the host. The key has only [0-9a-f]. Opening marks it as used now; ENOENT only where there is none: one whose
 * image is not where it was is damaged (EBADMSG). Publishing a key that is there already is success, *out being the one that
 * was there. After it, the least recently used go until no more than the limit is taken ($GONDOLIN_TEMPLATE_LIMIT as 512M or
 * 2G, default 4 GiB); those in use and the one just made stay. */
int template_open(const char *store, const char *key, struct checkpoint *out, struct err *err);
int template_publish(const char *store, struct store_work *work, const char *key, struct checkpoint_manifest *manifest,
                     struct checkpoint *out, struct err *err);
/* Removes a template, also one that is in use: who has it open keeps its files. ENOENT is success. */
int template_drop(const char *store, const char *key, struct err *err);

struct template_info {
    char key[DIGEST_HEX_SIZE];
    uint64_t bytes;   /* that its files take on the disk */
    int64_t used_s;   /* of the Unix epoch */
    bool in_use;
    char build_id[DIGEST_HEX_SIZE]; /* "" when its manifest cannot be read */
};
/* All, most recently used first; malloc'd. */
int template_list(const char *store, struct template_info **out, size_t *count, struct err *err);
/* Removes templates that nobody uses: all, or until no more than `limit` bytes are taken. *freed: bytes. */
int template_trim(const char *store, uint64_t limit, uint64_t *freed, struct err *err);

#endif
