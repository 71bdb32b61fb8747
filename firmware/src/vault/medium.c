/* SPDX-License-Identifier: Apache-2.0 */
#include "vault/medium.h"
#include <stddef.h>
#include "vault/medium_eeprom.h"
#include "vault/medium_sd.h"

static const struct medium MEDIUM_NONE = { .name = "none" };

const struct medium *medium_by_code(uint32_t code)
{
    static const struct medium *const table[] = { &MEDIUM_NONE, &MEDIUM_SD, &MEDIUM_EEPROM };
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        if (table[i]->code == code) {
            return table[i];
        }
    }
    return NULL;
}
