/* SPDX-License-Identifier: Apache-2.0 */
/* TLV areas and the record around them, SPEC sections 1 to 3. */
#ifndef TLV_H
#define TLV_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum tlv_tag {
    TLV_SCHEME = 1,
    TLV_MEDIUM,
    TLV_THING,
    TLV_CLIENT_ID,
    TLV_HOST,
    TLV_PORT,
    TLV_PUBLISH,
    TLV_SUBSCRIBE,
    TLV_ANCHOR,
    TLV_CERTIFICATE,
    TLV_KEY,
    TLV_SNTP_HOST,
    TLV_INTERVAL,
    TLV_KEEP_ALIVE,
    TLV_TLS_VERSIONS,
    TLV_SSID,
    TLV_PASSPHRASE,
    TLV_TAMPER,
    TLV_SECRET_ORIGIN,
    TLV_ENROLMENT,
    TLV_CARD_PASSWORD,
    TLV_CLAIM_CERTIFICATE = 24,
    TLV_CLAIM_KEY,
    TLV_CLAIM_ANCHOR
};

/* magic, version, length; with the CRC-32 behind the area */
enum { TLV_RECORD_HEADER = 8, TLV_RECORD_OVERHEAD = 12 };

enum tlv_record_error { TLV_RECORD_OK, TLV_RECORD_MAGIC, TLV_RECORD_VERSION, TLV_RECORD_LENGTH, TLV_RECORD_CRC };

struct tlv_area {
    const uint8_t *data;
    size_t length;
};
struct tlv_entry {
    uint16_t tag;
    uint16_t length;
    const uint8_t *value;
};

/* Size of the record announced by the first TLV_RECORD_HEADER bytes. */
size_t tlv_record_size(const uint8_t header[TLV_RECORD_HEADER]);

/* Checks magic (4 characters), version 1, length within `capacity` and CRC; gives the area inside `record`. */
enum tlv_record_error tlv_record_open(const uint8_t *record, size_t capacity, const char *magic, struct tlv_area *area);

enum tlv_step { TLV_ENTRY, TLV_END, TLV_BROKEN };

/* Takes the next entry off the front of `rest`. TLV_BROKEN: an entry reaches beyond the area; entry->tag names it
 * (0 if not even its head is there). */
enum tlv_step tlv_next(struct tlv_area *rest, struct tlv_entry *entry);
#endif
