/* SPDX-License-Identifier: Apache-2.0 */
/* Storage outside the chip as the schemes see it. Whoever holds the device can read and change all of it at any time:
 * nothing that comes from here may be believed. */
#ifndef MEDIUM_H
#define MEDIUM_H
#include <stdbool.h>
#include <stdint.h>
#include "storage/storage_error.h"

/* A medium either holds files, by name in the folder CREDS, or is one area without names; then `file` is not looked at.
 * Every call is bounded in time. */
struct medium {
    const char *name; /* none, sd, eeprom: the words of the console (SPEC section 6) */
    uint8_t code;     /* in the configuration page */
    bool has_files;

    /* Wakes it and prints its `storage:` line; comes before anything else, and again after an error. NULL: there is no
     * medium, and none of the functions below. */
    enum storage_error (*present)(void);

    /* Bytes of the file, or of the area. */
    enum storage_error (*size)(const char *file, uint32_t *bytes);

    /* Both within the size; writing changes bytes that are there already, it never makes a file longer. */
    enum storage_error (*read)(const char *file, uint32_t offset, uint8_t *to, uint32_t length);
    enum storage_error (*write)(const char *file, uint32_t offset, const uint8_t *from, uint32_t length);

    /* Overwrites what its buffers hold. */
    void (*forget)(void);
};

const struct medium *medium_by_code(uint32_t code); /* NULL: there is none */
#endif
