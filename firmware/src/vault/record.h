/* SPDX-License-Identifier: Apache-2.0 */
/* One chunk as a record in a slot of the vault area, SPEC section 9; bytes in memory only, no medium. */
#ifndef RECORD_H
#define RECORD_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "vault/chunk.h"

enum { RECORD_HEAD = 32, RECORD_TAG = 16, RECORD_OVERHEAD = RECORD_HEAD + RECORD_TAG };

/* The better the later: of two slots that both fail, the later one tells what is the matter. */
enum record_result {
    RECORD_MISSING,   /* blank */
    RECORD_MALFORMED, /* torn, or never a record */
    RECORD_SWAPPED,   /* of another chunk, it says */
    RECORD_FOREIGN,   /* of another device, it says */
    RECORD_FORGED,    /* does not authenticate: changed, or swapped or foreign and saying otherwise */
    RECORD_STALE,     /* genuine, but not the version that counts */
    RECORD_OK
};

/* What a scheme does to its records. */
struct record_format {
    const char *magic;  /* 4 characters */
    bool authenticated; /* AES-256-GCM; otherwise AES-256-XTS, which notices nothing */
    bool labelled;      /* a key for each chunk; head (with chunk and version) and device identity are authenticated */
    bool fresh;         /* only the version kept on the chip counts */
    bool shared;        /* no device identity: one secret serves all devices */
};

/* Who seals and opens: the same on every call of a device. */
struct record_context {
    const struct record_format *format;
    const char *scheme;
    uint8_t code;          /* of the scheme */
    const uint8_t *secret; /* DEVICE_SECRET_SIZE bytes */
    uint8_t identity[12];  /* of the device; zeros if the format is shared */
};

/* Bytes of a record with `length` bytes of content: at most RECORD_PADDING_MAX more than content and overhead. */
enum { RECORD_PADDING_MAX = 512 };
size_t record_size(const struct record_format *format, size_t length);

/* Makes the record of `content` at `record` (record_size bytes). `seal` must be new under this secret; `offset` is the
 * slot's place in the area. false: no memory, and zeros at `record`. */
bool record_seal(const struct record_context *context, enum chunk chunk, uint32_t version, uint32_t seal,
                 uint32_t offset, const uint8_t *content, size_t length, uint8_t *record);

/* Looks at the head of a slot, which it may decrypt in place. With RECORD_OK *size is how many bytes to read for
 * record_open (at most `slot_size`), *version what the head says; nothing of it is proved. */
enum record_result record_look(const struct record_context *context, enum chunk chunk, uint32_t offset,
                               uint32_t slot_size, uint8_t head[RECORD_HEAD], size_t *size, uint32_t *version);

/* Opens `size` bytes of a slot in place. With RECORD_OK *length bytes of content are at record + RECORD_HEAD, and
 * *version is theirs; otherwise there are zeros. Versions are the caller's to judge. */
enum record_result record_open(const struct record_context *context, enum chunk chunk, uint32_t offset, uint8_t *record,
                               size_t size, size_t *length, uint32_t *version);

const char *record_result_word(enum record_result result); /* missing, malformed, swapped, foreign, forged, stale */
#endif
