/* SPDX-License-Identifier: Apache-2.0 */
/* The EEPROM: one area, from address 0 to its end. */
#ifndef MEDIUM_EEPROM_H
#define MEDIUM_EEPROM_H
#include "vault/medium.h"

extern const struct medium MEDIUM_EEPROM;
#endif
