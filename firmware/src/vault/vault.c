/* SPDX-License-Identifier: Apache-2.0 */
/* Order of an update, SPEC section 9: number of the seal to flash - new record to the slot that does not count - read
 * back - its version to flash: from here on it counts - old record overwritten. A cut leaves old or new, never neither. */
#include "vault/vault.h"
#include <string.h>
#include "board/chip_map.h"
#include "drivers/console.h"
#include "drivers/rng.h"
#include "drivers/watchdog.h"
#include "storage/tlv.h"
#include "storage/wipe.h"
#include "vault/chunk.h"
#include "vault/config.h"
#include "vault/counters.h"
#include "vault/credentials.h"
#include "vault/medium.h"
#include "vault/record.h"

static const char FILE_NAME[] = "VAULT.BIN";
enum { CONTENT_HEAD = 2 };
static const enum chunk CHUNK_LAST = CHUNK_BROKER_CA; /* of the credentials; the chunks behind it come with enrolment */

struct vault {
    const struct medium *medium;
    struct credentials *out;
    struct record_context context;
};

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
            record_look(&vault->context, chunk, slots[i].offset, place->size, head, &slots[i].size, &slots[i].version);
    }
    return STORAGE_OK;
}

/* The slot whose head claims the later version goes first: after a cut in an update both may be good. */
static unsigned first_slot(const struct slot slots[CHUNK_SLOTS])
{
    if (slots[1].look != RECORD_OK) {
        return 0;
    }
    return slots[0].look != RECORD_OK || slots[1].version > slots[0].version;
}

/* Reads and opens one slot; the content stays in the buffer of the credentials if it is the one that counts. */
static enum storage_error open_slot(struct vault *vault, enum chunk chunk, const struct slot *slot,
                                    enum record_result *result, struct blob *content)
{
    size_t before = vault->out->used, length = 0;
    uint32_t version;
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
        *result = record_open(&vault->context, chunk, slot->offset, record, slot->size, &length, &version);
        if (*result == RECORD_OK && vault->context.format->fresh && version != counters_version(chunk)) {
            *result = RECORD_STALE;
        }
    }
    if (error || *result != RECORD_OK) {
        wipe(record, slot->size);
        vault->out->used = before;
    }
    *content = (struct blob){ record + RECORD_HEAD, length };
    return error;
}

static enum storage_error open_chunk(struct vault *vault, enum chunk chunk, enum record_result *result,
                                     struct blob *content)
{
    struct slot slots[CHUNK_SLOTS];
    enum storage_error error = look(vault, chunk, slots);
    unsigned first = first_slot(slots);
    *result = RECORD_MISSING;
    for (unsigned i = 0; i < CHUNK_SLOTS && !error && *result != RECORD_OK; i++) {
        enum record_result now;
        error = open_slot(vault, chunk, &slots[first ^ i], &now, content);
        *result = now > *result ? now : *result;
    }
    return error;
}

/* The content of a chunk: values, each behind its length; that there is nothing else is no secret of the format. */
static bool take_content(struct blob content, struct credentials *out, uint16_t tag)
{
    size_t at = 0;
    while (content.length - at > CONTENT_HEAD) {
        size_t length = content.data[at] | (size_t)content.data[at + 1] << 8;
        at += CONTENT_HEAD;
        if (length == 0 || length > content.length - at) {
            return false;
        }
        struct blob *to = tag == TLV_KEY ? &out->key : &out->certificate;
        if (tag == TLV_ANCHOR) {
            if (out->anchor_count == CONFIG_ANCHORS_MAX) {
                return false;
            }
            to = &out->anchors[out->anchor_count++];
        }
        if (to->length) {
            return false;
        }
        *to = (struct blob){ content.data + at, length };
        at += length;
    }
    return at > 0 && at == content.length;
}

static enum storage_error load_chunk(struct vault *vault, enum chunk chunk)
{
    enum record_result result;
    struct blob content;
    enum storage_error error = open_chunk(vault, chunk, &result, &content);
    if (error) {
        return credentials_error_file(error, FILE_NAME);
    }
    const struct chunk_place *place = chunk_place(chunk);
    if (result != RECORD_OK) {
        console_line("storage", "error record-%s %s", record_result_word(result), place->name);
        return STORAGE_RECORD;
    }
    return take_content(content, vault->out, place->tag) ? STORAGE_OK : credentials_error_field(place->tag);
}

