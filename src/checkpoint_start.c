/* SPDX-License-Identifier: Apache-2.0 */
#include "src/checkpoint_start.h"

#include <errno.h>
#include <stdlib.h>

#include "images/files.h"
#include "src/cleanup.h"
#include "src/compat.h"

int checkpoint_fits(const struct checkpoint *checkpoint, bool boot, const char *shape, struct err *err)
{
    return boot || checkpoint->manifest.kind == CHECKPOINT_DISK_ONLY ? 0 : compat_check(checkpoint, shape, err);
}

int checkpoint_read_jobs(const struct checkpoint *checkpoint, bool boot, struct job_records *out, struct err *err)
{
    *out = (struct job_records){0};
    if (boot || checkpoint->manifest.kind == CHECKPOINT_DISK_ONLY)
        return 0;
    cleanup_free char *path = files_format("%s/" CHECKPOINT_OUTPUT, checkpoint->directory);
    if (!path)
        return err_set(err, ENOMEM, "out of memory");
    out->jobs = json_object_get(checkpoint->manifest.jobs);
    out->output = files_read(path, JOB_RECORDS_OUTPUT_MAX, &out->output_len);
    if (!out->output && errno != ENOENT) {
        job_records_free(out);
        return err_errno(err, errno, "%s", path);
    }
    return 0;
}
