/* SPDX-License-Identifier: Apache-2.0 */
/* TLV areas, SPEC sections 1 to 3. All numbers come from a medium an attacker may have written. */
#include "storage/tlv.h"
#include <string.h>
#include "storage/crc32.h"

enum { VERSION = 1, HEAD = 4 };

static uint16_t u16(const uint8_t *at)
{
    return (uint16_t)(at[0] | at[1] << 8);
}
static uint32_t u32(const uint8_t *at)
{
    return u16(at) | (uint32_t)u16(at + 2) << 16;
}

size_t tlv_record_size(const uint8_t header[TLV_RECORD_HEADER])
{
    return (size_t)u16(header + 6) + TLV_RECORD_OVERHEAD;
}

enum tlv_record_error tlv_record_open(const uint8_t *record, size_t capacity, const char *magic, struct tlv_area *area)
{
    if (capacity < TLV_RECORD_OVERHEAD || memcmp(record, magic, 4) != 0)
        return TLV_RECORD_MAGIC;
    if (u16(record + 4) != VERSION)
        return TLV_RECORD_VERSION;
    size_t size = tlv_record_size(record);
    if (size > capacity)
        return TLV_RECORD_LENGTH;
    if (crc32(record, size - 4) != u32(record + size - 4))
        return TLV_RECORD_CRC;
    area->data = record + TLV_RECORD_HEADER;
    area->length = size - TLV_RECORD_OVERHEAD;
    return TLV_RECORD_OK;
}

enum tlv_step tlv_next(struct tlv_area *rest, struct tlv_entry *entry)
{
    if (rest->length == 0)
        return TLV_END;
    *entry = (struct tlv_entry){ 0 };
    if (rest->length < HEAD)
        return TLV_BROKEN;
    entry->tag = u16(rest->data);
    entry->length = u16(rest->data + 2);
    entry->value = rest->data + HEAD;
    size_t taken = HEAD + (((size_t)entry->length + 3u) & ~(size_t)3u);
    if (taken > rest->length)
        return TLV_BROKEN;
    rest->data += taken;
    rest->length -= taken;
    return TLV_ENTRY;
}
