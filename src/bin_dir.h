/* SPDX-License-Identifier: Apache-2.0 */
/* MNT/bin: a file for each program on the guest's PATH, which runs it there (src/bin_main.c). The guest is asked when the
 * directory is listed and when a name is looked up that is not known; whoever asked waits for the answer, but not for a
 * guest that is stuck. */
#ifndef GONDOLIN_SRC_BIN_DIR_H
#define GONDOLIN_SRC_BIN_DIR_H

#include "fs/control.h"
#include "src/agent_link.h"

struct bin_dir;

/* Adds the directory. `helper` is the absolute path of gondolin-bin; both strings are copied. NULL with errno. */
struct bin_dir *bin_dir_new(struct loop *loop, struct control *control, const char *helper, const char *mountpoint);
/* The tree may no longer be used. Requests that wait are left to control_abort_requests. */
void bin_dir_free(struct bin_dir *bin);
/* Whom to ask. NULL: nobody; what is known stays, and who waits gets that. */
void bin_dir_set_link(struct bin_dir *bin, struct agent_link *link);
/* Is an answer of the guest awaited? */
bool bin_dir_asks(const struct bin_dir *bin);
/* A CTL_PROGRAMS frame: 0, or -EPROTO when it is impossible. */
int bin_dir_frame(struct bin_dir *bin, const uint8_t *payload, size_t len);

#endif
