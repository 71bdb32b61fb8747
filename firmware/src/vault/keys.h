/* SPDX-License-Identifier: Apache-2.0 */
/* Keys from the device secret: HKDF-SHA-256 (RFC 5869) without salt, SPEC section 9. */
#ifndef KEYS_H
#define KEYS_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "vault/chunk.h"

/* Bytes bound to scheme and chunk: two labels never give related keys. false: no memory; nothing usable is in `key`. The
 * caller wipes the key. */
bool derive_key(const uint8_t *secret, const char *scheme, enum chunk chunk, uint8_t *key, size_t length);
#endif
