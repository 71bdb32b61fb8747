/* SPDX-License-Identifier: Apache-2.0 */
/* The configuration page, SPEC sections 1 and 2: reads it and refuses what a device could not work with. */
#include "vault/config.h"
#include <stdbool.h>
#include <string.h>
#include "board/chip_map.h"
#include "drivers/flash.h"
#include "drivers/sdcard.h"
#include "storage/crc32.h"

enum { INTERVAL_DEFAULT_MS = 5000, KEEP_ALIVE_DEFAULT_S = 60, TAGS = 27 };
/* The last bytes of the sector: the tamper mark; words that are CRCs of the page without its key. */
enum { PAGE_SIZE = CONFIGURATION_SIZE - 256, TAMPER_MARK = PAGE_SIZE, ERASED_KEY = PAGE_SIZE + 64 };
#define BLANK_WORD 0xFFFFFFFFu

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
    case TLV_TAMPER:
        good = take_number(entry, 1, 0, 1, &n);
        config->tamper_erases = n == 1;
        break;
    case TLV_SECRET_ORIGIN:
        good = take_number(entry, 1, 0, 1, &n);
        config->secret_injected = n == 1;
        break;
    case TLV_ENROLMENT:
        good = take_number(entry, 1, 0, CONFIG_ENROL_FIRST | CONFIG_ENROL_LOST | CONFIG_ROTATE, &n);
        config->enrolment = (uint8_t)n;
        break;
    case TLV_CARD_PASSWORD:
        good = take_blob(entry, &config->card_password) && entry->length <= SD_PASSWORD_MAX;
        break;
    case TLV_CLAIM_CERTIFICATE:
        good = take_blob(entry, &config->claim_certificate);
        break;
    case TLV_CLAIM_KEY:
        good = take_blob(entry, &config->claim_key);
        break;
    case TLV_CLAIM_ANCHOR:
        good = config->claim_anchor_count < CONFIG_ANCHORS_MAX &&
               take_blob(entry, &config->claim_anchors[config->claim_anchor_count++]);
        break;
    default:
        break;
    }
    return good;
}

static bool repeatable(uint16_t tag)
{
    return tag == TLV_PUBLISH || tag == TLV_SUBSCRIBE || tag == TLV_ANCHOR || tag == TLV_CLAIM_ANCHOR;
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
    static const uint8_t claim[] = { TLV_CLAIM_CERTIFICATE, TLV_CLAIM_KEY, TLV_CLAIM_ANCHOR };
    for (size_t i = 0; i < sizeof always; i++)
        if (!(seen & 1u << always[i]))
            return refuse(field, always[i]);
    uint32_t here = config->enrolment & CONFIG_ENROL_FIRST ? 0 : config->scheme->on_chip;
    if (config->scheme->uses_medium && config->medium->present == NULL)
        return refuse(field, TLV_MEDIUM);
    for (size_t i = 0; i < sizeof credentials; i++)
        if ((seen & 1u << credentials[i]) != (here & 1u << credentials[i]))
            return refuse(field, credentials[i]);
    for (size_t i = 0; i < sizeof claim; i++)
        if (config->enrolment & (CONFIG_ENROL_FIRST | CONFIG_ENROL_LOST) && !(seen & 1u << claim[i]))
            return refuse(field, claim[i]);
    return CONFIG_OK;
}

