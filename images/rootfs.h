/* SPDX-License-Identifier: Apache-2.0 */
/* Composes a root disk: a source writes its tree as a tar stream in one process while this one starts the appliance, and
 * then unpacks the stream into the disk. No copy of the tree is kept on the host's disk. */
#ifndef GONDOLIN_IMAGES_ROOTFS_H
#define GONDOLIN_IMAGES_ROOTFS_H

#include "images/disk.h"
#include "images/source.h"
#include "src/err.h"

int rootfs_build(const struct image_source *source, const struct source_job *source_job, const struct disk_job *disk_job,
                 struct err *err);

#endif
