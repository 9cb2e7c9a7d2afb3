/* SPDX-License-Identifier: Apache-2.0 */
/* What is said of a checkpoint whose machine is not the one here. */
#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

#include "src/compat.h"
#include "src/proto.h"

static const char shape[] = "vmm qemu\nversion 7.2\nmemory 512\ndevice a,addr=1\ndevice b,addr=2\n";

static int check(const char *was, uint64_t protocol, const char *here, struct err *err)
{
    struct checkpoint c = {.name = "one", .manifest = {.shape = (char *)was, .agent_protocol = protocol}};
    *err = (struct err){0};
    return compat_check(&c, here, err);
}

Test(compat, the_same_is_compatible)
{
    struct err err;
    cr_expect_eq(check(shape, CTL_VERSION, shape, &err), 0);
    cr_expect_eq(check(shape, CTL_VERSION, "memory 512\ndevice b,addr=2\nvmm qemu\ndevice a,addr=1\nversion 7.2", &err), 0,
                 "in any order");
}

Test(compat, everything_that_differs_is_named)
{
    struct err err;
    cr_expect_eq(check(shape, CTL_VERSION + 1, "vmm qemu\nversion 8.0\nmemory 512\ndevice a,addr=1\nnew thing\n", &err),
                 -EOPNOTSUPP);
    const char *const said[] = {"checkpoint one", "agent protocol", "version 7.2, here 8.0", "device b,addr=2", "here also new thing",
                                "disk"};
    for (size_t i = 0; i < sizeof said / sizeof *said; i++)
        cr_expect(strstr(err.text, said[i]), "%s: %s", said[i], err.text);
    cr_expect_not(strstr(err.text, "memory"), "%s", err.text);
}

Test(compat, a_checkpoint_without_a_shape_is_not_compatible)
{
    struct err err;
    cr_expect_eq(check(NULL, CTL_VERSION, shape, &err), -EOPNOTSUPP);
    cr_expect_eq(check("", CTL_VERSION, shape, &err), -EOPNOTSUPP);
}
