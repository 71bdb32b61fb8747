/* SPDX-License-Identifier: Apache-2.0 */
/* The vault's part of the internal flash, SPEC section 8: device secret, number of seals made, of each chunk the version
 * that counts, and the content of chunks that are kept on the chip. Two sectors in turn; a cut of the supply at any point
 * leaves the state before or after a call. */
#ifndef COUNTERS_H
#define COUNTERS_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "vault/chunk.h"

enum { DEVICE_SECRET_SIZE = 32 };

/* Finds the newest good state. false: there is none; of the functions below only counters_create, counters_clean and
 * counters_burn may be called then. */
bool counters_open(void);

/* counters_open has found one, or counters_create has made it. */
bool counters_exist(void);

/* Writes the first state, or after a reset the next one: this secret (NULL: none), no seals, no versions. false: the
 * flash refuses. */
bool counters_create(const uint8_t *secret);

/* Erases the sector that is not in use, if there is anything in it, and overwrites contents that do not count. */
bool counters_tidy(void);

/* Where there is no state: erases what a cut left of one. */
bool counters_clean(void);

const uint8_t *counters_secret(void); /* in flash: nobody needs a copy; NULL: there is none */
uint32_t counters_version(enum chunk chunk);

/* The content that counts of a chunk kept on the chip; NULL: none was ever stored. It lies in flash. */
const uint8_t *counters_content(enum chunk chunk, size_t *length);

/* Bytes of the log that contents of these many bytes in all, in `count` chunks, need with everything else an update
 * writes. */
size_t counters_need(size_t bytes, size_t count);

/* Sees to it that so many bytes of the log are free, with a new sector if they are not: between this and the commit of
 * an update no sector changes. false: they never will be, or the flash refuses. */
bool counters_reserve(size_t bytes);

/* `count` numbers, from *first on, that no seal under this secret has had or will have: they are committed to flash
 * before they are returned. */
bool counters_take_seals(uint32_t count, uint32_t *first);

/* Writes the content of the chunk's next version; it does not count yet. */
bool counters_keep(enum chunk chunk, const uint8_t *content, size_t length);

/* The one step at which an update counts: each chunk n with bit n in `chunks` has one version more. */
bool counters_commit(uint32_t chunks);

/* A reset begins: no content counts, the secret is gone (or stays: `keep_secret`, with seals and versions), and this is
 * remembered until counters_reset_end. The secret that goes is erased when this returns. */
bool counters_reset_begin(bool keep_secret);
bool counters_resetting(void);
bool counters_reset_end(void);

/* A reset has ended, and no update counts since. */
bool counters_given_up(void);

/* Overwrites everything in both sectors with zeros, secret first, without looking at states; for tamper, also in an
 * interrupt. Programming zeros needs no erase: 16 us a word (data sheet 5.3.12) instead of half a second. */
void counters_burn(void);
#endif
