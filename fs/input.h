/* SPDX-License-Identifier: Apache-2.0 */
/* Bytes from elsewhere, taken one piece after the other and never beyond their end. */
#ifndef GONDOLIN_FS_INPUT_H
#define GONDOLIN_FS_INPUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct input {
    const uint8_t *at;
    size_t left;
};

/* The next `size` bytes where they lie; NULL when there are fewer. */
static inline const uint8_t *input_skip(struct input *in, size_t size)
{
    const uint8_t *at = in->at;
    if (in->left < size)
        return NULL;
    in->at += size;
    in->left -= size;
    return at;
}

/* Copies the next `size` bytes. False, with nothing taken, when there are fewer. */
static inline bool input_take(struct input *in, void *out, size_t size)
{
    const uint8_t *at = input_skip(in, size);
    if (at)
        memcpy(out, at, size);
    return at != NULL;
}

#endif
