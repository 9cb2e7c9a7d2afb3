/* SPDX-License-Identifier: Apache-2.0 */
/* The protocol's version as it is written in HELLO and CONFIG. */
#ifndef GONDOLIN_TESTS_CTLVERSION_H
#define GONDOLIN_TESTS_CTLVERSION_H

#include <assert.h>

#include "src/proto.h"

#define CTL_VERSION_JSON "\"version\":3"
static_assert(CTL_VERSION == 3, "CTL_VERSION_JSON is of another version");

#endif
