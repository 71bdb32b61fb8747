/* SPDX-License-Identifier: Apache-2.0 */
/* What is kept, piece by piece, and where each piece lies in the vault area of a medium: SPEC section 9. */
#ifndef CHUNK_H
#define CHUNK_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum chunk {
    CHUNK_ALL, /* no chunk: what they have in common */
    CHUNK_DEVICE_KEY,
    CHUNK_DEVICE_CERTIFICATE,
    CHUNK_BROKER_CA,
    CHUNK_CONFIGURATION_CA,
    CHUNK_SETTINGS,
    CHUNK_OWNER_DATA,
    CHUNK_COUNT,     /* one more than there are */
    CHUNK_RECORD = 8 /* no chunk: what `plain` counts the versions of its record on an EEPROM as */
};

enum { CHUNK_SLOTS = 2, CHUNK_AREA_SIZE = 32768 };

struct chunk_place {
    const char *name; /* the word of the console */
    uint16_t tag;     /* of the values it holds (SPEC section 1); 0: none of the credentials */
    uint32_t offset;  /* of its first slot in the area; the other one follows at once */
    uint32_t size;    /* bytes of a slot, a multiple of 512 */
};

/* For CHUNK_DEVICE_KEY .. CHUNK_OWNER_DATA. */
const struct chunk_place *chunk_place(enum chunk chunk);
#endif
