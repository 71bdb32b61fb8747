/* SPDX-License-Identifier: Apache-2.0 */
/* Fetches credentials by scheme and medium: SPEC section 2 (internal), 3 (EEPROM record), 4 (files on the SD card). */
#include "storage/credentials.h"
#include <stdbool.h>
#include <string.h>
#include "drivers/console.h"
#include "drivers/eeprom.h"
#include "drivers/sdcard.h"
#include "drivers/watchdog.h"
#include "storage/fat.h"
#include "storage/tlv.h"

enum { ANCHORS_MAX_BYTES = 16384, CERTIFICATE_MAX_BYTES = 4096, KEY_MAX_BYTES = 2048 };

/* CCM: plenty of room there, and no DMA master can reach it */
static uint8_t arena[ANCHORS_MAX_BYTES + CERTIFICATE_MAX_BYTES + KEY_MAX_BYTES] __attribute__((section(".ccm")));
static struct fat_volume volume;

static enum storage_error read_card_block(void *medium, uint32_t lba, uint8_t to[SD_BLOCK_SIZE])
{
    (void)medium;
    return sd_read_block(lba, to);
}

static enum storage_error load_internal(const struct device_config *config, struct credentials *out)
{
    out->source = "internal";
    out->anchor_count = config->anchor_count;
    memcpy(out->anchors, config->anchors, sizeof out->anchors);
    out->certificate = config->certificate;
    out->key = config->key;
    return STORAGE_OK;
}

/* One PEM file into `to`, closed with the NUL the parser wants to see. */
static enum storage_error load_file(const char *name, uint8_t *to, size_t size, struct blob *blob)
{
    char path[sizeof "/CREDS/" + 12] = "/CREDS/";
    size_t length;
    strncat(path, name, 12);
    watchdog_kick(); /* each file is bounded, a slow card times three is not far from 4 s */
    enum storage_error error = fat_read_file(&volume, path, to, size - 1, &length);
    if (error == STORAGE_FILE_MISSING || error == STORAGE_FILE_TOO_LARGE)
        console_line("storage", "error %s %s", storage_error_word(error), name);
    else if (error)
        console_line("storage", "error %s", storage_error_word(error));
    else
        to[length] = 0;
    *blob = (struct blob){ to, error ? 0 : length + 1 };
    return error;
}

static enum storage_error load_sd(struct credentials *out)
{
    struct sd_card card;
    enum storage_error error = sd_init(&card);
    out->source = "sd";
    if (!error) {
        console_line("storage", "sd type=%s blocks=%lu", card.high_capacity ? "SDHC" : "SDSC",
                     (unsigned long)card.blocks);
        error = fat_mount(&volume, read_card_block, NULL, card.blocks);
    }
    if (error) {
        console_line("storage", "error %s", storage_error_word(error));
        return error;
    }
    uint8_t *certificate = arena + ANCHORS_MAX_BYTES, *key = certificate + CERTIFICATE_MAX_BYTES;
    error = load_file("ROOTCA.CRT", arena, ANCHORS_MAX_BYTES, &out->anchors[0]);
    if (!error)
        error = load_file("DEVICE.CRT", certificate, CERTIFICATE_MAX_BYTES, &out->certificate);
    if (!error)
        error = load_file("DEVICE.KEY", key, KEY_MAX_BYTES, &out->key);
    out->anchor_count = error ? 0 : 1;
    return error;
}

/* The record at address 0 into the arena; magic and size are looked at before the rest is read. */
static enum storage_error read_record(struct tlv_area *area)
{
    enum storage_error error = eeprom_read(0, arena, TLV_RECORD_HEADER);
    if (error)
        return error;
    size_t size = tlv_record_size(arena);
    if (memcmp(arena, "OCE1", 4) != 0)
        return STORAGE_RECORD_MAGIC;
    if (size > sizeof arena)
        return STORAGE_RECORD_CRC; /* longer than any record the factory writes: the length is damaged */
    error = eeprom_read(0, arena, (uint32_t)size);
    if (error)
        return error;
    switch (tlv_record_open(arena, size, "OCE1", area)) {
    case TLV_RECORD_OK:
        return STORAGE_OK;
    case TLV_RECORD_MAGIC:
    case TLV_RECORD_VERSION:
        return STORAGE_RECORD_MAGIC; /* a kind of record unknown here */
    default:
        return STORAGE_RECORD_CRC;
    }
}

static bool take(struct credentials *out, const struct tlv_entry *entry)
{
    struct blob *to;
    switch (entry->tag) {
    case TLV_ANCHOR:
        if (out->anchor_count == CONFIG_ANCHORS_MAX)
            return false;
        to = &out->anchors[out->anchor_count++];
        break;
    case TLV_CERTIFICATE:
        to = &out->certificate;
        break;
    case TLV_KEY:
        to = &out->key;
        break;
    default:
        return true;
    }
    if (to->length || !entry->length) /* twice, or nothing in it */
        return false;
    *to = (struct blob){ entry->value, entry->length };
    return true;
}

/* Returns the tag that is missing, repeated or malformed if not *good. */
static uint16_t take_all(struct tlv_area area, struct credentials *out, bool *good)
{
    struct tlv_entry entry;
    enum tlv_step step;
    *good = false;
    while ((step = tlv_next(&area, &entry)) == TLV_ENTRY)
        if (!take(out, &entry))
            return entry.tag;
    if (step == TLV_BROKEN)
        return entry.tag;
    *good = out->anchor_count && out->certificate.length && out->key.length;
    return !out->anchor_count ? TLV_ANCHOR : !out->certificate.length ? TLV_CERTIFICATE : TLV_KEY;
}

static enum storage_error load_eeprom(struct credentials *out)
{
    struct tlv_area area;
    enum storage_error error = eeprom_init();
    out->source = "eeprom";
    if (!error) {
        console_line("storage", "eeprom bytes=%u", (unsigned)EEPROM_SIZE);
        error = read_record(&area);
    }
    if (error) {
        console_line("storage", "error %s", storage_error_word(error));
        return error;
    }
    bool good;
    uint16_t tag = take_all(area, out, &good);
    if (good)
        return STORAGE_OK;
    console_line("storage", "error %s %u", storage_error_word(STORAGE_RECORD_FIELD), (unsigned)tag);
    return STORAGE_RECORD_FIELD;
}

enum storage_error credentials_load(const struct device_config *config, struct credentials *out)
{
    memset(out, 0, sizeof *out);
    if (config->scheme == SCHEME_INTERNAL)
        return load_internal(config, out);
    return config->medium == MEDIUM_SD ? load_sd(out) : load_eeprom(out);
}

void credentials_wipe(struct credentials *out)
{
    volatile uint8_t *secret = arena; /* volatile: a last write to dead data must not be optimised away */
    for (size_t i = 0; i < sizeof arena; i++)
        secret[i] = 0;
    volatile uint8_t *cached = volume.block;
    for (size_t i = 0; i < sizeof volume.block; i++)
        cached[i] = 0;
    volume.cached_lba = UINT32_MAX;
    memset(out, 0, sizeof *out);
}
