/* SPDX-License-Identifier: Apache-2.0 */
/* The device's credentials, fetched by vault/vault.h; parsing X.509 is the caller's. */
#ifndef CREDENTIALS_H
#define CREDENTIALS_H
#include "storage/storage_error.h"
#include "vault/config.h"

struct credentials {
    const char *source;  /* internal, sd, eeprom */
    size_t anchor_count; /* blobs; a PEM blob may hold several certificates */
    struct blob anchors[CONFIG_ANCHORS_MAX];
    struct blob certificate;
    struct blob key;
    size_t used; /* of the buffer behind the blobs; for credentials_take */
};

/* Overwrites every buffer in RAM that holds what was read from a medium, and *out. */
void credentials_wipe(const struct device_config *config, struct credentials *out);

/* For tamper, also in an interrupt: overwrites the buffer; whoever was using it must not go on. */
void credentials_burn(void);

/* For schemes. `length` bytes of the buffer that credentials_wipe overwrites; NULL: it is full. */
uint8_t *credentials_take(struct credentials *out, size_t length);

/* For schemes. Print `storage: error <reason>`, with the file or the tag it is about; they return the error. */
enum storage_error credentials_error(enum storage_error error);
enum storage_error credentials_error_file(enum storage_error error, const char *file);
enum storage_error credentials_error_field(uint16_t tag);
#endif
