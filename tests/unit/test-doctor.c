/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include <criterion/criterion.h>
#include <ctype.h>
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "src/doctor.h"

static void fine(struct doctor_item *item)
{
    doctor_ok(item, "all %s", "well");
}

static void poor(struct doctor_item *item)
{
    doctor_warn(item, "buy a faster one", "slow");
}

static void dead(struct doctor_item *item)
{
    doctor_fail(item, NULL, "broken \"%d\"", 7);
}

static const struct doctor_check checks[] = {{"a", fine}, {"long-name", poor}, {"c", dead}, {NULL, NULL}};

Test(doctor, a_warning_leaves_it_usable_and_a_failure_does_not)
{
    struct doctor_item items[DOCTOR_MAX_ITEMS];
    cr_assert_eq(doctor_run(checks, items, 0), 3);
    cr_assert(doctor_usable(items, 0));
    cr_assert(doctor_usable(items, 2));
    cr_assert_not(doctor_usable(items, 3));
}

Test(doctor, text_is_aligned_and_names_the_fix)
{
    struct doctor_item items[DOCTOR_MAX_ITEMS];
    char *text = NULL;
    size_t size = 0;
    FILE *to = open_memstream(&text, &size);
    doctor_print(to, items, doctor_run(checks, items, 0));
    fclose(to);
    cr_assert_str_eq(text, "ok    a          all well\n"
                           "warn  long-name  slow\n"
                           "                 fix: buy a faster one\n"
                           "fail  c          broken \"7\"\n"
                           "\ngondolin cannot be used here until what failed is fixed.\n");
    free(text);
}

Test(doctor, json_has_every_member)
{
    struct doctor_item items[DOCTOR_MAX_ITEMS];
    char *text = NULL;
    size_t size = 0;
    FILE *to = open_memstream(&text, &size);
    doctor_print_json(to, items, doctor_run(checks, items, 0));
    fclose(to);
    struct json_object *report = json_tokener_parse(text);
    cr_assert_not(json_object_get_boolean(json_object_object_get(report, "usable")));
    struct json_object *list = json_object_object_get(report, "checks");
    cr_assert_eq(json_object_array_length(list), 3);
    struct json_object *second = json_object_array_get_idx(list, 1);
    cr_assert_str_eq(json_object_get_string(json_object_object_get(second, "name")), "long-name");
    cr_assert_str_eq(json_object_get_string(json_object_object_get(second, "verdict")), "warn");
    cr_assert_str_eq(json_object_get_string(json_object_object_get(second, "reason")), "slow");
    cr_assert_str_eq(json_object_get_string(json_object_object_get(second, "fix")), "buy a faster one");
    json_object_put(report);
    free(text);
}

static void check_names(const struct doctor_check *table, const struct doctor_check *other)
{
    for (; table->name; table++) {
        for (const char *c = table->name; *c; c++)
            cr_assert(islower((unsigned char)*c) || isdigit((unsigned char)*c) || *c == '-', "%s", table->name);
        for (const struct doctor_check *o = other; o->name; o++)
            cr_assert(o == table || strcmp(o->name, table->name) != 0, "%s is there twice", table->name);
    }
}

Test(doctor, names_are_plain_words_and_unique)
{
    check_names(doctor_tool_checks, doctor_tool_checks);
    check_names(doctor_tool_checks, doctor_host_checks);
    check_names(doctor_host_checks, doctor_host_checks);
}

static struct doctor_item check_one(const struct doctor_check *table, const char *name)
{
    struct doctor_item item = {.name = name};
    for (; table->name; table++) {
        if (!strcmp(table->name, name))
            table->run(&item);
    }
    cr_assert(*item.reason, "%s was not found or gave no reason", name);
    return item;
}

Test(doctor, missing_programs_are_named_with_their_package)
{
    setenv("PATH", "/no/such/directory", 1);
    struct doctor_item item = check_one(doctor_tool_checks, "qemu");
    cr_assert_eq(item.verdict, DOCTOR_FAIL);
    cr_assert(strstr(item.fix, "apt-get install qemu-system-"), "%s", item.fix);
    item = check_one(doctor_tool_checks, "qemu-img");
    cr_assert_eq(item.verdict, DOCTOR_FAIL);
    cr_assert(strstr(item.fix, "qemu-utils"));
    cr_assert_eq(check_one(doctor_tool_checks, "mmdebstrap").verdict, DOCTOR_WARN);
    cr_assert_eq(check_one(doctor_tool_checks, "libguestfs").verdict, DOCTOR_WARN);
    cr_assert_eq(check_one(doctor_tool_checks, "busybox").verdict, DOCTOR_OK);
}

Test(doctor, a_qemu_that_does_not_start_fails_with_its_own_words)
{
    char directory[] = "/tmp/test-doctor-XXXXXX", command[256];
    cr_assert_not_null(mkdtemp(directory));
    snprintf(command, sizeof command,
             "f=%s/qemu-system-$(uname -m); printf '#!/bin/sh\\necho seccomp support is disabled >&2; exit 1' >$f; "
             "chmod +x $f",
             directory);
    cr_assert_eq(system(command), 0);
    setenv("PATH", directory, 1);
    struct doctor_item item = check_one(doctor_tool_checks, "qemu");
    setenv("PATH", "/usr/bin:/bin", 1);
    snprintf(command, sizeof command, "rm -r %s", directory);
    cr_assert_eq(system(command), 0);
    cr_assert_eq(item.verdict, DOCTOR_FAIL);
    cr_assert(strstr(item.reason, "seccomp support is disabled"), "%s", item.reason);
}

Test(doctor, limits_and_places)
{
    setenv("GONDOLIN_STORE", "/proc/no/store", 1);
    cr_assert_eq(check_one(doctor_tool_checks, "store").verdict, DOCTOR_FAIL);
    setenv("XDG_RUNTIME_DIR", "/no/such/directory", 1);
    cr_assert_eq(check_one(doctor_tool_checks, "runtime-directory").verdict, DOCTOR_FAIL);
    const struct rlimit few = {200, 200}, some = {1000, 1000};
    setrlimit(RLIMIT_NOFILE, &some);
    cr_assert_eq(check_one(doctor_host_checks, "open-files").verdict, DOCTOR_WARN);
    setrlimit(RLIMIT_NOFILE, &few);
    cr_assert_eq(check_one(doctor_host_checks, "open-files").verdict, DOCTOR_FAIL);
}

Test(doctor, the_acceleration_verdict_is_a_warning_at_most)
{
    setenv("GONDOLIN_ACCEL", "tcg", 1);
    cr_assert_eq(check_one(doctor_host_checks, "kvm").verdict, DOCTOR_WARN);
    setenv("GONDOLIN_ACCEL", "kvm", 1);
    cr_assert_eq(check_one(doctor_host_checks, "kvm").verdict, DOCTOR_OK);
}
