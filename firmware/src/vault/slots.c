/* SPDX-License-Identifier: Apache-2.0 */
#include "vault/slots.h"
#include <string.h>
#include "board/chip_map.h"
#include "drivers/console.h"
#include "storage/tlv.h"
#include "storage/wipe.h"
#include "vault/content.h"
#include "vault/counters.h"
#include "vault/medium.h"
#include "vault/overwrite.h"
#include "vault/vault.h"

static const char FILE_NAME[] = "VAULT.BIN";
enum { BLANK = 0xFF };

struct slot {
    uint32_t offset; /* in the area */
    enum record_result look;
    size_t size; /* with look RECORD_OK, SWAPPED or FOREIGN */
    uint32_t version;
};

static enum storage_error look(const struct vault *vault, enum chunk chunk, struct slot slots[CHUNK_SLOTS])
{
    const struct chunk_place *place = chunk_place(chunk);
    for (unsigned i = 0; i < CHUNK_SLOTS; i++) {
        uint8_t head[RECORD_HEAD];
        slots[i] = (struct slot){ .offset = place->offset + i * place->size };
        enum storage_error error = vault->medium->read(FILE_NAME, slots[i].offset, head, sizeof head);
        if (error) {
            return error;
        }
        slots[i].look =
            record_look(&vault->record, chunk, slots[i].offset, place->size, head, &slots[i].size, &slots[i].version);
    }
    return STORAGE_OK;
}

/* The slot whose head claims the later version goes first, but one beyond what the chip has committed is what a cut left
 * of an update: its companions may not have been written. Whether the medium is believed otherwise is the format's. */
static unsigned first_slot(enum chunk chunk, const struct slot slots[CHUNK_SLOTS])
{
    uint32_t committed = counters_version(chunk);
    bool good[CHUNK_SLOTS];
    for (unsigned i = 0; i < CHUNK_SLOTS; i++) {
        good[i] = slots[i].look == RECORD_OK && slots[i].version <= committed;
    }
    if (good[0] != good[1]) {
        return good[1];
    }
    return slots[1].look == RECORD_OK && (slots[0].look != RECORD_OK || slots[1].version > slots[0].version);
}

static bool stale(const struct vault *vault, enum chunk chunk, uint32_t version)
{
    return vault->record.format->fresh && version != counters_version(chunk);
}

/* Reads and opens one slot; the content stays in the buffer of the credentials if it is one that counts. */
static enum storage_error open_slot(struct vault *vault, enum chunk chunk, const struct slot *slot,
                                    enum record_result *result, struct blob *content)
{
    size_t before = vault->out->used, length = 0;
    uint32_t version = 0;
    *result = slot->look;
    if (slot->look != RECORD_OK) {
        return STORAGE_OK;
    }
    uint8_t *record = credentials_take(vault->out, slot->size);
    if (record == NULL) {
        return STORAGE_MEMORY;
    }
    enum storage_error error = vault->medium->read(FILE_NAME, slot->offset, record, (uint32_t)slot->size);
    if (!error) {
        *result = record_open(&vault->record, chunk, slot->offset, record, slot->size, &length, &version);
        if (*result == RECORD_OK && stale(vault, chunk, version)) {
            *result = RECORD_STALE;
        }
    }
    /* once more: one skipped instruction must not bring an old one back */
    if (error || *result != RECORD_OK || stale(vault, chunk, version)) {
        *result = *result == RECORD_OK ? RECORD_STALE : *result;
        wipe(record, slot->size);
        vault->out->used = before;
    }
    *content = (struct blob){ record + RECORD_HEAD, length };
    return error;
}

static enum storage_error blank_slot(const struct vault *vault, enum chunk chunk, const struct slot *slot)
{
    return overwrite_blank(vault->medium, FILE_NAME, slot->offset, chunk_place(chunk)->size, BLANK);
}

/* The content that counts; the other slot, if anything is in it, is what a cut left: an older version, or a newer one that
 * never came to count. Where nothing counts nothing is touched: the medium may be somebody else's. */
static enum storage_error open_chunk(struct vault *vault, enum chunk chunk, enum record_result *result,
                                     struct blob *content)
{
    struct slot slots[CHUNK_SLOTS];
    enum storage_error error = look(vault, chunk, slots);
    unsigned taken = first_slot(chunk, slots);
    *result = RECORD_MISSING;
    for (unsigned i = 0; i < CHUNK_SLOTS && !error && *result != RECORD_OK; i++) {
        enum record_result now;
        taken ^= i;
        error = open_slot(vault, chunk, &slots[taken], &now, content);
        *result = now > *result ? now : *result;
    }
    if (!error && *result == RECORD_OK && slots[!taken].look != RECORD_MISSING) {
        error = blank_slot(vault, chunk, &slots[!taken]);
    }
    return error;
}

static enum storage_error fetch(struct vault *vault, enum chunk chunk, const uint8_t **data, size_t *length)
{
    enum record_result result;
    struct blob content = { 0 };
    enum storage_error error = open_chunk(vault, chunk, &result, &content);
    if (error) {
        return credentials_error_file(error, FILE_NAME);
    }
    if (result != RECORD_OK) {
        console_line("storage", "error record-%s %s", record_result_word(result), chunk_place(chunk)->name);
        return STORAGE_RECORD;
    }
    *data = content.data;
    *length = content.length;
    return STORAGE_OK;
}

