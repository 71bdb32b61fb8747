/* SPDX-License-Identifier: Apache-2.0 */
/* The ways to keep credentials: one table entry each. A new scheme is a source file with its entry, named in scheme.c. */
#ifndef SCHEME_H
#define SCHEME_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "storage/storage_error.h"
#include "vault/chunk.h"

struct vault;
struct vault_update;
struct record_format;

/* The functions concern what the scheme keeps on a medium, which has been found present; they are NULL if it uses none.
 * What stays on the chip (`on_chip`) is the vault's own business, and so is the order of an update: vault.c. */
struct scheme {
    const char *name; /* the word of the console (SPEC section 6) */
    uint8_t code;     /* in the configuration page */
    bool uses_medium; /* the page must name one */
    uint32_t on_chip; /* bit n: tag n stands in the configuration page; of the credentials' other tags none may */

    /* Fetches the credentials that are not on the chip into vault->out. Prints the `storage: error` line. Overwrites
     * versions before the one that counts, which a cut may have left. */
    enum storage_error (*load)(struct vault *vault);

    /* Fetches the content of one chunk to vault->out's buffer. STORAGE_FILE_MISSING: the scheme has no place for it. */
    enum storage_error (*fetch)(struct vault *vault, enum chunk chunk, const uint8_t **content, size_t *length);

    /* Writes the next version of each chunk beside the one that counts, and reads it back. `chunks` are those whose
     * versions the commit will raise: a scheme may add to them. */
    enum storage_error (*store)(struct vault *vault, const struct vault_update *updates, size_t count,
                                uint32_t *chunks);

    /* Overwrites every version of these chunks but the one that counts; `all`: that one, too. */
    enum storage_error (*erase)(struct vault *vault, uint32_t chunks, bool all);

    /* Bytes of content the chunk may have; 0: the scheme has no place for it. */
    uint32_t (*size)(const struct vault *vault, enum chunk chunk);

    const struct record_format
        *format; /* of its chunks in the vault area; NULL: it has none there, and needs no secret */
};

const struct scheme *scheme_by_code(uint32_t code); /* NULL: there is none */
#endif
