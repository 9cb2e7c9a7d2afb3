/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "src/nearest.h"
#include "vmm/vmm.h"

static const struct vmm_backend *const backends[] = {&vmm_qemu}; /* the default first */

enum { BACKENDS = sizeof backends / sizeof *backends };

static int unknown(const char *name, struct err *err)
{
    const char *names[BACKENDS + 1] = {NULL};
    char list[128] = "";
    for (size_t i = 0; i < BACKENDS; i++) {
        names[i] = backends[i]->name;
        size_t used = strlen(list);
        snprintf(list + used, sizeof list - used, "%s%s", i ? ", " : "", names[i]);
    }
    const char *near = nearest_match(name, names);
    if (near)
        return err_set(err, EINVAL, "--vmm %s: no such backend; did you mean \"%s\"?", name, near);
    return err_set(err, EINVAL, "--vmm %s: no such backend; known: %s", name, list);
}

const struct vmm_backend *vmm_backend_find(const char *name, struct err *err)
{
    if (!name)
        return backends[0];
    for (size_t i = 0; i < BACKENDS; i++) {
        if (!strcmp(backends[i]->name, name))
            return backends[i];
    }
    unknown(name, err);
    return NULL;
}
