/* SPDX-License-Identifier: Apache-2.0 */
#include "images/bzimage.h"

#include <elf.h>
#include <endian.h>
#include <errno.h>
#include <stdint.h>
#include <string.h>

#include <archive.h>
#include <archive_entry.h>

#include "images/files.h"
#include "src/cleanup.h"

enum {
    SETUP_SECTS = 0x1f1,
    HEADER_MAGIC = 0x202,
    VERSION = 0x206,
    PAYLOAD_OFFSET = 0x248,
    PAYLOAD_LENGTH = 0x24c,
    HEADER_END = 0x250,
    FIRST_VERSION = 0x0208, /* the boot protocol that introduced the payload fields */
    MAX_KERNEL = 512 << 20,
    CHUNK = 256 * 1024,
};

static uint32_t le32(const uint8_t *at)
{
    uint32_t value;
    memcpy(&value, at, sizeof value);
    return le32toh(value);
}

static uint16_t le16(const uint8_t *at)
{
    return (uint16_t)(at[0] | at[1] << 8);
}

/* Finds the compressed payload, and the size it unpacks to, which is its last four bytes: part of the format for gzip,
 * appended by the kernel's build for all others. */
static int find_payload(const uint8_t *image, size_t size, const uint8_t **payload, size_t *length, uint32_t *unpacked)
{
    if (size < HEADER_END || memcmp(image + HEADER_MAGIC, "HdrS", 4) != 0 || le16(image + VERSION) < FIRST_VERSION)
        return -EINVAL;
    size_t sectors = image[SETUP_SECTS] ? image[SETUP_SECTS] : 4;
    size_t start = (sectors + 1) * 512;
    uint64_t offset = (uint64_t)start + le32(image + PAYLOAD_OFFSET);
    uint32_t total = le32(image + PAYLOAD_LENGTH);

    if (total < 8 || offset > size || total > size - offset)
        return -EINVAL;
    *payload = image + offset;
    *unpacked = le32(*payload + total - 4);
    *length = (*payload)[0] == 0x1f && (*payload)[1] == 0x8b ? total : total - 4;
    return 0;
}

static int check_elf(const void *start, size_t length)
{
    const Elf64_Ehdr *header = start;
    if (length < sizeof *header || memcmp(header->e_ident, ELFMAG, SELFMAG) != 0)
        return -EINVAL;
    return header->e_ident[EI_CLASS] == ELFCLASS64 ? 0 : -EINVAL;
}

/* Copies the one member of an opened raw archive to fd; it has to be an ELF file of exactly `expected` bytes. */
static int unpack(struct archive *archive, uint32_t expected, int fd)
{
    struct archive_entry *entry;
    cleanup_free char *buffer = malloc(CHUNK);
    uint64_t total = 0;
    la_ssize_t n = 0;

    if (!buffer)
        return -ENOMEM;
    if (archive_read_next_header(archive, &entry) != ARCHIVE_OK)
        return -EINVAL;
    while (total <= expected && (n = archive_read_data(archive, buffer, CHUNK)) > 0) {
        int code = total == 0 ? check_elf(buffer, (size_t)n) : 0;
        if (code == 0)
            code = files_write(fd, buffer, (size_t)n);
        if (code < 0)
            return code;
        total += (uint64_t)n;
    }
    return n >= 0 && total == expected ? 0 : -EINVAL;
}

int bzimage_extract(const void *image, size_t size, const char *what, int fd, struct err *err)
{
    const uint8_t *payload;
    size_t length;
    uint32_t unpacked;

    if (find_payload(image, size, &payload, &length, &unpacked) < 0)
        return err_set(err, EINVAL, "unpack kernel: %s: not a bzImage with a compressed payload", what);
    if (unpacked > MAX_KERNEL)
        return err_set(err, E2BIG, "unpack kernel: %s: claims to unpack to %u bytes", what, unpacked);

    struct archive *archive = archive_read_new();
    int code = -ENOMEM;
    if (archive) {
        archive_read_support_filter_all(archive);
        archive_read_support_format_raw(archive);
        code = archive_read_open_memory(archive, payload, length) == ARCHIVE_OK ? unpack(archive, unpacked, fd) : -EINVAL;
    }
    if (code == -EINVAL)
        err_set(err, EINVAL, "unpack kernel: %s: its payload is damaged or in no known compression (%s)", what,
                archive_error_string(archive) ? archive_error_string(archive) : "not an ELF kernel of the recorded size");
    else if (code < 0)
        err_errno(err, -code, "unpack kernel: %s", what);
    archive_read_free(archive);
    return code;
}
