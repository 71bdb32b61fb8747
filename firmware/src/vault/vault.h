/* SPDX-License-Identifier: Apache-2.0 */
/* Where the device keeps what it is: fetched, replaced and given up as a whole, whatever the scheme. SPEC sections 8, 9. */
#ifndef VAULT_H
#define VAULT_H
#include "vault/credentials.h"
#include "vault/record.h"

/* A new content of a chunk: `values` as in the certificates' and keys' DER, or bytes; the broker's CA may have several. */
struct vault_update {
    enum chunk chunk;
    const struct blob *values;
    size_t count;
};

/* What the functions of a scheme get. */
struct vault {
    const struct device_config *config;
    const struct medium *medium;
    struct credentials *out;      /* whose buffer they may take from */
    struct record_context record; /* if the scheme has a format */
};

/* Fetches the credentials from where the scheme keeps them; finishes first what a cut of the supply left half-done, and
 * at the first boot makes the device secret and seals what the factory left. Prints the `storage:` lines of SPEC section
 * 6 (medium and error). The blobs stay valid until credentials_wipe, which must follow whatever the result. There is one
 * buffer: one set of credentials at a time. */
enum storage_error credentials_load(const struct device_config *config, struct credentials *out);

/* This result of credentials_load will not change by itself: what the device had is lost, or not to be believed. */
bool vault_lost(enum storage_error error);

/* Replaces the content of chunks, all of them or none: a cut of the supply at any point leaves the old ones or the new
 * ones, as a failure does. What was there before is overwritten. Makes the device secret if there is none. Needs the
 * buffer of the credentials, which must have been wiped. Prints `vault: sealed` lines. STORAGE_MEMORY: too long. */
enum storage_error vault_store_all(const struct device_config *config, const struct vault_update *updates,
                                   size_t count);
enum storage_error vault_store(const struct device_config *config, enum chunk chunk, const void *value, size_t length);

/* The first value of one chunk, of at most `capacity` bytes. */
enum storage_error vault_load(const struct device_config *config, enum chunk chunk, uint8_t *to, size_t capacity,
                              size_t *length);

/* Gives up everything but the configuration page: no chunk is left on chip or medium, and the secret (unless the factory
 * injected it) is erased. Once begun it is finished, after a cut at the next credentials_load. An error: the medium does
 * not let itself be overwritten now; what is on the chip is gone all the same. Prints `vault: reset`. */
enum storage_error vault_reset(const struct device_config *config);

/* Nothing has been stored since the factory, or since a reset that erased the secret. */
bool vault_empty(void);

/* A reset came to its end, and nothing has been stored since: there is nothing that could be lost any more. */
bool vault_given_up(void);

/* Secrets are in use right now: an interrupt that wants to destroy them must not return to it. */
bool vault_busy(void);
#endif
