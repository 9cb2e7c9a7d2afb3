/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "fs/nodes.h"

static uint64_t found(struct nodes *nodes, uint64_t parent, const char *name, uint64_t guest, bool directory)
{
    uint64_t id = 0;
    return nodes_found(nodes, parent, name, strlen(name), guest, directory, &id) == 0 ? id : 0;
}

static uint64_t dir(struct nodes *nodes, uint64_t parent, const char *name, uint64_t guest)
{
    return found(nodes, parent, name, guest, true);
}

static uint64_t file(struct nodes *nodes, uint64_t parent, const char *name, uint64_t guest)
{
    return found(nodes, parent, name, guest, false);
}

Test(nodes, depth_counts_directories_above_the_parent)
{
    struct nodes *nodes = nodes_new();
    uint64_t a = dir(nodes, NODES_ROOT, "a", 10), b = dir(nodes, a, "b", 11), c = dir(nodes, b, "c", 12);
    cr_expect_eq(nodes_depth(nodes, a), 0);
    cr_expect_eq(nodes_depth(nodes, b), 1);
    cr_expect_eq(nodes_depth(nodes, c), 2);
    cr_expect_eq(nodes_depth(nodes, 99), 0);
    cr_expect_eq(nodes_guest_id(nodes, c), 12);
    cr_expect_eq(nodes_guest_id(nodes, NODES_ROOT), 1);
    cr_expect_eq(nodes_guest_id(nodes, 99), 0);
    nodes_free(nodes);
}

Test(nodes, a_link_in_two_places_counts_as_the_shallowest)
{
    struct nodes *nodes = nodes_new();
    uint64_t a = dir(nodes, NODES_ROOT, "a", 2), b = dir(nodes, a, "b", 3);
    uint64_t link = file(nodes, NODES_ROOT, "link", 50);
    cr_expect_eq(file(nodes, b, "again", 50), link, "one file, one id");
    cr_expect_eq(nodes_depth(nodes, link), 0);
    nodes_free(nodes);
}

Test(nodes, a_directory_is_itself_only_where_it_was)
{
    struct nodes *nodes = nodes_new();
    uint64_t a = dir(nodes, NODES_ROOT, "a", 2), b = dir(nodes, a, "b", 3);
    cr_expect_eq(dir(nodes, a, "b", 3), b);
    cr_expect_eq(dir(nodes, a, "new-name", 3), b);
    uint64_t moved = dir(nodes, NODES_ROOT, "b", 3);
    cr_expect_neq(moved, b);
    cr_expect_eq(nodes_depth(nodes, b), 1, "the old place keeps its depth");
    cr_expect_eq(nodes_depth(nodes, moved), 0);
    cr_expect_eq(nodes_guest_id(nodes, moved), 3);
    cr_expect_neq(dir(nodes, b, "a", 2), a, "even below itself it is only another place");
    nodes_free(nodes);
}

Test(nodes, the_root_is_nobodys_child)
{
    struct nodes *nodes = nodes_new();
    uint64_t id, a = dir(nodes, NODES_ROOT, "a", 2);
    cr_expect_eq(nodes_found(nodes, a, "up", 2, 1, true, &id), -ELOOP);
    cr_expect_eq(nodes_found(nodes, 77, "x", 1, 5, true, &id), -ESTALE);
    nodes_free(nodes);
}

Test(nodes, a_file_with_children_never_lies_below_itself)
{
    struct nodes *nodes = nodes_new();
    uint64_t id, a = file(nodes, NODES_ROOT, "a", 2), b = file(nodes, a, "b", 3);
    cr_expect_eq(nodes_found(nodes, b, "a", 1, 2, false, &id), -ELOOP);
    nodes_free(nodes);
}

