/* SPDX-License-Identifier: Apache-2.0 */
#include "images/checkpoint_verify.h"

#include <errno.h>
#include <fcntl.h>

#include "images/checkpoint_internal.h"
#include "images/files.h"
#include "src/cleanup.h"
#include "vmm/qcow2.h"

static int check_structure(void *data, const char *directory, const struct checkpoint_manifest *manifest, struct err *err)
{
    unsigned layers = checkpoint_layers(manifest);
    (void)data;
    for (unsigned i = 0; i <= layers; i++) {
        char name[CHECKPOINT_DISK_NAME_SIZE];
        struct err own = {0};
        checkpoint_disk_name(i, name);
        cleanup_free char *path = files_format("%s/%s", directory, name);
        cleanup_close int fd = path ? open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW) : -1;
        if (fd < 0)
            return err_errno(err, errno, "%s/%s", directory, name);
        int code = qcow2_check(fd, -1, &own);
        if (code < 0)
            return err_set(err, -code, "%s: %s", path, own.text);
    }
    return 0;
}

int checkpoint_verify(const char *store, const char *name, struct err *err)
{
    struct checkpoint c;
    struct err own = {0};
    int code = checkpoint_open(store, name, true, &c, err);
    if (code < 0)
        return code;
    code = checkpoint_each_below(store, c.directory, &c.manifest, check_structure, NULL, &own);
    checkpoint_close(&c);
    return code < 0 ? err_set(err, -code, "checkpoint %s: %s", name, own.text) : 0;
}
