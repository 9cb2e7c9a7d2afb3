/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fuse.h>
#include <stdio.h>

#include "tests/unit/controlbench.h"

/* The result of looking up a name in bin/, or CB_PENDING. */
static int look(struct controlbench *b, const char *name)
{
    return cb_ask(b, FUSE_LOOKUP, cb_lookup(b, "bin"), name, strlen(name) + 1);
}

static bool was_asked(struct controlbench *b)
{
    return cb_agent_find(b, CTL_PROGRAMS);
}

static void answer(struct controlbench *b, const char *names)
{
    cb_agent_json(b, CTL_PROGRAMS, 0, names);
    cb_agent_json(b, CTL_PROGRAMS, 0, "[]");
}

Test(bin_dir, a_name_is_asked_for_once)
{
    struct controlbench *b = cb_new_jobs();
    cr_assert_eq(look(b, "make"), CB_PENDING);
    uint64_t make = b->unique;
    cr_assert_eq(look(b, "none"), CB_PENDING);
    uint64_t none = b->unique;
    cr_assert(was_asked(b));
    cr_expect_eq(b->payload_len, 0u);
    cb_agent_json(b, CTL_PROGRAMS, 0, "[\"cat\"]");
    cr_expect_eq(cb_result(b, make), CB_PENDING, "there is more to come");
    answer(b, "[\"make\"]");
    cr_expect_eq(cb_result(b, make), 0);
    cr_expect_eq(cb_result(b, none), -ENOENT);
    cr_expect_str_eq(cb_get(b, "bin/cat"), "#!/helper /mnt/bin/cat\n");
    cr_expect_not(was_asked(b), "what is known is not asked for");
    cr_expect_eq(look(b, "other"), CB_PENDING);
    cr_expect(was_asked(b));
    cb_free(b);
}

static size_t list(struct controlbench *b)
{
    struct fuse_open_in open = {0};
    uint64_t bin = cb_lookup(b, "bin");
    cr_assert_eq(cb_ask(b, FUSE_OPENDIR, bin, &open, sizeof open), CB_PENDING);
    uint64_t unique = b->unique;
    answer(b, "[\"b\",\"c\",\"d\"]");
    cr_assert_eq(cb_result(b, unique), 0);
    struct fuse_open_out opened;
    memcpy(&opened, cb_reply(b, unique)->body, sizeof opened);
    struct fuse_read_in in = {.fh = opened.fh, .size = 4096};
    cr_assert_eq(cb_ask(b, FUSE_READDIR, bin, &in, sizeof in), 0);
    return cb_reply(b, b->unique)->len;
}

Test(bin_dir, follows_the_guest_and_keeps_what_stays)
{
    struct controlbench *b = cb_new_jobs();
    look(b, "b");
    answer(b, "[\"a\",\"b\",\"c\"]");
    uint64_t c = cb_lookup(b, "bin/c");
    int a = cb_open(b, "bin/a", O_RDONLY);
    cr_assert(c && a >= 0);
    size_t len = list(b);
    cr_expect_eq(len, 5 * FUSE_DIRENT_ALIGN(FUSE_NAME_OFFSET + 1u), ". .. b c d");
    cr_expect_eq(cb_lookup(b, "bin/c"), c);
    cr_expect_neq(cb_lookup(b, "bin/d"), 0u);
    char text[100];
    cr_expect_gt(cb_read(b, a, text, 99), 1, "one that is gone but open can still be read");
    cr_expect_eq(look(b, "a"), CB_PENDING);
    cr_expect_eq(cb_open(b, "bin/b", O_WRONLY), -EACCES);
    cb_free(b);
}

Test(bin_dir, names_that_make_trouble_are_left_out)
{
    struct controlbench *b = cb_new_jobs();
    look(b, "ok");
    answer(b, "[\"..\",\".\",\"\",\"a/b\",\"new\\nline\",\"nul\\u0000l\",\"\\u001b[2J\",\"z\",\"ok\",\"ok\",\"[\"]");
    cr_expect_neq(cb_lookup(b, "bin/ok"), 0u);
    cr_expect_neq(cb_lookup(b, "bin/["), 0u);
    cr_expect_neq(cb_lookup(b, "bin/z"), 0u);
    for (const char *const *name = (const char *const[]){"a/b", "new\nline", "nul", NULL}; *name; name++)
        cr_expect_eq(look(b, *name), CB_PENDING, "%s", *name);
    cb_free(b);
}

Test(bin_dir, more_than_is_kept)
{
    struct controlbench *b = cb_new_jobs();
    look(b, "p00000");
    for (int piece = 0; piece < 60; piece++) {
        char names[2000] = "[\"p0\"";
        for (int i = 0; i < 100; i++)
            snprintf(names + strlen(names), sizeof names - strlen(names), ",\"p%05d\"", piece * 100 + i);
        strcat(names, "]");
        cb_agent_json(b, CTL_PROGRAMS, 0, names);
    }
    cb_agent_json(b, CTL_PROGRAMS, 0, "[]");
    cr_expect_neq(cb_lookup(b, "bin/p00000"), 0u);
    cr_expect_eq(look(b, "p05999"), CB_PENDING);
    cr_expect_not(b->link_closed);
    cb_free(b);
}

Test(bin_dir, a_guest_that_does_not_answer_is_not_waited_for)
{
    struct controlbench *b = cb_new_jobs();
    cr_assert_eq(look(b, "make"), CB_PENDING);
    uint64_t unique = b->unique;
    cb_wait(b, 1100);
    cr_expect_eq(cb_result(b, unique), -ENOENT);
    cr_expect_eq(look(b, "make"), -ENOENT, "and only once");
    answer(b, "[\"make\"]");
    cr_expect_eq(look(b, "make"), 0, "late is better than never");
    cb_free(b);
}

Test(bin_dir, who_waits_can_give_up_and_the_guest_can_go)
{
    struct controlbench *b = cb_new_jobs();
    cr_assert_eq(look(b, "make"), CB_PENDING);
    uint64_t first = b->unique;
    cr_assert_eq(look(b, "make"), CB_PENDING);
    uint64_t second = b->unique;
    cr_expect_eq(cb_interrupt(b, first), -EINTR);
    bin_dir_set_link(b->bin, NULL);
    cr_expect_eq(cb_result(b, second), -ENOENT);
    cr_expect_eq(look(b, "make"), -ENOENT);
    cb_free(b);
}

Test(bin_dir, impossible_frames_end_the_link)
{
    static const char *const frames[] = {"[1]", "{}", "[\"a\"", "[null]", ""};
    for (size_t i = 0; i < sizeof frames / sizeof *frames; i++) {
        struct controlbench *b = cb_new_jobs();
        cr_assert_eq(look(b, "make"), CB_PENDING);
        uint64_t unique = b->unique;
        cb_agent_json(b, CTL_PROGRAMS, 0, frames[i]);
        cr_expect(b->link_closed, "%s", frames[i]);
        cr_expect_eq(cb_result(b, unique), -ENOENT);
        cb_free(b);
    }
    struct controlbench *b = cb_new_jobs();
    cb_agent_json(b, CTL_PROGRAMS, 0, "[]");
    cr_expect(b->link_closed, "nobody has asked");
    cb_free(b);
}
