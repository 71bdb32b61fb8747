/* SPDX-License-Identifier: Apache-2.0 */
/* Configuration pages and the contents of chunks. First byte: bit 0, the rest is the TLV area of a page whose head and CRC
 * are put right; bit 1, a whole page as it is; otherwise a content. */
#include "drivers.h"
#include "storage/crc32.h"
#include "vault/content.h"

static void see(const struct blob *blob)
{
    volatile uint8_t sum = 0;
    for (size_t i = 0; i < blob->length; i++)
        sum ^= blob->data[i];
}

static void parse(const uint8_t *page, size_t size)
{
    static struct device_config config;
    uint16_t field;
    if (config_parse(&config, page, size, &field) != CONFIG_OK)
        return;
    if (config.publish_count < 1 || config.publish_count > CONFIG_TOPICS_MAX || config.anchor_count > CONFIG_ANCHORS_MAX ||
        strlen(config.thing) > 128 || strlen(config.client_id) > 128 || strlen(config.host) > 253)
        abort();
    see(&config.key);
    see(&config.certificate);
    for (size_t i = 0; i < config.anchor_count; i++)
        see(&config.anchors[i]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1 || size > 16384)
        return 0;
    uint8_t kind = data[0];
    data++;
    size--;
    uint8_t *page = malloc(size + TLV_RECORD_OVERHEAD);
    if (kind & 1) {
        const uint8_t head[] = { 'O', 'C', 'F', '1', 1, 0, (uint8_t)size, (uint8_t)(size >> 8) };
        memcpy(page, head, sizeof head);
        memcpy(page + sizeof head, data, size);
        uint32_t check = crc32(page, sizeof head + size);
        memcpy(page + sizeof head + size, &check, 4);
        parse(page, size + TLV_RECORD_OVERHEAD);
    } else if (kind & 2) {
        memcpy(page, data, size);
        parse(page, size);
    } else {
        struct credentials out = { 0 };
        memcpy(page, data, size);
        if (content_take((struct blob){ page, size }, kind & 4 ? TLV_KEY : TLV_ANCHOR, &out)) {
            see(&out.key);
            for (size_t i = 0; i < out.anchor_count; i++)
                see(&out.anchors[i]);
        }
    }
    free(page);
    return 0;
}
