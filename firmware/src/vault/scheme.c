/* SPDX-License-Identifier: Apache-2.0 */
#include "vault/scheme.h"
#include <stddef.h>
#include "vault/internal.h"
#include "vault/plain.h"
#include "vault/slots.h"

const struct scheme *scheme_by_code(uint32_t code)
{
    static const struct scheme *const table[] = { &SCHEME_INTERNAL,  &SCHEME_PLAIN,  &SCHEME_SPLIT_PLAIN,
                                                  &SCHEME_ENCRYPTED, &SCHEME_SEALED, &SCHEME_LABELLED,
                                                  &SCHEME_FRESH,     &SCHEME_SPLIT,  &SCHEME_FLEET_KEY };
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        if (table[i]->code == code) {
            return table[i];
        }
    }
    return NULL;
}
