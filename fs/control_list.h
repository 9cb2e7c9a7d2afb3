/* SPDX-License-Identifier: Apache-2.0 */
/* Listings of control directories: members of the operations that fs/control_fuse.c gives to libfuse. */
#ifndef GONDOLIN_FS_CONTROL_LIST_H
#define GONDOLIN_FS_CONTROL_LIST_H

#ifndef FUSE_USE_VERSION
#define FUSE_USE_VERSION 314
#endif
#include <fuse3/fuse_lowlevel.h>

void control_list_opendir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void control_list_readdir(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset, struct fuse_file_info *fi);
void control_list_readdirplus(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset, struct fuse_file_info *fi);
void control_list_releasedir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);

struct control;
struct control_node;

/* Answers an OPENDIR; dir may be NULL. */
void control_list_reply_open(fuse_req_t req, struct control_node *dir);
/* Closes what the kernel has not closed. */
void control_list_close_all(struct control *control);

#endif
