/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <errno.h>
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "images/checkpoint.h"

static const char digest[] = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";

static char *sample_text(void)
{
    struct checkpoint_manifest m = {.kind = CHECKPOINT_FULL, .created = strdup("2026-01-31T12:00:00Z"),
                                    .sandbox = strdup("my böx"), .parent = strdup("before"),
                                    .shape = strdup("vmm qemu\nversion 7.2\n"), .cpu = strdup("max"), .memory = 1 << 30,
                                    .cpus = 2, .agent_protocol = 3, .pause_us = 12345, .total_us = 23456,
                                    .method = strdup("sparse copy"),
                                    .jobs = json_tokener_parse("[{\"name\":\"1\",\"stdout\":{\"held\":5},"
                                                               "\"stderr\":{\"held\":2}}]")};
    strcpy(m.build_id, digest);
    manifest_files_add(m.files, &m.file_count, "disk.qcow2", 1 << 20, digest);
    manifest_files_add(m.files, &m.file_count, "layer-1.qcow2", 1 << 20, digest);
    manifest_files_add(m.files, &m.file_count, "ram", 1 << 30, digest);
    manifest_files_add(m.files, &m.file_count, "state", 70000, digest);
    manifest_files_add(m.files, &m.file_count, "output", 7, digest);
    char *text = checkpoint_manifest_format(&m);
    cr_assert_not_null(text);
    checkpoint_manifest_free(&m);
    return text;
}

static void refuses(const char *from, const char *to, int code, const char *words)
{
    struct checkpoint_manifest m;
    struct err err = {0};
    char *text = sample_text(), *at = strstr(text, from), *changed = NULL;
    cr_assert_not_null(at, "%s is not in %s", from, text);
    cr_assert_gt(asprintf(&changed, "%.*s%s%s", (int)(at - text), text, to, at + strlen(from)), 0);
    cr_expect_eq(checkpoint_manifest_parse(changed, strlen(changed), &m, &err), -code, "%s -> %s: %s", from, to, err.text);
    cr_expect(strstr(err.text, words), "%s -> %s says: %s", from, to, err.text);
    cr_expect_null(m.created);
    free(changed);
    free(text);
}

Test(checkpoint_manifest, what_is_written_is_read)
{
    struct checkpoint_manifest m;
    struct err err = {0};
    char *text = sample_text();
    cr_assert_eq(checkpoint_manifest_parse(text, strlen(text), &m, &err), 0, "%s", err.text);
    cr_expect_str_eq(m.sandbox, "my böx");
    cr_expect_str_eq(m.shape, "vmm qemu\nversion 7.2\n");
    cr_expect_str_eq(m.parent, "before");
    cr_expect_null(m.vmm);
    cr_expect_eq(m.memory, 1 << 30);
    cr_expect_eq(m.pause_us, 12345);
    cr_expect_eq(m.file_count, 5);
    cr_expect_eq(json_object_array_length(m.jobs), 1);
    char *again = checkpoint_manifest_format(&m);
    cr_expect_str_eq(again, text);
    checkpoint_manifest_free(&m);
    free(again);
    free(text);
}

Test(checkpoint_manifest, what_does_not_belong_there_is_refused)
{
    refuses("\"schema\":1", "\"schema\":2", EPROTONOSUPPORT, "another version");
    refuses("\"full\"", "\"half\"", EINVAL, "kind");
    refuses("\"full\"", "\"disk\"", EINVAL, "files");
    refuses("\"before\"", "\"../before\"", EINVAL, "parent");
    refuses("\"before\"", "\"..\"", EINVAL, "parent");
    refuses("\"parent\"", "\"image\"", EINVAL, "absolute path");
    refuses("\"parent\"", "\"root_disk\"", EINVAL, "absolute path");
    refuses("\"parent\"", "\"father\"", EINVAL, "unknown member");
    refuses("my b", "my\\u0001b", EINVAL, "sandbox");
    refuses("layer-1", "layer-2", EINVAL, "files");
    refuses("layer-1", "../x", EINVAL, "files");
    refuses("layer-1", "disk", EINVAL, "twice");
    refuses("disk.qcow2", "disk.qcow3", EINVAL, "disk.qcow2 is missing");
    refuses("\"ram\"", "\"ran\"", EINVAL, "files");
    refuses("\"shape\"", "\"vmm\"", EINVAL, "");
    refuses("\"memory\":1073741824", "\"memory\":1073741823", EINVAL, "memory");
    refuses("\"size\":1073741824", "\"size\":1073741825", EINVAL, "memory");
    refuses("\"held\":5", "\"held\":6", EINVAL, "unread output");
    refuses("\"output\"", "\"mounts\"", EINVAL, "unread output");
    refuses("\"jobs\"", "\"mounts\"", EINVAL, "unread output");
    refuses("aaaa", "AAAA", EINVAL, "SHA-256");
    refuses("\"cpus\":2", "\"cpus\":-2", EINVAL, "cpus");
    refuses("[\n", "{}[\n", EINVAL, "not one JSON object");
}

Test(checkpoint_manifest, any_cut_is_refused)
{
    struct checkpoint_manifest m;
    char *text = sample_text();
    for (size_t length = 0; length + 2 < strlen(text); length++)
        cr_expect_lt(checkpoint_manifest_parse(text, length, &m, NULL), 0, "%zu bytes", length);
    free(text);
}
