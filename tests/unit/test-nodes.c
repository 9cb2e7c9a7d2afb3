/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>

#include "fs/nodes.h"

static int found(struct nodes *nodes, uint64_t parent, uint64_t child)
{
    char name[24];
    int len = snprintf(name, sizeof name, "n%llu", (unsigned long long)child);
    return nodes_found(nodes, parent, name, (size_t)len, child);
}

Test(nodes, depth_counts_directories_above_the_parent)
{
    struct nodes *nodes = nodes_new();
    cr_assert_eq(found(nodes, 1, 10), 0);
    cr_assert_eq(found(nodes, 10, 11), 0);
    cr_assert_eq(found(nodes, 11, 12), 0);
    cr_expect_eq(nodes_depth(nodes, 10), 0);
    cr_expect_eq(nodes_depth(nodes, 11), 1);
    cr_expect_eq(nodes_depth(nodes, 12), 2);
    cr_expect_eq(nodes_depth(nodes, 99), 0);
    nodes_free(nodes);
}

Test(nodes, a_link_in_two_places_counts_as_the_shallowest)
{
    struct nodes *nodes = nodes_new();
    found(nodes, 1, 2);
    found(nodes, 2, 3);
    found(nodes, 1, 50);
    found(nodes, 3, 50); /* a second name of the same file, deeper */
    cr_expect_eq(nodes_depth(nodes, 50), 0);
    nodes_free(nodes);
}

Test(nodes, a_directory_never_lies_below_itself)
{
    struct nodes *nodes = nodes_new();
    found(nodes, 1, 2);
    found(nodes, 2, 3);
    cr_expect_eq(found(nodes, 3, 2), -ELOOP);
    cr_expect_eq(found(nodes, 3, 1), -ELOOP);
    cr_expect_eq(found(nodes, 77, 5), -ESTALE);
    nodes_free(nodes);
}

Test(nodes, a_rename_by_the_host_moves_what_is_known_by_that_name)
{
    struct nodes *nodes = nodes_new();
    nodes_found(nodes, 1, "a", 1, 2);
    nodes_found(nodes, 2, "b", 1, 3);
    nodes_found(nodes, 3, "link", 4, 9);
    cr_expect_eq(nodes_depth(nodes, 9), 2);
    nodes_renamed(nodes, 3, "link", 1, "link", false);
    cr_expect_eq(nodes_depth(nodes, 9), 0);
    nodes_renamed(nodes, 1, "link", 2, "l", false);
    cr_expect_eq(nodes_depth(nodes, 9), 1, "a move by the host is no second place");
    nodes_free(nodes);
}

Test(nodes, a_rename_of_a_second_name_makes_all_neighbours_shallow)
{
    struct nodes *nodes = nodes_new();
    nodes_found(nodes, 1, "a", 1, 2);
    nodes_found(nodes, 2, "b", 1, 3);
    nodes_found(nodes, 3, "one", 3, 9);
    nodes_found(nodes, 3, "two", 3, 9); /* a hard link: the first name is overwritten */
    nodes_renamed(nodes, 3, "one", 1, "up", false);
    cr_expect_eq(nodes_depth(nodes, 9), 0);
    nodes_free(nodes);
}

Test(nodes, exchange_moves_both)
{
    struct nodes *nodes = nodes_new();
    nodes_found(nodes, 1, "a", 1, 2);
    nodes_found(nodes, 2, "deep", 4, 3);
    nodes_found(nodes, 1, "flat", 4, 4);
    nodes_renamed(nodes, 2, "deep", 1, "flat", true);
    cr_expect_eq(nodes_depth(nodes, 3), 0);
    cr_expect_eq(nodes_depth(nodes, 4), 1);
    nodes_free(nodes);
}

Test(nodes, references_are_counted_and_forgotten)
{
    struct nodes *nodes = nodes_new();
    for (uint64_t id = 2; id < 5000; id++)
        found(nodes, 1, id);
    found(nodes, 1, 2);
    cr_expect_eq(nodes_count(nodes), 4999);
    cr_expect_eq(nodes_forget(nodes, 2, 1), 1);
    cr_expect_eq(nodes_count(nodes), 4999);
    cr_expect_eq(nodes_forget(nodes, 2, 100), 1, "never more than there are");
    cr_expect_eq(nodes_count(nodes), 4998);
    cr_expect_eq(nodes_forget(nodes, 2, 1), 0);
    nodes_free(nodes);
}

Test(nodes, a_parent_outlives_its_children)
{
    struct nodes *nodes = nodes_new();
    found(nodes, 1, 2);
    found(nodes, 2, 3);
    nodes_forget(nodes, 2, 1);
    cr_expect_eq(nodes_depth(nodes, 3), 1);
    nodes_forget(nodes, 3, 1);
    cr_expect_eq(nodes_count(nodes), 1);
    nodes_free(nodes);
}
