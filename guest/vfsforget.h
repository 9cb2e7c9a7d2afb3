/* SPDX-License-Identifier: Apache-2.0 */
/* Has the kernel forget the names and files of the host's that nobody in the guest is using: gondolin-vfs has each of them
 * open, and may not have as many open as the kernel likes to remember. */
#ifndef GONDOLIN_GUEST_VFSFORGET_H
#define GONDOLIN_GUEST_VFSFORGET_H

struct vfsforget;

/* `place`: where the file system is mounted, with MS_NOSUID and MS_NODEV; borrowed. NULL with errno. */
struct vfsforget *vfsforget_new(const char *place);
/* Begins, in a thread: FORGET requests follow. Asked again meanwhile, it is done once more. */
void vfsforget_ask(struct vfsforget *f);
/* Waits for what is being done, which requests may have to be answered (or aborted) for. NULL is ignored. */
void vfsforget_free(struct vfsforget *f);

#endif
