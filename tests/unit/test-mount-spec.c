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

static void expect_refused(int (*read_one)(const char *, const char *, struct mount_spec *, struct err *), const char *text,
                           const char *words)
{
    struct mount_spec spec;
    struct err err = {0};
    cr_assert_lt(read_one("mount", text, &spec, &err), 0, "%s", text);
    cr_expect(strstr(err.text, words), "%s: %s", text, err.text);
}

Test(mount_spec, separators_that_belong_to_a_path_or_pattern)
{
    expect_read("p r\\,o\\:j:/srv/x:ro", "p r,o:j", "/srv/x", "");
    expect_read("a,b:/srv/x\\,y\\:z,w", "a,b", "/srv/x,y:z,w", "");
    expect_read("a\\b\\\\,c:/srv", "a\\b\\,c", "/srv", "");
    expect_read("a:/b:shadow=x\\,y,shadow=p\\:q\\ ", "a", "/b", "-x,y\n-p\\:q\\ \n");
}

Test(mount_spec, targets_are_tidied)
{
    expect_read("a://srv///x.y/..z//", "a", "/srv/x.y/..z", "");
    expect_refused(mount_spec_read, "a:/srv/../x", ". and .. cannot be");
    expect_refused(mount_spec_read, "a:/srv/.", ". and .. cannot be");
    expect_refused(mount_spec_read, "a:///", "the root of the guest");
}

Test(mount_spec, refusals_say_what_is_wrong)
{
    expect_refused(mount_spec_read, "a:/b:ro=1", "mount: ro takes no value");
    expect_refused(mount_spec_read, "a:/b:owner", "mount: owner: its value is missing");
    expect_refused(mount_spec_read, "a:/b:roo", "unknown option \"roo\"; did you mean ro?");
    expect_refused(mount_spec_bind, "/proc:/srv/p:ro", "/proc is not served");
    expect_refused(mount_spec_bind, "/proc/self/status:/srv/p", "/proc is not served");
    expect_refused(mount_spec_memory, "/x:size=1", "1 is too little; at least 16K is needed");
}
