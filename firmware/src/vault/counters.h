/* SPDX-License-Identifier: Apache-2.0 */
/* The vault's part of the internal flash, SPEC section 8: device secret, number of seals made, and of each chunk the
 * version that counts. Two sectors in turn; a cut of the supply at any point leaves the state before or after a call. */
#ifndef COUNTERS_H
#define COUNTERS_H
#include <stdbool.h>
#include <stdint.h>
#include "vault/chunk.h"

enum { DEVICE_SECRET_SIZE = 32 };

/* Finds the newest good state. false: there is none; the functions below must not be called then. */
bool counters_open(void);

/* Writes the first state: this secret, no seals, no versions. false: the flash refuses. */
bool counters_create(const uint8_t secret[DEVICE_SECRET_SIZE]);

/* Erases the sector that is not in use, if there is anything in it. */
bool counters_tidy(void);

const uint8_t *counters_secret(void); /* in flash: nobody needs a copy */
uint32_t counters_version(enum chunk chunk);

/* A number that no seal under this secret has had, or will have: it is committed to flash before it is returned. */
bool counters_next_seal(uint32_t *seal);

/* From now on this version of the chunk counts, and no other. */
bool counters_commit(enum chunk chunk, uint32_t version);
#endif
