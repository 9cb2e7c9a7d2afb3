/* SPDX-License-Identifier: Apache-2.0 */
#include "images/digest.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <openssl/evp.h>

#include "src/cleanup.h"

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

int digest_fd(int fd, char hex[DIGEST_HEX_SIZE])
{
    enum { CHUNK = 256 * 1024 };
    cleanup_free char *buffer = malloc(CHUNK);
    struct digest *digest = buffer ? digest_new() : NULL;
    if (!digest)
        return -ENOMEM;

    off_t offset = 0;
    ssize_t n;
    while ((n = pread(fd, buffer, CHUNK, offset)) > 0) {
        digest_add(digest, buffer, (size_t)n);
        offset += n;
    }
    int code = n < 0 ? errno : 0;
    digest_end(digest, hex);
    return -code;
}

bool digest_is_hex(const char *text)
{
    return strlen(text) == DIGEST_HEX_SIZE - 1 && strspn(text, "0123456789abcdef") == DIGEST_HEX_SIZE - 1;
}
