/* SPDX-License-Identifier: Apache-2.0 */
/* Records of the vault area. First byte: bits 0..2 the format, bit 3: the rest is a content that is sealed first, bits 4..6
 * the chunk. With bit 3 the next two bytes say which bit of the record is flipped before it is opened (0: none). */
#include "drivers.h"
#include "vault/record.h"

enum { LARGEST = 2048 };

static const struct record_format FORMATS[] = {
    { .magic = "OCX1" },
    { .magic = "OCV1", .authenticated = true },
    { .magic = "OCV1", .authenticated = true, .labelled = true },
    { .magic = "OCV1", .authenticated = true, .labelled = true, .fresh = true },
    { .magic = "OCV1", .authenticated = true, .labelled = true, .fresh = true, .shared = true },
};

static enum record_result open_slot(const struct record_context *context, enum chunk chunk, uint8_t *slot, size_t *length)
{
    uint8_t head[RECORD_HEAD];
    size_t size = 0;
    uint32_t version;
    memcpy(head, slot, sizeof head);
    enum record_result result =
        record_look(context, chunk, chunk_place(chunk)->offset, LARGEST, head, &size, &version);
    if (result != RECORD_OK)
        return result;
    if (size > LARGEST || size < RECORD_HEAD)
        abort();
    result = record_open(context, chunk, chunk_place(chunk)->offset, slot, size, length, &version);
    if (result == RECORD_OK && *length > size - RECORD_HEAD)
        abort();
    return result;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint8_t secret[32] = "a device secret of 32 bytes ....";
    uint8_t slot[LARGEST + RECORD_PADDING_MAX], content[LARGEST];
    if (size < 4)
        return 0;
    enum chunk chunk = CHUNK_DEVICE_KEY + (data[0] >> 4 & 7) % (CHUNK_COUNT - 1);
    const struct record_format *format = &FORMATS[(data[0] & 7) % 5];
    struct record_context context = { format, "fuzz", (uint8_t)(data[0] & 7), secret, "identity...." };
    size_t length = 0, given = size - 3 < LARGEST ? size - 3 : LARGEST;
    uint32_t flip = data[1] | (uint32_t)data[2] << 8;
    memset(slot, 0xFF, sizeof slot);
    if (!(data[0] & 8)) {
        memcpy(slot, data + 3, given);
        (void)open_slot(&context, chunk, slot, &length);
        return 0;
    }
    given = given < LARGEST - RECORD_OVERHEAD ? given : LARGEST - RECORD_OVERHEAD;
    memcpy(content, data + 3, given);
    if (!record_seal(&context, chunk, 7, 9, chunk_place(chunk)->offset, content, given, slot))
        abort();
    size_t bits = 8 * record_size(format, given);
    bool changed = flip && flip <= bits;
    if (changed)
        slot[(flip - 1) / 8] ^= (uint8_t)(1u << (flip - 1) % 8);
    enum record_result result = open_slot(&context, chunk, slot, &length);
    if (!changed && (result != RECORD_OK || length != given || memcmp(slot + RECORD_HEAD, content, given) != 0))
        abort();
    /* without labels the head is not authenticated: only nonce, length, content and tag are */
    if (changed && format->labelled && result == RECORD_OK)
        abort();
    if (changed && format->authenticated && flip > 8 * RECORD_HEAD && result == RECORD_OK)
        abort();
    return 0;
}
