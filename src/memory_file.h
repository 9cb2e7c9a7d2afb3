/* SPDX-License-Identifier: Apache-2.0 */
/* Memory that is shared with processes that may be in the guest's hands. */
#ifndef GONDOLIN_SRC_MEMORY_FILE_H
#define GONDOLIN_SRC_MEMORY_FILE_H

#include <stddef.h>

/* A memory file of `size` bytes, sealed: who has it too could else make reading it fatal by shortening it. Returns the
 * descriptor (close-on-exec) or -errno (EMFILE, ENFILE, ENOMEM). */
int memory_file_new(const char *name, size_t size);

#endif
