/* SPDX-License-Identifier: Apache-2.0 */
/* Root disks: a qcow2 file with one ext4 file system on the whole of it, made and filled by libguestfs. Whatever the tree
 * contains, only the appliance's kernel sees it as a file system. */
#ifndef GONDOLIN_IMAGES_DISK_H
#define GONDOLIN_IMAGES_DISK_H

#include <stdbool.h>
#include <stdint.h>

#include "images/contain.h"
#include "images/kernel.h"
#include "src/err.h"

struct disk_job {
    const char *path; /* of the new qcow2 file */
    uint64_t size;    /* virtual, bytes */
    const char *store; /* its cache keeps the appliance */
    const char *work;  /* a directory for temporary files, removed by the caller */
    const struct kernel *kernel;
    const struct contained *contained;
    bool quiet_start; /* the start is not reported: something else is, meanwhile */
};

struct disk;

/* Makes the file, starts the appliance and makes the file system. */
int disk_open(const struct disk_job *job, struct disk **out, struct err *err);

/* Unpacks the tar stream that `fd` (a pipe's reading end) gives. ENOSPC: the disk is too small; or the host's file
 * system is full. */
int disk_fill(struct disk *disk, int fd, struct err *err);

/* Unmounts, makes sure that everything has reached the file, stops the appliance. Frees in every case. */
int disk_close(struct disk *disk, struct err *err);

/* Stops the appliance and frees, after a failure. NULL is ignored. */
void disk_abandon(struct disk *disk);

#endif
