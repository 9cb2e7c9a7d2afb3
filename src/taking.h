/* SPDX-License-Identifier: Apache-2.0 */
/* A checkpoint (or template) being taken: from the request to the answer in src/checkpoint_take.c, as files in
 * src/checkpoint_files.c. */
#ifndef GONDOLIN_SRC_TAKING_H
#define GONDOLIN_SRC_TAKING_H

#include "images/checkpoint.h"
#include "images/names.h"
#include "images/store.h"
#include "src/supervisor_internal.h"

struct taking {
    struct operation operation;
    struct supervisor *s;
    char *name; /* NULL: a template */
    bool disk_only, merge, cancelled;
    bool freezing, asked, frozen; /* wants the file systems frozen, has said so, they are */
    bool publishing;
    struct control_request *request; /* NULL: nobody waits (any more) */
    size_t request_len;              /* 0: a mkdir */
    struct timer *limit;
    uint64_t quiet_us, pause_us;
    char *overlay;

    /* For the thread, which owns this while it works. */
    struct store_work work;
    struct checkpoint_manifest manifest;
    struct job_records records;
    int mounts_fd;             /* what is open of the files of the host; -1: nothing */
    struct json_object *mounts;
    struct names disks;        /* of the machine, that belong to no checkpoint yet: the newest first */
    int template_disk;         /* what they lie on, when that is a template; -1 */
    char *bottom;              /* how the lowest disk names what it lies on */
    char *root;                /* all become one disk on this file; NULL: they stay as they are */
    char *key;
    struct checkpoint result;
    struct err err;
};

/* What is known of it goes into the manifest; and which disks of the machine belong to it. A failure is left in
 * taking->err. */
void taking_describe(struct taking *taking, const struct vmm_save_report *report);
/* In a thread, for a struct taking: links the disks, gives them the names by which they find each other, and has
 * everything digested, synced and published. A failure is left in err. */
void taking_publish(void *taking);
/* What the machine writes from now on lies on what was published. */
void taking_adopt(struct taking *taking);

#endif
