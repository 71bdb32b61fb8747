/* SPDX-License-Identifier: Apache-2.0 */
/* The schemes that keep chunks as records in the vault area of a medium: SPEC sections 8 and 9. They share everything but
 * their format. */
#ifndef VAULT_H
#define VAULT_H
#include "vault/scheme.h"

extern const struct scheme SCHEME_ENCRYPTED, SCHEME_SEALED, SCHEME_LABELLED, SCHEME_FRESH, SCHEME_SPLIT,
    SCHEME_FLEET_KEY;
#endif
