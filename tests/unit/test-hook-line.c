/* SPDX-License-Identifier: Apache-2.0 */
/* The lines between gondolin-vfs and a hook program. */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fs/hook_line.h"

static char why[HOOK_WHY];

static int hello(const char *line, struct hook_hello *out)
{
    return hook_read_hello(line, strlen(line), out, why);
}

static int answer(const char *line, struct hook_answer *out)
{
    return hook_read_answer(line, strlen(line), out, why);
}

Test(hook_line, a_hello_says_as_little_as_it_likes)
{
    struct hook_hello h;
    cr_assert_eq(hello("{\"hook\":1}", &h), 0, "%s", why);
    cr_expect(!h.decides && h.timeout_ms == HOOK_TIMEOUT_MS && h.ops == (UINT32_C(1) << HOOK_OPS) - 1);
    cr_assert_eq(hello(" { \"decides\" : true , \"ops\" : [ \"open\", \"write\" ], \"hook\":1, \"timeout_ms\":250}\r", &h), 0);
    cr_expect(h.decides && h.timeout_ms == 250 && h.ops == (1u << HOOK_OPEN | 1u << HOOK_WRITE));
    cr_assert_eq(hello("{\"hook\":1,\"ops\":[]}", &h), 0);
    cr_expect_eq(h.ops, 0);
}

Test(hook_line, every_operation_can_be_chosen_by_its_name)
{
    for (unsigned op = 0; op < HOOK_OPS; op++) {
        struct hook_hello h;
        char line[64];
        snprintf(line, sizeof line, "{\"hook\":1,\"ops\":[\"%s\"]}", hook_op_name(op));
        cr_assert_eq(hello(line, &h), 0, "%s: %s", line, why);
        cr_expect_eq(h.ops, UINT32_C(1) << op);
    }
}

Test(hook_line, what_is_no_hello_is_refused_with_a_reason)
{
    static const struct {
        const char *line, *reason;
    } bad[] = {
        {"", "'{' is missing"},
        {"hello", "'{' is missing"},
        {"{}", "\"hook\" is missing"},
        {"{\"hook\":2}", "has to be 1"},
        {"{\"hook\":1", "'}' is missing"},
        {"{\"hook\":1}}", "more than one"},
        {"{\"hook\":1,\"hook\":1}", "twice"},
        {"{\"hook\":1,\"decide\":true}", "unknown member \"decide\""},
        {"{\"hook\":1,\"decides\":1}", "true or false"},
        {"{\"hook\":1,\"timeout_ms\":0}", "has to be 1 to 60000"},
        {"{\"hook\":1,\"timeout_ms\":60001}", "has to be 1 to 60000"},
        {"{\"hook\":1,\"timeout_ms\":1.5}", "no integer"},
        {"{\"hook\":1,\"timeout_ms\":99999999999999999999}", "too large"},
        {"{\"hook\":1,\"ops\":[\"opne\"]}", "\"opne\", which is no operation"},
        {"{\"hook\":1,\"ops\":[\"open\",]}", "'\"' is missing"},
        {"{\"hook\":1,\"ops\":\"open\"}", "'[' is missing"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct hook_hello h;
        cr_expect_eq(hello(bad[i].line, &h), -EPROTO, "%s was taken", bad[i].line);
        cr_expect(strstr(why, bad[i].reason), "%s: %s", bad[i].line, why);
    }
}

Test(hook_line, an_answer_allows_or_has_an_error)
{
    struct hook_answer a;
    cr_assert_eq(answer("{\"id\":7,\"allow\":true}", &a), 0, "%s", why);
    cr_expect(a.id == 7 && a.error == 0);
    cr_assert_eq(answer("{\"errno\":\"EACCES\",\"id\":18446744073709551615}", &a), 0, "%s", why);
    cr_expect(a.id == UINT64_MAX && a.error == EACCES);
    cr_assert_eq(answer("{\"id\":8,\"errno\":28}", &a), 0, "%s", why);
    cr_expect_eq(a.error, ENOSPC);
    static const char *const bad[] = {
        "{\"id\":1}", "{\"allow\":true}", "{\"id\":1,\"allow\":false}", "{\"id\":1,\"allow\":true,\"errno\":13}",
        "{\"id\":1,\"errno\":0}", "{\"id\":1,\"errno\":41}", "{\"id\":1,\"errno\":512}", "{\"id\":1,\"errno\":\"EWHAT\"}",
        "{\"id\":-1,\"allow\":true}", "{\"id\":01,\"allow\":true}", "{\"id\":18446744073709551616,\"allow\":true}",
        "{\"id\":1,\"errno\":\"\"}", "[1]", "{\"id\":\"1\",\"allow\":true}"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        cr_expect_eq(answer(bad[i], &a), -EPROTO, "%s was taken", bad[i]);
}

static void expect_line(char *line, const char *expected)
{
    cr_expect_str_eq(line, expected);
    free(line);
}

Test(hook_line, events_have_what_belongs_to_them)
{
    struct hook_event event = {.op = HOOK_WRITE, .mount = "/srv", .path = "a/b"};
    const int64_t count = 4096, failed = -ENOENT;
    hook_event_number(&event, HOOK_OFFSET, UINT64_MAX);
    hook_event_number(&event, HOOK_SIZE, 4096);
    expect_line(hook_event_line(3, &event, &count),
                "{\"id\":3,\"op\":\"write\",\"mount\":\"/srv\",\"path\":\"a/b\",\"offset\":18446744073709551615,"
                "\"size\":4096,\"result\":4096}\n");
    event = (struct hook_event){.op = HOOK_RENAME, .mount = "/srv", .path = "a", .to = "b"};
    expect_line(hook_event_line(4, &event, NULL),
                "{\"id\":4,\"op\":\"rename\",\"mount\":\"/srv\",\"path\":\"a\",\"to\":\"b\"}\n");
    event = (struct hook_event){.op = HOOK_OPEN, .mount = "/srv", .path = "a", .access = "w", .truncate = true};
    expect_line(hook_event_line(5, &event, &failed),
                "{\"id\":5,\"op\":\"open\",\"mount\":\"/srv\",\"path\":\"a\",\"access\":\"w\",\"truncate\":true,"
                "\"result\":-2,\"errno\":\"ENOENT\"}\n");
    expect_line(hook_result_line(6, 0), "{\"id\":6,\"result\":0}\n");
}

Test(hook_line, any_bytes_of_a_path_can_be_said)
{
    struct hook_event event = {.op = HOOK_UNLINK, .mount = "/", .path = "q\"\\\n\t\x7f \xc3\xa9 \xff\xc3 \xed\xa0\x80"};
    expect_line(hook_event_line(1, &event, NULL),
                "{\"id\":1,\"op\":\"unlink\",\"mount\":\"/\",\"path\":\"q\\u0022\\u005c\\u000a\\u0009\\u007f \xc3\xa9 "
                "\\udcff\\udcc3 \\udced\\udca0\\udc80\"}\n");
}
