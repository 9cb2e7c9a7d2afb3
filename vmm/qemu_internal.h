/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the QEMU backend share. */
#ifndef GONDOLIN_VMM_QEMU_INTERNAL_H
#define GONDOLIN_VMM_QEMU_INTERNAL_H

#include "vmm/qemu_args.h"

/* The QEMU binary: --qemu, else qemu-system-ARCH of the image's architecture. malloc'd, or NULL with *err naming the
 * Debian package to install (ENOENT, EACCES). */
char *qemu_binary(const struct vmm_config *config, const struct qemu_arch *arch, struct err *err);

/* The acceleration that the configuration comes to. */
bool qemu_choose_kvm(const struct vmm_config *config, const struct qemu_arch *arch);

/* vmm_backend.probe, .check and .check_foreign. */
int qemu_probe(const struct vmm_config *config, struct err *err);
int qemu_check(const struct vmm_config *config, struct err *err);
int qemu_check_foreign(const char *machine, const char *cpu, struct err *err);

/* The part of it that is about config->load, which is not known yet when the rest is checked. */
int qemu_check_load(const struct vmm_config *config, struct err *err);

/* vmm_backend.shape. */
char *qemu_shape(const struct vmm_config *config, struct err *err);
char *qemu_boot_options(const struct vmm_config *config);

/* Makes the throw-away overlay that the root mode asks for: at config->overlay (VMM_ROOT_COW), or in an unlinked file
 * whose descriptor becomes *fd (VMM_ROOT_MEMORY; in TMPDIR, else /var/tmp). *fd is -1 in every other case. Returns 0 or -errno; nothing is left behind on failure. */
int qemu_overlay_create(const struct vmm_config *config, int *fd, struct err *err);

#endif
