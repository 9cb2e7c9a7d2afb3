/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "images/manifest.h"

static const char digest_a[] = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
static const char digest_b[] = "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb";

static struct manifest sample(void)
{
    struct manifest m = {.arch = strdup("x86_64"), .created = strdup("2026-01-31T12:00:00Z"), .source = strdup("debian"),
                         .suite = strdup("bookworm"), .kernel_package = strdup("linux-image-6.1.0-1-cloud-amd64"),
                         .kernel_package_version = strdup("6.1.1-1"), .kernel_release = strdup("6.1.0-1-cloud-amd64"),
                         .agent_version = strdup("0.1.0"), .memory = 512 << 20, .kernel_append = strdup("quiet foo=bar")};
    strcpy(m.inputs, digest_b);
    strcpy(m.agent_sha256, digest_a);
    manifest_add_package(&m, "git", "1:2.39.5-0+deb12u3");
    manifest_add_file(&m, IMAGE_ROOTFS, 4294967296123, digest_a);
    manifest_add_file(&m, IMAGE_KERNEL, 1, digest_b);
    manifest_add_file(&m, IMAGE_INITRAMFS, 0, digest_b);
    manifest_compute_build_id(&m, m.build_id);
    return m;
}

static char *sample_text(void)
{
    struct manifest m = sample();
    char *text = manifest_format(&m);
    cr_assert_not_null(text);
    manifest_free(&m);
    return text;
}

/* The sample with the first occurrence of a text replaced by another. */
static char *changed(const char *from, const char *to)
{
    char *text = sample_text(), *at = strstr(text, from), *result = NULL;
    cr_assert_not_null(at, "%s is not in %s", from, text);
    cr_assert_gt(asprintf(&result, "%.*s%s%s", (int)(at - text), text, to, at + strlen(from)), 0);
    free(text);
    return result;
}

static void refuses(const char *from, const char *to, int code, const char *words)
{
    struct manifest m;
    struct err err = {0};
    char *text = changed(from, to);
    cr_expect_eq(manifest_parse(text, strlen(text), &m, &err), -code, "%s -> %s: %s", from, to, err.text);
    cr_expect(strstr(err.text, words), "%s -> %s says: %s", from, to, err.text);
    cr_expect_null(m.arch);
    free(text);
}

Test(manifest, what_is_written_is_read)
{
    struct manifest m;
    struct err err = {0};
    char *text = sample_text();
    cr_assert_eq(manifest_parse(text, strlen(text), &m, &err), 0, "%s", err.text);
    cr_expect_str_eq(m.arch, "x86_64");
    cr_expect_str_eq(m.suite, "bookworm");
    cr_expect_eq(m.package_count, 1);
    cr_expect_str_eq(m.packages[0].version, "1:2.39.5-0+deb12u3");
    cr_expect_eq(m.file_count, 3);
    cr_expect_eq(manifest_find_file(&m, IMAGE_ROOTFS)->size, 4294967296123);
    cr_expect_str_eq(manifest_find_file(&m, IMAGE_KERNEL)->sha256, digest_b);
    cr_expect_eq(m.memory, 512 << 20);
    cr_expect_str_eq(m.kernel_append, "quiet foo=bar");
    char *again = manifest_format(&m);
    cr_expect_str_eq(again, text);
    manifest_free(&m);
    free(again);
    free(text);
}

Test(manifest, build_id_depends_on_files_and_not_on_their_order)
{
    struct manifest m = sample(), other = {0};
    char id[DIGEST_HEX_SIZE];
    manifest_add_file(&other, IMAGE_INITRAMFS, 0, digest_b);
    manifest_add_file(&other, IMAGE_KERNEL, 1, digest_b);
    manifest_add_file(&other, IMAGE_ROOTFS, 4294967296123, digest_a);
    manifest_compute_build_id(&other, id);
    cr_expect_str_eq(id, m.build_id);
    other.files[1].size = 2;
    manifest_compute_build_id(&other, id);
    cr_expect_str_neq(id, m.build_id);
    manifest_free(&m);
    manifest_free(&other);
}

Test(manifest, every_member_is_checked)
{
    refuses("\"schema\":1", "\"schema\":2", EPROTONOSUPPORT, "another version of gondolin");
    refuses("\"schema\":1", "\"schema\":\"1\"", EINVAL, "schema");
    refuses("\"arch\":\"x86_64\"", "\"arch\":7", EINVAL, "arch");
    refuses("\"arch\":\"x86_64\"", "\"arch\":\"\"", EINVAL, "arch");
    refuses("\"arch\":\"x86_64\"", "\"arch\":\"x86 64\"", EINVAL, "arch");
    refuses("\"arch\":\"x86_64\"", "\"arch\":null", EINVAL, "arch");
    refuses("\"arch\":\"x86_64\"", "\"harch\":\"x86_64\"", EINVAL, "unknown member");
    refuses("\"version\":\"0.1.0\",", "", EINVAL, "version: is missing");
    refuses("\"version\":\"0.1.0\"", "\"version\":\"0.1\\u001b[2J\"", EINVAL, "version");
    refuses("\"quiet foo=bar\"", "\"quiet\\nfoo\"", EINVAL, "kernel_append");
    refuses("\"memory\":536870912", "\"memory\":-1", EINVAL, "memory");
    refuses("\"memory\":536870912", "\"memory\":1.5", EINVAL, "memory");
    refuses(digest_a, "AAAA", EINVAL, "sha256");
    refuses("\"size\":1\n", "\"size\":2\n", EINVAL, "build_id");
    refuses("\"name\":\"vmlinux\"", "\"name\":\"../vmlinux\"", EINVAL, "files");
    refuses("\"name\":\"vmlinux\"", "\"name\":\"-vmlinux\"", EINVAL, "files");
    refuses("\"name\":\"vmlinux\"", "\"name\":\"rootfs.qcow2\"", EINVAL, "files");
    refuses("\"name\":\"vmlinux\"", "\"name\":\"vmlinuz\"", EINVAL, "vmlinux is missing");
    refuses("\"packages\":[", "\"packages\":[3,", EINVAL, "packages");
}

Test(manifest, anything_else_than_one_object_is_refused)
{
    static const char *const texts[] = {"", "{", "[]", "null", "{}", "{\"schema\":1}", "{} {}", "\xff", "{\"schema\":1}x",
                                        "[[[[[[[[[[[[[[[[[[[[[["};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        struct manifest m;
        cr_expect_lt(manifest_parse(texts[i], strlen(texts[i]), &m, NULL), 0, "%s", texts[i]);
    }
}

Test(manifest, length_is_bounded)
{
    char *text = calloc(1, MANIFEST_MAX_SIZE + 2), *good = sample_text();
    struct manifest m;
    memset(text, ' ', MANIFEST_MAX_SIZE + 1);
    memcpy(text, good, strlen(good));
    cr_expect_eq(manifest_parse(text, MANIFEST_MAX_SIZE, &m, NULL), 0);
    manifest_free(&m);
    cr_expect_eq(manifest_parse(text, MANIFEST_MAX_SIZE + 1, &m, NULL), -EINVAL);
    free(text);
    free(good);
}
