/* SPDX-License-Identifier: Apache-2.0 */
/* The configuration page, SPEC sections 1 and 2: reads it and refuses what a device could not work with. */
#include "vault/config.h"
#include <stdbool.h>
#include <string.h>
#include "board/chip_map.h"

enum { INTERVAL_DEFAULT_MS = 5000, KEEP_ALIVE_DEFAULT_S = 60, TAGS = 18 };

/* Text without control characters (they would forge console lines, JSON and AT commands), NUL-terminated into `to`. */
static bool take_text(const struct tlv_entry *entry, char *to, size_t size)
{
    if (entry->length == 0 || entry->length >= size)
        return false;
    for (size_t i = 0; i < entry->length; i++)
        if (entry->value[i] < ' ' || entry->value[i] == 0x7F)
            return false;
    memcpy(to, entry->value, entry->length);
    to[entry->length] = 0;
    return true;
}

static bool take_number(const struct tlv_entry *entry, size_t size, uint32_t low, uint32_t high, uint32_t *to)
{
    uint32_t value = 0;
    if (entry->length != size)
        return false;
    for (size_t i = 0; i < size; i++)
        value |= (uint32_t)entry->value[i] << (8 * i);
    *to = value;
    return value >= low && value <= high;
}

static bool take_blob(const struct tlv_entry *entry, struct blob *to)
{
    *to = (struct blob){ entry->value, entry->length };
    return entry->length > 0;
}

static bool take_topic(const struct tlv_entry *entry, char (*topics)[CONFIG_TOPIC_LENGTH + 1], size_t *count)
{
    return *count < CONFIG_TOPICS_MAX && take_text(entry, topics[(*count)++], CONFIG_TOPIC_LENGTH + 1);
}

static bool take(struct device_config *config, const struct tlv_entry *entry)
{
    uint32_t n = 0;
    bool good = true;
    switch (entry->tag) {
    case TLV_SCHEME:
        good = take_number(entry, 1, 0, UINT8_MAX, &n) && (config->scheme = scheme_by_code(n)) != NULL;
        break;
    case TLV_MEDIUM:
        good = take_number(entry, 1, 0, UINT8_MAX, &n) && (config->medium = medium_by_code(n)) != NULL;
        break;
    case TLV_THING:
        good = take_text(entry, config->thing, sizeof config->thing);
        break;
    case TLV_CLIENT_ID:
        good = take_text(entry, config->client_id, sizeof config->client_id);
        break;
    case TLV_HOST:
        good = take_text(entry, config->host, sizeof config->host);
        break;
    case TLV_PORT:
        good = take_number(entry, 2, 1, UINT16_MAX, &n);
        config->port = (uint16_t)n;
        break;
    case TLV_PUBLISH:
        good = take_topic(entry, config->publish, &config->publish_count);
        break;
    case TLV_SUBSCRIBE:
        good = take_topic(entry, config->subscribe, &config->subscribe_count);
        break;
    case TLV_ANCHOR:
        good = config->anchor_count < CONFIG_ANCHORS_MAX && take_blob(entry, &config->anchors[config->anchor_count++]);
        break;
    case TLV_CERTIFICATE:
        good = take_blob(entry, &config->certificate);
        break;
    case TLV_KEY:
        good = take_blob(entry, &config->key);
        break;
    case TLV_SNTP_HOST:
        good = take_text(entry, config->sntp_host, sizeof config->sntp_host);
        break;
    case TLV_INTERVAL:
        good = take_number(entry, 4, 1, UINT32_MAX / 2, &n);
        config->interval_ms = n;
        break;
    case TLV_KEEP_ALIVE:
        good = take_number(entry, 2, 0, UINT16_MAX, &n);
        config->keep_alive_s = (uint16_t)n;
        break;
    case TLV_TLS_VERSIONS:
        good = take_number(entry, 1, 1, CONFIG_TLS12 | CONFIG_TLS13, &n);
        config->tls_versions = (uint8_t)n;
        break;
    case TLV_SSID:
        good = take_text(entry, config->ssid, sizeof config->ssid);
        break;
    case TLV_PASSPHRASE:
        good = take_text(entry, config->passphrase, sizeof config->passphrase);
        break;
    default:
        break;
    }
    return good;
}

static bool repeatable(uint16_t tag)
{
    return tag == TLV_PUBLISH || tag == TLV_SUBSCRIBE || tag == TLV_ANCHOR;
}

static enum config_error refuse(uint16_t *field, uint16_t tag)
{
    *field = tag;
    return CONFIG_FIELD;
}

/* What must be there, and what must not: credentials belong to exactly one place. */
static enum config_error check(const struct device_config *config, uint32_t seen, uint16_t *field)
{
    static const uint8_t always[] = { TLV_SCHEME, TLV_THING, TLV_HOST, TLV_PORT, TLV_PUBLISH };
    static const uint8_t credentials[] = { TLV_ANCHOR, TLV_CERTIFICATE, TLV_KEY };
    for (size_t i = 0; i < sizeof always; i++)
        if (!(seen & 1u << always[i]))
            return refuse(field, always[i]);
    if (config->scheme->uses_medium && config->medium->present == NULL)
        return refuse(field, TLV_MEDIUM);
    for (size_t i = 0; i < sizeof credentials; i++)
        if ((seen & 1u << credentials[i]) != (config->scheme->on_chip & 1u << credentials[i]))
            return refuse(field, credentials[i]);
    return CONFIG_OK;
}

enum config_error config_parse(struct device_config *config, const uint8_t *page, size_t capacity, uint16_t *field)
{
    struct tlv_area area;
    struct tlv_entry entry;
    enum tlv_step step;
    uint32_t seen = 0;
    *field = 0;
    memset(config, 0, sizeof *config);
    switch (tlv_record_open(page, capacity, "OCF1", &area)) {
    case TLV_RECORD_OK:
        break;
    case TLV_RECORD_MAGIC:
        return CONFIG_MISSING;
    case TLV_RECORD_VERSION:
        return CONFIG_VERSION;
    default:
        return CONFIG_CRC;
    }
    config->medium = medium_by_code(0);
    config->interval_ms = INTERVAL_DEFAULT_MS;
    config->keep_alive_s = KEEP_ALIVE_DEFAULT_S;
    config->tls_versions = CONFIG_TLS12 | CONFIG_TLS13;
    while ((step = tlv_next(&area, &entry)) == TLV_ENTRY) {
        bool known = entry.tag > 0 && entry.tag < TAGS;
        if (known && (seen & 1u << entry.tag) && !repeatable(entry.tag))
            return refuse(field, entry.tag);
        if (!take(config, &entry))
            return refuse(field, entry.tag);
        if (known)
            seen |= 1u << entry.tag;
    }
    if (step == TLV_BROKEN)
        return refuse(field, entry.tag);
    if (!(seen & 1u << TLV_CLIENT_ID))
        memcpy(config->client_id, config->thing, sizeof config->client_id);
    return check(config, seen, field);
}

enum config_error config_load(struct device_config *config, uint16_t *field)
{
    return config_parse(config, (const uint8_t *)CONFIGURATION_START, CONFIGURATION_SIZE, field);
}
