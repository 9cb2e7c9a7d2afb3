/* SPDX-License-Identifier: Apache-2.0 */
#include "images/source.h"

#include <errno.h>
#include <string.h>

#include "src/nearest.h"

const struct image_source *const image_sources[] = {&source_debian, &source_busybox, NULL};

const struct image_source *image_source_find(const char *name, struct err *err)
{
    const char *names[sizeof image_sources / sizeof *image_sources] = {NULL};

    for (size_t i = 0; image_sources[i]; i++) {
        if (strcmp(image_sources[i]->name, name) == 0)
            return image_sources[i];
        names[i] = image_sources[i]->name;
    }
    const char *near = nearest_match(name, names);
    if (near)
        err_set(err, EINVAL, "unknown image source \"%.64s\"; did you mean %s?", name, near);
    else
        err_set(err, EINVAL, "unknown image source \"%.64s\"; known are: debian, busybox", name);
    return NULL;
}
