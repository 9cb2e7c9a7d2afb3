/* SPDX-License-Identifier: Apache-2.0 */
/* What a hook program may write: a hello, or with 'A' first an answer, is taken and then says something sound, or refused
 * with a reason. With 'P' first: any path becomes one line of printable text from which the path can be had again.
 * SOURCES: fs/hook_line.c */
#include <errno.h>
#include <string.h>

#include "fs/hook_line.h"
#include "tests/fuzz/fuzz.h"

/* Undoes \uXXXX as a reader of JSON would: dcXX stands for a byte, the rest here is ASCII. */
static size_t read_back(const char *text, char *out)
{
    size_t len = 0;
    for (; *text != '"'; text++) {
        unsigned code;
        fuzz_require((unsigned char)*text >= ' ');
        if (*text != '\\') {
            out[len++] = *text;
            continue;
        }
        fuzz_require(sscanf(text, "\\u%4x", &code) == 1 && (code < 0x80 || code >> 8 == 0xdc));
        out[len++] = (char)code;
        text += 5;
    }
    return len;
}

static void write_path(const uint8_t *data, size_t size)
{
    char *path = strndup((const char *)data, size), *back = malloc(size + 1);
    const struct hook_event event = {.op = HOOK_UNLINK, .mount = "/m", .path = path};
    char *line = hook_event_line(1, &event, NULL);
    fuzz_require(path && back && line && strchr(line, '\n') == line + strlen(line) - 1);
    const char *text = strstr(line, "\"path\":\"");
    fuzz_require(text);
    size_t len = read_back(text + strlen("\"path\":\""), back);
    fuzz_require(len == strlen(path) && memcmp(back, path, len) == 0);
    free(line);
    free(back);
    free(path);
}

static void read_answer(const char *line, size_t size)
{
    struct hook_answer answer;
    char why[HOOK_WHY] = "";
    int rc = hook_read_answer(line, size, &answer, why);
    fuzz_require(rc == 0 || (rc == -EPROTO && why[0]));
    fuzz_require(rc < 0 || (answer.error >= 0 && answer.error < 512));
}

static void read_hello(const char *line, size_t size)
{
    struct hook_hello hello;
    char why[HOOK_WHY] = "";
    int rc = hook_read_hello(line, size, &hello, why);
    fuzz_require(rc == 0 || (rc == -EPROTO && why[0]));
    fuzz_require(rc < 0 || (hello.timeout_ms >= 1 && hello.timeout_ms <= HOOK_LONGEST_TIMEOUT_MS));
    fuzz_require(rc < 0 || hello.ops < UINT32_C(1) << HOOK_OPS);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char kind = size ? (char)data[0] : '\0';
    char *copy = malloc(size + 1); /* so that reading beyond the line is found */
    size_t skip = kind == 'A' || kind == 'P';
    fuzz_require(copy);
    memcpy(copy, data + skip, size - skip);
    copy = realloc(copy, size - skip ? size - skip : 1);
    fuzz_require(copy);
    if (kind == 'P')
        write_path((const uint8_t *)copy, size - skip);
    else if (kind == 'A')
        read_answer(copy, size - skip);
    else
        read_hello(copy, size - skip);
    free(copy);
    return 0;
}