static enum config_error parse_area(struct device_config *config, struct tlv_area area, uint16_t *field)
{
    struct tlv_entry entry;
    enum tlv_step step;
    uint32_t seen = 0;
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

enum config_error config_parse(struct device_config *config, const uint8_t *page, size_t capacity, uint16_t *field)
{
    struct tlv_area area;
    *field = 0;
    memset(config, 0, sizeof *config);
    switch (tlv_record_open(page, capacity, "OCF1", &area)) {
    case TLV_RECORD_OK:
        return parse_area(config, area, field);
    case TLV_RECORD_MAGIC:
        return CONFIG_MISSING;
    case TLV_RECORD_VERSION:
        return CONFIG_VERSION;
    default:
        return CONFIG_CRC;
    }
}

static const uint8_t *page(void)
{
    return (const uint8_t *)CONFIGURATION_START;
}

static uint32_t word_at(uint32_t offset)
{
    return *(const volatile uint32_t *)(uintptr_t)(CONFIGURATION_START + offset);
}

/* The entries of the page in flash, whatever its CRC; empty if there are none. */
static struct tlv_area page_area(void)
{
    size_t size = tlv_record_size(page());
    bool there = memcmp(page(), "OCF1", 4) == 0 && size <= PAGE_SIZE;
    return (struct tlv_area){ page() + TLV_RECORD_HEADER, there ? size - TLV_RECORD_OVERHEAD : 0 };
}

/* Finds the private key in the page. */
static bool find_key(struct tlv_entry *entry)
{
    struct tlv_area area = page_area();
    while (tlv_next(&area, entry) == TLV_ENTRY)
        if (entry->tag == TLV_KEY)
            return true;
    return false;
}

/* Of the page as it is once the key is erased; it stands in the page. */
static uint32_t crc_without_key(const struct tlv_entry *key)
{
    static const uint8_t zeros[32];
    const uint8_t *end = page() + tlv_record_size(page()) - 4, *behind = key->value + key->length;
    uint32_t crc = crc32(page(), (size_t)(key->value - page()));
    for (size_t left = key->length, n; left; left -= n) {
        n = left < sizeof zeros ? left : sizeof zeros;
        crc = crc32_more(crc, zeros, n);
    }
    return crc32_more(crc, behind, (size_t)(end - behind));
}

/* A word of the tail says that the key is erased, or about to be. *free: offset of the first blank word. */
static bool key_erased(uint32_t crc, uint32_t *free)
{
    *free = CONFIGURATION_SIZE;
    for (uint32_t at = CONFIGURATION_SIZE - 4; at >= ERASED_KEY; at -= 4) {
        if (word_at(at) == crc)
            return true;
        if (word_at(at) == BLANK_WORD)
            *free = at;
    }
    return false;
}

enum config_error config_load(struct device_config *config, uint16_t *field)
{
    struct tlv_entry key;
    uint32_t unused;
    enum config_error error = config_parse(config, page(), PAGE_SIZE, field);
    if (error == CONFIG_CRC && (config_tampered() || (find_key(&key) && key_erased(crc_without_key(&key), &unused))))
        error = parse_area(config, page_area(), field);
    return error;
}

static bool program(uint32_t address, const uint32_t *words, size_t count)
{
    if (flash_unlock() != FLASH_OK)
        return false;
    enum flash_result result = flash_program_words(address, words, count);
    flash_lock();
    return result == FLASH_OK;
}

bool config_erase_key(void)
{
    struct tlv_entry key;
    uint32_t free, word;
    bool done = true;
    if (!find_key(&key))
        return true;
    uint32_t crc = crc_without_key(&key);
    if (!key_erased(crc, &free) && (free == CONFIGURATION_SIZE || !program(CONFIGURATION_START + free, &crc, 1)))
        return false;
    for (size_t at = 0; at < key.length && done; at += 4) {
        memcpy(&word, key.value + at, sizeof word);
        memset(&word, 0, key.length - at < 4 ? key.length - at : 4); /* the padding behind it stays */
        if (memcmp(&word, key.value + at, sizeof word) != 0)
            done = program((uint32_t)(uintptr_t)(key.value + at), &word, 1);
    }
    return done;
}

bool config_tampered(void)
{
    return word_at(TAMPER_MARK) != BLANK_WORD;
}

void config_mark_tampered(void)
{
    flash_burn_word(CONFIGURATION_START + TAMPER_MARK);
}

void config_burn_keys(void)
{
    struct tlv_area area = page_area();
    struct tlv_entry entry;
    while (tlv_next(&area, &entry) == TLV_ENTRY)
        if (entry.tag == TLV_KEY || entry.tag == TLV_CLAIM_KEY)
            flash_burn((uint32_t)(uintptr_t)entry.value, (entry.length + 3u) / 4u);
}
