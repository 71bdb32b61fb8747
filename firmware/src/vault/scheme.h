/* SPDX-License-Identifier: Apache-2.0 */
/* The ways to keep credentials: one table entry each. A new scheme is a source file with its entry, named in scheme.c. */
#ifndef SCHEME_H
#define SCHEME_H
#include <stdbool.h>
#include <stdint.h>
#include "storage/storage_error.h"

struct credentials;
struct device_config;
struct record_format;

struct scheme {
    const char *name; /* the word of the console (SPEC section 6) */
    uint8_t code;     /* in the configuration page */
    bool uses_medium; /* the page must name one */
    uint32_t on_chip; /* bit n: tag n stands in the configuration page; of the credentials' other tags none may */

    /* Fetches the credentials. Prints the `storage:` lines (medium, error). */
    enum storage_error (*load)(const struct device_config *config, struct credentials *out);

    const struct record_format *format; /* of its chunks in the vault area; NULL: it has none there */
};

const struct scheme *scheme_by_code(uint32_t code); /* NULL: there is none */
#endif
