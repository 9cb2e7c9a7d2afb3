/* SPDX-License-Identifier: Apache-2.0 */
/* A sandbox's control files as the command line uses them: whole reads and writes, errors in the sandbox's own words.
 * */
#ifndef GONDOLIN_SRC_CLIENT_FILE_H
#define GONDOLIN_SRC_CLIENT_FILE_H

#include <stddef.h>

#include "src/err.h"

/* Writes `text` in one piece to an open control file. When it is refused, *err has the sentence that the descriptor
 * then gives to read (it has to be O_RDWR for that), or else "WHAT: reason of the errno". */
int client_file_request(int fd, const char *what, const char *text, struct err *err);

/* Opens `name` below dir_fd, writes as above, closes. */
int client_file_write(int dir_fd, const char *name, const char *text, struct err *err);

/* Reads a control file to its end, at most `max` bytes. malloc'd with a NUL after it, or NULL with *err set. */
char *client_file_read(int dir_fd, const char *name, size_t max, struct err *err);

#endif
