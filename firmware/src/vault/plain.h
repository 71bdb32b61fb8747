/* SPDX-License-Identifier: Apache-2.0 */
/* Scheme `plain`: everything on the medium in clear, SPEC sections 3 and 4. */
#ifndef PLAIN_H
#define PLAIN_H
#include "vault/scheme.h"

extern const struct scheme SCHEME_PLAIN;

/* Scheme `split-plain`: the same, but for the private key, which is in the configuration page. */
extern const struct scheme SCHEME_SPLIT_PLAIN;
#endif
