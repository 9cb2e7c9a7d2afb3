/* SPDX-License-Identifier: Apache-2.0 */
#include "images/digest.h"

#include <endian.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <openssl/evp.h>

#include "src/cleanup.h"

enum { SPARSE_BLOCK = 64 * 1024 };

struct digest {
    EVP_MD_CTX *context;
    bool failed; /* OpenSSL refused once: the result would be wrong */
};

struct digest *digest_new(void)
{
    struct digest *digest = calloc(1, sizeof *digest);
    if (!digest)
        return NULL;
    digest->context = EVP_MD_CTX_new();
    if (!digest->context || EVP_DigestInit_ex(digest->context, EVP_sha256(), NULL) != 1) {
        EVP_MD_CTX_free(digest->context);
        free(digest);
        return NULL;
    }
    return digest;
}

void digest_add(struct digest *digest, const void *bytes, size_t length)
{
    if (EVP_DigestUpdate(digest->context, bytes, length) != 1)
        digest->failed = true;
}

void digest_add_string(struct digest *digest, const char *string)
{
    if (!string)
        string = "";
    digest_add(digest, string, strlen(string) + 1);
}

void digest_end(struct digest *digest, char hex[DIGEST_HEX_SIZE])
{
    unsigned char raw[EVP_MAX_MD_SIZE];
    unsigned size = 0;

    /* Nothing in memory can be trusted any more when a hash over memory fails. */
    if (EVP_DigestFinal_ex(digest->context, raw, &size) != 1 || digest->failed || size != 32)
        abort();
    for (unsigned i = 0; i < size; i++)
        snprintf(hex + 2 * (size_t)i, 3, "%02x", raw[i]);
    EVP_MD_CTX_free(digest->context);
    free(digest);
}

int digest_fd(int fd, const struct interrupt *interrupt, char hex[DIGEST_HEX_SIZE])
{
    enum { CHUNK = 256 * 1024 };
    cleanup_free char *buffer = malloc(CHUNK);
    struct digest *digest = buffer ? digest_new() : NULL;
    if (!digest)
        return -ENOMEM;

    off_t offset = 0;
    ssize_t n;
    int code = 0;
    while (code == 0 && (n = pread(fd, buffer, CHUNK, offset)) != 0) {
        code = n < 0 ? -errno : interrupt_look(interrupt);
        digest_add(digest, buffer, n < 0 ? 0 : (size_t)n);
        offset += n;
    }
    digest_end(digest, hex);
    return code;
}

static bool is_zero(const unsigned char *bytes, size_t length)
{
    return length == 0 || (bytes[0] == 0 && memcmp(bytes, bytes + 1, length - 1) == 0);
}

/* The whole of a block, short at the end of the file only. */
static ssize_t read_block(int fd, unsigned char *block, uint64_t index)
{
    size_t have = 0;
    ssize_t n = 1;
    while (have < SPARSE_BLOCK && n > 0) {
        n = pread(fd, block + have, SPARSE_BLOCK - have, (off_t)(index * SPARSE_BLOCK + have));
        have += n > 0 ? (size_t)n : 0;
    }
    return n < 0 ? -errno : (ssize_t)have;
}

static int add_blocks(struct digest *digest, int fd, const struct interrupt *interrupt, unsigned char *block, uint64_t from,
                      uint64_t to)
{
    for (uint64_t i = from; i < to; i++) {
        const uint64_t number = htole64(i);
        int code = interrupt_look(interrupt);
        ssize_t n = code < 0 ? code : read_block(fd, block, i);
        if (n < 0)
            return (int)n;
        if (is_zero(block, (size_t)n))
            continue;
        digest_add(digest, &number, sizeof number);
        digest_add(digest, block, (size_t)n);
    }
    return 0;
}

static int add_sparse(struct digest *digest, int fd, const struct interrupt *interrupt, off_t size)
{
    cleanup_free unsigned char *block = malloc(SPARSE_BLOCK);
    uint64_t next = 0; /* the first block that has not been looked at */
    int code = block ? 0 : -ENOMEM;
    while (code == 0 && (off_t)(next * SPARSE_BLOCK) < size) {
        off_t begin = lseek(fd, (off_t)(next * SPARSE_BLOCK), SEEK_DATA);
        if (begin < 0 && errno == ENXIO)
            break; /* nothing but a hole is left */
        off_t end = begin < 0 ? -1 : lseek(fd, begin, SEEK_HOLE);
        if (end < 0)
            return -errno;
        uint64_t from = (uint64_t)begin / SPARSE_BLOCK, to = ((uint64_t)end + SPARSE_BLOCK - 1) / SPARSE_BLOCK;
        code = add_blocks(digest, fd, interrupt, block, from, to);
        next = to;
    }
    return code;
}

int digest_sparse_fd(int fd, const struct interrupt *interrupt, char hex[DIGEST_HEX_SIZE])
{
    struct stat st;
    if (fstat(fd, &st) < 0)
        return -errno;
    struct digest *digest = digest_new();
    if (!digest)
        return -ENOMEM;
    int code = add_sparse(digest, fd, interrupt, st.st_size);
    const uint64_t size = htole64((uint64_t)st.st_size);
    digest_add(digest, &size, sizeof size);
    digest_end(digest, hex);
    return code;
}

bool digest_is_hex(const char *text)
{
    return strlen(text) == DIGEST_HEX_SIZE - 1 && strspn(text, "0123456789abcdef") == DIGEST_HEX_SIZE - 1;
}
