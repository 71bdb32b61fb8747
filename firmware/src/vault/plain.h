/* SPDX-License-Identifier: Apache-2.0 */
/* Scheme `plain`: everything on the medium in clear, SPEC sections 3 and 4. */
#ifndef PLAIN_H
#define PLAIN_H
#include "vault/scheme.h"

extern const struct scheme SCHEME_PLAIN;
#endif
