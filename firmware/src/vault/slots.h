/* SPDX-License-Identifier: Apache-2.0 */
/* The schemes that keep chunks as records in the vault area of a medium, two slots each: SPEC section 9. They share
 * everything but their format. */
#ifndef SLOTS_H
#define SLOTS_H
#include "vault/scheme.h"

extern const struct scheme SCHEME_ENCRYPTED, SCHEME_SEALED, SCHEME_LABELLED, SCHEME_FRESH, SCHEME_SPLIT,
    SCHEME_FLEET_KEY;
#endif
