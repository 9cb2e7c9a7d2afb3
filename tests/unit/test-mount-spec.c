/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

#include "src/mount_spec.h"

static void expect_read(const char *text, const char *source, const char *target, const char *patterns)
{
    struct mount_spec spec;
    struct err err = {0};
    cr_assert_eq(mount_spec_read("bind", text, &spec, &err), 0, "%s: %s", text, err.text);
    cr_expect_str_eq(spec.source, source);
    cr_expect_str_eq(spec.target, target);
    cr_expect_str_eq(spec.patterns ? spec.patterns : "", patterns);
    mount_spec_free(&spec);
}

Test(mount_spec, separators_that_belong_to_a_path_or_pattern)
{
    expect_read("p r\\,o\\:j:/srv/x:ro", "p r,o:j", "/srv/x", "");
    expect_read("a,b:/srv/x\\,y\\:z,w", "a,b", "/srv/x,y:z,w", "");
    expect_read("a\\b\\\\,c:/srv", "a\\b\\,c", "/srv", "");
    expect_read("a:/b:shadow=x\\,y,shadow=p\\:q\\ ", "a", "/b", "-x,y\n-p\\:q\\ \n");
}
