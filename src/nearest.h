/* SPDX-License-Identifier: Apache-2.0 */
/* "Did you mean": the candidate that a mistyped word most likely stood for. */
#ifndef GONDOLIN_SRC_NEAREST_H
#define GONDOLIN_SRC_NEAREST_H

/* The nearest of the NULL-terminated candidates, or NULL when none is near enough to be worth suggesting. Distance is
 * the number of inserted, deleted, replaced or swapped neighbouring characters (optimal string alignment), case
 * ignored; a candidate that the word (2 characters or more) begins counts as near. Words longer than 63 bytes match
 * nothing. */
const char *nearest_match(const char *word, const char *const *candidates);

#endif
