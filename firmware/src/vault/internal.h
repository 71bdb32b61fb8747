/* SPDX-License-Identifier: Apache-2.0 */
/* Scheme `internal`: everything in the configuration page, SPEC section 2. */
#ifndef INTERNAL_H
#define INTERNAL_H
#include "vault/scheme.h"

extern const struct scheme SCHEME_INTERNAL;
#endif