static enum storage_error write_blank(const struct vault *vault, uint32_t offset, size_t length)
{
    uint8_t ones[64];
    enum storage_error error = STORAGE_OK;
    memset(ones, 0xFF, sizeof ones);
    for (size_t done = 0; done < length && !error; done += sizeof ones) {
        size_t n = length - done < sizeof ones ? length - done : sizeof ones;
        watchdog_kick();
        error = vault->medium->write(FILE_NAME, offset + (uint32_t)done, ones, (uint32_t)n);
    }
    return error;
}

/* A medium may take a write and keep something else. */
static enum storage_error write_checked(const struct vault *vault, uint32_t offset, const uint8_t *record, size_t size)
{
    enum storage_error error = STORAGE_OK;
    for (size_t done = 0; done < size && !error; done += SD_BLOCK_SIZE) {
        size_t n = size - done < SD_BLOCK_SIZE ? size - done : SD_BLOCK_SIZE;
        uint8_t back[SD_BLOCK_SIZE];
        watchdog_kick();
        error = vault->medium->write(FILE_NAME, offset + (uint32_t)done, record + done, (uint32_t)n);
        if (!error) {
            error = vault->medium->read(FILE_NAME, offset + (uint32_t)done, back, (uint32_t)n);
        }
        if (!error && memcmp(back, record + done, n) != 0) {
            error = STORAGE_CARD_ERROR;
        }
    }
    return error;
}

static enum storage_error store_chunk(struct vault *vault, enum chunk chunk, const uint8_t *content, size_t length)
{
    const struct chunk_place *place = chunk_place(chunk);
    struct slot slots[CHUNK_SLOTS];
    size_t size = record_size(vault->context.format, length), before = vault->out->used;
    uint8_t *record = size > place->size ? NULL : credentials_take(vault->out, size);
    uint32_t seal, old = counters_version(chunk);
    if (record == NULL) {
        return STORAGE_MEMORY;
    }
    enum storage_error error = look(vault, chunk, slots);
    unsigned keep = slots[1].look == RECORD_OK && slots[1].version == old, target = !keep;
    if (!error && (!counters_next_seal(&seal) || !record_seal(&vault->context, chunk, old + 1, seal,
                                                              slots[target].offset, content, length, record))) {
        error = STORAGE_FLASH;
    }
    if (!error) {
        error = write_checked(vault, slots[target].offset, record, size);
    }
    if (!error && !counters_commit(chunk, old + 1)) {
        error = STORAGE_FLASH;
    }
    if (!error && slots[keep].look != RECORD_MISSING) {
        error = write_blank(vault, slots[keep].offset, place->size);
    }
    wipe(record, size);
    vault->out->used = before;
    if (!error) {
        console_line("vault", "sealed chunk=%s version=%lu", place->name, (unsigned long)(old + 1));
    }
    return error;
}

/* The factory's clear credentials in the second vault sector (SPEC section 8), until they are sealed. */
static bool pending(struct tlv_area *area)
{
    return tlv_record_open((const uint8_t *)VAULT_B_START, VAULT_B_SIZE, "OCP1", area) == TLV_RECORD_OK;
}

/* Collects the values of one tag as the content of a chunk and seals it. */
static enum storage_error seal_pending(struct vault *vault, struct tlv_area area, enum chunk chunk)
{
    size_t before = vault->out->used, length = 0;
    const struct chunk_place *place = chunk_place(chunk);
    struct tlv_entry entry;
    uint8_t *content = credentials_take(vault->out, place->size);
    if (content == NULL) {
        return STORAGE_MEMORY;
    }
    while (tlv_next(&area, &entry) == TLV_ENTRY) {
        if (entry.tag != place->tag) {
            continue;
        }
        if (length + CONTENT_HEAD + entry.length > place->size) {
            return STORAGE_MEMORY;
        }
        content[length] = (uint8_t)entry.length;
        content[length + 1] = (uint8_t)(entry.length >> 8);
        memcpy(content + length + CONTENT_HEAD, entry.value, entry.length);
        length += CONTENT_HEAD + entry.length;
    }
    enum storage_error error = store_chunk(vault, chunk, content, length);
    wipe(content, place->size);
    vault->out->used = before;
    return error;
}

