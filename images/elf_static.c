/* SPDX-License-Identifier: Apache-2.0 */
#include "images/elf_static.h"

#include <elf.h>
#include <errno.h>
#include <string.h>
#include <unistd.h>

#if defined(__x86_64__)
#define OWN_MACHINE EM_X86_64
#elif defined(__aarch64__)
#define OWN_MACHINE EM_AARCH64
#else
#error "which ELF machine is this?"
#endif

enum { MAX_PROGRAM_HEADERS = 128 };

int elf_check_static(int fd)
{
    Elf64_Ehdr header;
    ssize_t n = pread(fd, &header, sizeof header, 0);

    if (n < 0)
        return -errno;
    if (n != sizeof header || memcmp(header.e_ident, ELFMAG, SELFMAG) != 0 || header.e_ident[EI_CLASS] != ELFCLASS64 ||
        header.e_machine != OWN_MACHINE || header.e_phentsize != sizeof(Elf64_Phdr) ||
        header.e_phnum > MAX_PROGRAM_HEADERS)
        return -ENOEXEC;
    for (unsigned i = 0; i < header.e_phnum; i++) {
        Elf64_Phdr program;
        n = pread(fd, &program, sizeof program, (off_t)(header.e_phoff + i * sizeof program));
        if (n != sizeof program)
            return n < 0 ? -errno : -ENOEXEC;
        if (program.p_type == PT_INTERP)
            return -ELIBACC;
    }
    return 0;
}
