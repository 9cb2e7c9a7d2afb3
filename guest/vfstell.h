/* SPDX-License-Identifier: Apache-2.0 */
/* Lets programs of the guest that wait in inotify(7) hear of what the host has changed. The kernel makes such events only for
 * what its own processes do, so a thread does it once more, and the pump changes its requests on their way (vfstell_take) so
 * that they do nothing on the host:
 *
 *   the host has     the thread calls   the kernel asks      the host is asked     the event
 *   written          utimensat mtime    SETATTR              GETATTR               IN_MODIFY
 *   set attributes   utimensat both     SETATTR              GETATTR               IN_ATTRIB
 *   made a name      mknod, mkdir, ...  LOOKUP, MKNOD, ...   nothing, LOOKUP       IN_CREATE
 *   taken one away   unlink             LOOKUP, UNLINK       nothing               IN_DELETE
 *
 * Only nodes that the guest's kernel knows are told of; of too many at once (VFSTELL_QUEUE) the later ones are not. While no
 * process has an inotify descriptor nothing is done. */
#ifndef GONDOLIN_GUEST_VFSTELL_H
#define GONDOLIN_GUEST_VFSTELL_H

#include <stddef.h>
#include <stdint.h>

enum { VFSTELL_QUEUE = 256 };

struct vfstell;

/* `place`: the mount (a string that stays). `fuse_fd` is borrowed. NULL with errno. */
struct vfstell *vfstell_new(const char *place, int fuse_fd);
/* The connection must have been aborted before. NULL is ignored. */
void vfstell_free(struct vfstell *tell);

/* A whole notification of the host's (struct fuse_out_header and what follows), from any one thread. */
void vfstell_notice(struct vfstell *tell, const uint8_t *message, size_t len);

/* Each request of the kernel's, in a buffer of at least VFSTELL_ROOM bytes, may be changed. Returns its new length, or 0 when
 * it has been answered and is not to be sent. */
enum { VFSTELL_ROOM = 1024 };
size_t vfstell_take(struct vfstell *tell, uint8_t *message, size_t len);

#endif