static enum storage_error create_secret(void)
{
    uint8_t secret[DEVICE_SECRET_SIZE];
    enum storage_error error = rng_fill(secret, sizeof secret) == RNG_OK ? STORAGE_OK : STORAGE_RNG;
    if (!error && !counters_create(secret)) {
        error = STORAGE_FLASH;
    }
    wipe(secret, sizeof secret);
    if (!error) {
        console_line("vault", "secret created");
    }
    return error;
}

static bool on_medium(const struct scheme *scheme, enum chunk chunk)
{
    return !(scheme->on_chip & 1u << chunk_place(chunk)->tag);
}

/* Secret and first seals. Whatever a cut leaves of it is done again at the next start: the clear credentials go last. */
static enum storage_error prepare(struct vault *vault, const struct scheme *scheme)
{
    struct tlv_area area;
    bool to_seal = pending(&area);
    if (!counters_open()) {
        enum storage_error error = to_seal ? create_secret() : STORAGE_NO_SECRET;
        if (error) {
            return error;
        }
    }
    vault->context.secret = counters_secret();
    for (enum chunk chunk = CHUNK_DEVICE_KEY; to_seal && chunk <= CHUNK_LAST; chunk++) {
        enum storage_error error = on_medium(scheme, chunk) ? seal_pending(vault, area, chunk) : STORAGE_OK;
        if (error) {
            return error;
        }
        vault->context.secret = counters_secret(); /* the sector in use may have changed */
    }
    return counters_tidy() ? STORAGE_OK : STORAGE_FLASH;
}

static enum storage_error load(const struct device_config *config, struct credentials *out)
{
    const struct scheme *scheme = config->scheme;
    struct vault vault = { .medium = config->medium, .out = out };
    vault.context = (struct record_context){ .format = scheme->format, .scheme = scheme->name, .code = scheme->code };
    memcpy(vault.context.identity, (const void *)UID_START, sizeof vault.context.identity);
    out->source = config->medium->name;
    enum storage_error error = vault.medium->present();
    if (!error) {
        error = prepare(&vault, scheme);
    }
    if (error) {
        return credentials_error_file(error, FILE_NAME);
    }
    out->key = config->key; /* where the scheme leaves it in the page */
    for (enum chunk chunk = CHUNK_DEVICE_KEY; chunk <= CHUNK_LAST && !error; chunk++) {
        error = on_medium(scheme, chunk) ? load_chunk(&vault, chunk) : STORAGE_OK;
    }
    return error;
}

static const struct record_format ENCRYPTED = { .magic = "OCX1" };
static const struct record_format SEALED = { .magic = "OCV1", .authenticated = true };
static const struct record_format LABELLED = { .magic = "OCV1", .authenticated = true, .labelled = true };
static const struct record_format FRESH = { .magic = "OCV1", .authenticated = true, .labelled = true, .fresh = true };
static const struct record_format FLEET_KEY = {
    .magic = "OCV1", .authenticated = true, .labelled = true, .fresh = true, .shared = true
};

const struct scheme SCHEME_ENCRYPTED = { "encrypted", 3, true, 0, load, &ENCRYPTED };
const struct scheme SCHEME_SEALED = { "sealed", 4, true, 0, load, &SEALED };
const struct scheme SCHEME_LABELLED = { "labelled", 5, true, 0, load, &LABELLED };
const struct scheme SCHEME_FRESH = { "fresh", 6, true, 0, load, &FRESH };
const struct scheme SCHEME_SPLIT = { "split", 7, true, 1u << TLV_KEY, load, &FRESH };
const struct scheme SCHEME_FLEET_KEY = { "fleet-key", 8, true, 0, load, &FLEET_KEY };
