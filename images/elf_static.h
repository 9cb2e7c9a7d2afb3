/* SPDX-License-Identifier: Apache-2.0 */
/* Is a program one that runs in any root, without libraries? */
#ifndef GONDOLIN_IMAGES_ELF_STATIC_H
#define GONDOLIN_IMAGES_ELF_STATIC_H

/* 0: an ELF program of this machine's architecture that names no interpreter. -ENOEXEC: no such program; -ELIBACC: it
 * needs a dynamic loader; or -errno from reading. Format: elf(5). */
int elf_check_static(int fd);

#endif
