/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/control_list.h"

#include <errno.h>
#include <stdlib.h>

#include "fs/control_internal.h"

/* One directory listing: a snapshot, so that offsets stay valid while children come and go. */
struct listing {
    struct listing *next, **link; /* in control->listings */
    struct control_node **nodes;
    size_t count;
};

static void listing_free(struct listing *listing)
{
    for (size_t i = 0; i < listing->count; i++) {
        listing->nodes[i]->handles--;
        control_node_maybe_free(listing->nodes[i]);
    }
    *listing->link = listing->next;
    if (listing->next)
        listing->next->link = listing->link;
    free(listing->nodes);
    free(listing);
}

void control_list_close_all(struct control *control)
{
    while (control->listings)
        listing_free(control->listings);
}

static void listing_enlist(struct listing *listing, struct control *control)
{
    listing->next = control->listings;
    listing->link = &control->listings;
    if (listing->next)
        listing->next->link = &listing->next;
    control->listings = listing;
}

void control_list_reply_open(fuse_req_t req, struct control_node *dir)
{
    struct listing *listing = dir && dir->in_tree ? calloc(1, sizeof *listing) : NULL;
    if (!listing) {
        fuse_reply_err(req, dir ? ESTALE : ENOENT);
        return;
    }
    listing_enlist(listing, dir->control);
    size_t count = 0;
    for (struct control_node *child = dir->children; child; child = child->next_sibling)
        count++;
    listing->nodes = calloc(count + 1, sizeof *listing->nodes);
    for (struct control_node *child = dir->children; listing->nodes && child; child = child->next_sibling) {
        if (control_node_absent(child))
            continue;
        child->handles++; /* keeps it allocated */
        listing->nodes[listing->count++] = child;
    }
    const struct fuse_file_info fi = {.fh = (uintptr_t)listing};
    if (fuse_reply_open(req, &fi) < 0)
        listing_free(listing);
}

void control_list_opendir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
    (void)fi;
    struct control_node *dir = control_directory(fuse_req_userdata(req), ino);
    if (!control_waits_for_dir(req, dir, NULL))
        control_list_reply_open(req, dir);
}

void control_list_releasedir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
    (void)ino;
    listing_free((struct listing *)(uintptr_t)fi->fh);
    fuse_reply_err(req, 0);
}

/* The plus form hands out no node ids (ino 0): a listing of control files must not leave references behind. */
static size_t add_dirent(fuse_req_t req, char *buf, size_t left, const char *name, const struct control_node *node,
                         off_t next, bool plus)
{
    struct stat st = {.st_ino = node->id & ~CONTROL_ID_BIT, .st_mode = node->mode};
    if (!plus)
        return fuse_add_direntry(req, buf, left, name, &st, next);
    struct fuse_entry_param entry = {.ino = 0, .attr = st};
    return fuse_add_direntry_plus(req, buf, left, name, &entry, next);
}

static void read_listing(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset, struct fuse_file_info *fi, bool plus)
{
    struct listing *listing = (struct listing *)(uintptr_t)fi->fh;
    struct control_node *self = control_node_by_id(fuse_req_userdata(req), ino);
    char *buf = malloc(size);
    if (!buf || !self || offset < 0) {
        free(buf);
        fuse_reply_err(req, buf ? ENOENT : ENOMEM);
        return;
    }
    size_t used = 0;
    for (size_t i = (size_t)offset; i < listing->count + 2; i++) {
        const char *name = i == 0 ? "." : i == 1 ? ".." : listing->nodes[i - 2]->name;
        const struct control_node *node = i >= 2 ? listing->nodes[i - 2] : i == 1 && self->parent ? self->parent : self;
        if (i >= 2 && !node->in_tree)
            continue;
        size_t need = add_dirent(req, buf + used, size - used, name, node, (off_t)i + 1, plus);
        if (need > size - used)
            break;
        used += need;
    }
    fuse_reply_buf(req, buf, used);
    free(buf);
}

void control_list_readdir(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset, struct fuse_file_info *fi)
{
    read_listing(req, ino, size, offset, fi, false);
}

void control_list_readdirplus(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset, struct fuse_file_info *fi)
{
    read_listing(req, ino, size, offset, fi, true);
}
