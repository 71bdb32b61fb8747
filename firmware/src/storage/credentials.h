/* SPDX-License-Identifier: Apache-2.0 */
/* Fetching the device's credentials from where its scheme keeps them; parsing X.509 is the caller's. */
#ifndef CREDENTIALS_H
#define CREDENTIALS_H
#include "storage/config.h"
#include "storage/storage_error.h"

struct credentials {
    const char *source;  /* internal, sd, eeprom */
    size_t anchor_count; /* blobs; a PEM blob may hold several certificates */
    struct blob anchors[CONFIG_ANCHORS_MAX];
    struct blob certificate;
    struct blob key;
};

/* Prints the `storage:` lines of SPEC section 6 (medium and error). The blobs stay valid until credentials_wipe. */
enum storage_error credentials_load(const struct device_config *config, struct credentials *out);

/* Overwrites the buffers in RAM that hold what was read from a medium, and *out. */
void credentials_wipe(struct credentials *out);
#endif