static enum storage_error load(struct vault *vault)
{
    enum storage_error error = STORAGE_OK;
    for (enum chunk chunk = CHUNK_DEVICE_KEY; chunk <= CHUNK_BROKER_CA && !error; chunk++) {
        uint16_t tag = chunk_place(chunk)->tag;
        struct blob content;
        if (vault->config->scheme->on_chip & 1u << tag) {
            continue;
        }
        error = fetch(vault, chunk, &content.data, &content.length);
        if (!error && !content_take(content, tag, vault->out)) {
            error = credentials_error_field(tag);
        }
    }
    return error;
}

static enum storage_error store_chunk(struct vault *vault, const struct vault_update *update, uint32_t seal)
{
    enum chunk chunk = update->chunk;
    struct slot slots[CHUNK_SLOTS];
    size_t length = content_size(update->values, update->count), size = record_size(vault->record.format, length);
    size_t before = vault->out->used;
    uint32_t old = counters_version(chunk);
    uint8_t *content = credentials_take(vault->out, length), *record = credentials_take(vault->out, size);
    enum storage_error error = content == NULL || record == NULL ? STORAGE_MEMORY : look(vault, chunk, slots);
    if (!error) {
        const struct slot *target = &slots[!first_slot(chunk, slots)];
        content_write(update->values, update->count, content);
        if (!record_seal(&vault->record, chunk, old + 1, seal, target->offset, content, length, record)) {
            error = STORAGE_MEMORY;
        }
        if (!error && target->look != RECORD_MISSING) {
            error = blank_slot(vault, chunk, target);
        }
        if (!error) {
            error = overwrite(vault->medium, FILE_NAME, target->offset, record, (uint32_t)size);
        }
    }
    if (content != NULL) {
        wipe(content, vault->out->used - before);
    }
    vault->out->used = before;
    return error;
}

static enum storage_error store(struct vault *vault, const struct vault_update *updates, size_t count, uint32_t *chunks)
{
    uint32_t seal;
    (void)chunks;
    /* the numbers are in flash before one of them is used */
    enum storage_error error = counters_take_seals((uint32_t)count, &seal) ? STORAGE_OK : STORAGE_FLASH;
    for (size_t i = 0; i < count && !error; i++) {
        error = store_chunk(vault, &updates[i], seal + (uint32_t)i);
    }
    return error;
}

/* The slot of the version that counts stays, whatever else is true of it: it was read back when it was written. */
static enum storage_error erase_chunk(struct vault *vault, enum chunk chunk, bool all)
{
    struct slot slots[CHUNK_SLOTS];
    enum storage_error error = all ? STORAGE_OK : look(vault, chunk, slots);
    for (unsigned i = 0; i < CHUNK_SLOTS && !error; i++) {
        if (all) {
            slots[i].offset = chunk_place(chunk)->offset + i * chunk_place(chunk)->size;
        } else if (slots[i].look == RECORD_OK && slots[i].version == counters_version(chunk)) {
            continue;
        }
        error = blank_slot(vault, chunk, &slots[i]);
    }
    return error;
}

static enum storage_error erase(struct vault *vault, uint32_t chunks, bool all)
{
    enum storage_error error = STORAGE_OK;
    for (enum chunk chunk = CHUNK_DEVICE_KEY; chunk < CHUNK_COUNT && !error; chunk++) {
        if (chunks & 1u << chunk) {
            error = erase_chunk(vault, chunk, all);
        }
    }
    return error;
}

static uint32_t size(const struct vault *vault, enum chunk chunk)
{
    (void)vault;
    return chunk_place(chunk)->size - RECORD_OVERHEAD;
}

static const struct record_format ENCRYPTED = { .magic = "OCX1" };
static const struct record_format SEALED = { .magic = "OCV1", .authenticated = true };
static const struct record_format LABELLED = { .magic = "OCV1", .authenticated = true, .labelled = true };
static const struct record_format FRESH = { .magic = "OCV1", .authenticated = true, .labelled = true, .fresh = true };
static const struct record_format FLEET_KEY = {
    .magic = "OCV1", .authenticated = true, .labelled = true, .fresh = true, .shared = true
};

#define RECORDS load, fetch, store, erase, size
const struct scheme SCHEME_ENCRYPTED = { "encrypted", 3, true, 0, RECORDS, &ENCRYPTED };
const struct scheme SCHEME_SEALED = { "sealed", 4, true, 0, RECORDS, &SEALED };
const struct scheme SCHEME_LABELLED = { "labelled", 5, true, 0, RECORDS, &LABELLED };
const struct scheme SCHEME_FRESH = { "fresh", 6, true, 0, RECORDS, &FRESH };
const struct scheme SCHEME_SPLIT = { "split", 7, true, 1u << TLV_KEY, RECORDS, &FRESH };
const struct scheme SCHEME_FLEET_KEY = { "fleet-key", 8, true, 0, RECORDS, &FLEET_KEY };