Test(nodes, a_rename_by_the_host_moves_what_is_known_by_that_name)
{
    struct nodes *nodes = nodes_new();
    uint64_t a = dir(nodes, NODES_ROOT, "a", 2), b = dir(nodes, a, "b", 3), link = file(nodes, b, "link", 9);
    cr_expect_eq(nodes_depth(nodes, link), 2);
    nodes_renamed(nodes, b, "link", NODES_ROOT, "link", false);
    cr_expect_eq(nodes_depth(nodes, link), 0);
    nodes_renamed(nodes, NODES_ROOT, "link", a, "l", false);
    cr_expect_eq(nodes_depth(nodes, link), 1, "a move by the host is no second place");
    nodes_renamed(nodes, a, "b", NODES_ROOT, "c", false);
    cr_expect_eq(dir(nodes, NODES_ROOT, "c", 3), b, "the host's own moves keep a directory's id");
    nodes_free(nodes);
}

Test(nodes, a_rename_of_a_second_name_makes_all_neighbours_shallow)
{
    struct nodes *nodes = nodes_new();
    uint64_t a = dir(nodes, NODES_ROOT, "a", 2), b = dir(nodes, a, "b", 3), link = file(nodes, b, "one", 9);
    file(nodes, b, "two", 9); /* a hard link: the first name is overwritten */
    nodes_renamed(nodes, b, "one", NODES_ROOT, "up", false);
    cr_expect_eq(nodes_depth(nodes, link), 0);
    nodes_free(nodes);
}

Test(nodes, exchange_moves_both)
{
    struct nodes *nodes = nodes_new();
    uint64_t a = dir(nodes, NODES_ROOT, "a", 2), deep = dir(nodes, a, "deep", 3), flat = dir(nodes, NODES_ROOT, "flat", 4);
    nodes_renamed(nodes, a, "deep", NODES_ROOT, "flat", true);
    cr_expect_eq(nodes_depth(nodes, deep), 0);
    cr_expect_eq(nodes_depth(nodes, flat), 1);
    nodes_free(nodes);
}

Test(nodes, references_are_counted_and_forgotten)
{
    struct nodes *nodes = nodes_new();
    uint64_t first = 0;
    for (uint64_t guest = 2; guest < 5000; guest++) {
        char name[24];
        snprintf(name, sizeof name, "n%llu", (unsigned long long)guest);
        uint64_t id = file(nodes, NODES_ROOT, name, guest);
        first = first ? first : id;
    }
    file(nodes, NODES_ROOT, "n2", 2);
    cr_expect_eq(nodes_count(nodes), 4999);
    cr_expect_eq(nodes_forget(nodes, first, 1), 1);
    cr_expect_eq(nodes_count(nodes), 4999);
    cr_expect_eq(nodes_forget(nodes, first, 100), 1, "never more than there are");
    cr_expect_eq(nodes_count(nodes), 4998);
    cr_expect_eq(nodes_forget(nodes, first, 1), 0);
    cr_expect_neq(file(nodes, NODES_ROOT, "n2", 2), first, "an id is not used twice");
    nodes_free(nodes);
}

Test(nodes, a_parent_outlives_its_children)
{
    struct nodes *nodes = nodes_new();
    uint64_t a = dir(nodes, NODES_ROOT, "a", 2), b = dir(nodes, a, "b", 3);
    nodes_forget(nodes, a, 1);
    cr_expect_eq(nodes_depth(nodes, b), 1);
    nodes_forget(nodes, b, 1);
    cr_expect_eq(nodes_count(nodes), 1);
    nodes_free(nodes);
}

static void count_one(void *data, uint64_t id)
{
    *(uint64_t *)data += id;
}

Test(nodes, all_places_of_a_directory_can_be_told)
{
    struct nodes *nodes = nodes_new();
    uint64_t a = dir(nodes, NODES_ROOT, "a", 2), b = dir(nodes, a, "b", 3), moved = dir(nodes, NODES_ROOT, "b", 3);
    uint64_t sum = 0;
    nodes_each_of(nodes, 3, count_one, &sum);
    cr_expect_eq(sum, b + moved);
    sum = 0;
    nodes_each(nodes, count_one, &sum);
    cr_expect_eq(sum, NODES_ROOT + a + b + moved);
    nodes_free(nodes);
}
