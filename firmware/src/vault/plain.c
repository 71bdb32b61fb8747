/* SPDX-License-Identifier: Apache-2.0 */
/* Where the version that counts lies follows from its number, which the chip keeps: 0 is what the factory wrote; after
 * that two places take turns. The medium is believed: if that place is blank, what the others hold is taken. */
#include "vault/plain.h"
#include <string.h>
#include "mbedtls/base64.h"
#include "drivers/console.h"
#include "storage/crc32.h"
#include "storage/tlv.h"
#include "storage/wipe.h"
#include "vault/content.h"
#include "vault/counters.h"
#include "vault/medium.h"
#include "vault/overwrite.h"
#include "vault/vault.h"

enum { ANCHORS_MAX_BYTES = 16384, CERTIFICATE_MAX_BYTES = 4096, KEY_MAX_BYTES = 2048 };
enum { RECORD_MAX_BYTES = ANCHORS_MAX_BYTES + CERTIFICATE_MAX_BYTES + KEY_MAX_BYTES };
enum { RECORD_SLOT = 16384 }; /* an area without names: one record for all, in two places */
enum { PLACES = 3, PROBE = 32, BLANK_TEXT = '\n', BLANK_CELL = 0xFF };
enum { LINE_BYTES = 48, LINE_TEXT = 64 }; /* RFC 7468 section 2 */

static const struct {
    const char *names[PLACES]; /* version 0; odd; even */
    uint32_t capacity;
} FILES[] = {
    [CHUNK_DEVICE_KEY] = { { "DEVICE.KEY", "DEVICE1.KEY", "DEVICE2.KEY" }, KEY_MAX_BYTES },
    [CHUNK_DEVICE_CERTIFICATE] = { { "DEVICE.CRT", "DEVICE1.CRT", "DEVICE2.CRT" }, CERTIFICATE_MAX_BYTES },
    [CHUNK_BROKER_CA] = { { "ROOTCA.CRT", "ROOTCA1.CRT", "ROOTCA2.CRT" }, ANCHORS_MAX_BYTES },
};

static unsigned place_of(uint32_t version)
{
    return version == 0 ? 0 : 2 - version % 2;
}

static bool on_medium(const struct vault *vault, enum chunk chunk)
{
    return chunk <= CHUNK_BROKER_CA && !(vault->config->scheme->on_chip & 1u << chunk_place(chunk)->tag);
}

static bool blank(const uint8_t *bytes, size_t length)
{
    for (size_t i = 0; i < length; i++) {
        if (bytes[i] != 0 && bytes[i] != BLANK_CELL && bytes[i] != BLANK_TEXT) {
            return false;
        }
    }
    return true;
}

/* files ------------------------------------------------------------------------------------------------------------ */

/* One PEM file, closed with the NUL the parser wants to see; an empty blob if it is blank. */
static enum storage_error load_file(struct vault *vault, const char *name, uint32_t capacity, struct blob *blob)
{
    uint32_t length;
    enum storage_error error = vault->medium->size(name, &length);
    if (!error && length >= capacity) {
        error = STORAGE_FILE_TOO_LARGE;
    }
    size_t before = vault->out->used;
    uint8_t *to = error ? NULL : credentials_take(vault->out, length + 1);
    if (!error) {
        error = to == NULL ? STORAGE_FILE_TOO_LARGE : vault->medium->read(name, 0, to, length);
    }
    if (error) {
        return error;
    }
    to[length] = 0;
    *blob = (struct blob){ to, length + 1 };
    if (length > 0 && blank(to, length)) {
        vault->out->used = before;
        *blob = (struct blob){ 0 };
    }
    return STORAGE_OK;
}

static enum storage_error is_blank(struct vault *vault, const char *name, bool *blank_file)
{
    uint8_t head[PROBE];
    uint32_t length;
    enum storage_error error = vault->medium->size(name, &length);
    *blank_file = error == STORAGE_FILE_MISSING;
    if (error) {
        return *blank_file ? STORAGE_OK : error;
    }
    length = length < sizeof head ? length : sizeof head;
    error = vault->medium->read(name, 0, head, length);
    *blank_file = blank(head, length);
    wipe(head, sizeof head);
    return error;
}

/* What a cut left in the other places: the first bytes go last, so they tell. */
static enum storage_error blank_others(struct vault *vault, enum chunk chunk, unsigned taken)
{
    enum storage_error error = STORAGE_OK;
    for (unsigned place = 0; place < PLACES && !error; place++) {
        const char *name = FILES[chunk].names[place];
        bool nothing = place == taken;
        uint32_t length;
        if (!nothing) {
            error = is_blank(vault, name, &nothing);
        }
        if (!error && !nothing) {
            error = vault->medium->size(name, &length);
            error = error ? error : overwrite_blank(vault->medium, name, 0, length, BLANK_TEXT);
        }
    }
    return error;
}

static enum storage_error load_chunk(struct vault *vault, enum chunk chunk, struct blob *blob)
{
    uint32_t version = counters_version(chunk);
    unsigned first = place_of(version), taken = first;
    enum storage_error error = load_file(vault, FILES[chunk].names[first], FILES[chunk].capacity, blob);
    for (unsigned place = 0; version > 0 && place < PLACES && (error || !blob->length); place++) {
        taken = place;
        error = load_file(vault, FILES[chunk].names[place], FILES[chunk].capacity, blob);
    }
    if (!error && blob->length && counters_exist()) {
        error = blank_others(vault, chunk, taken);
    }
    if (error) {
        return credentials_error_file(error, FILES[chunk].names[first]);
    }
    if (!blob->length) {
        console_line("storage", "error record-missing %s", chunk_place(chunk)->name);
        return STORAGE_RECORD;
    }
    return STORAGE_OK;
}

static enum storage_error load_files(struct vault *vault)
{
    struct credentials *out = vault->out;
    enum storage_error error = load_chunk(vault, CHUNK_BROKER_CA, &out->anchors[0]);
    if (!error) {
        error = load_chunk(vault, CHUNK_DEVICE_CERTIFICATE, &out->certificate);
    }
    if (!error && on_medium(vault, CHUNK_DEVICE_KEY)) {
        error = load_chunk(vault, CHUNK_DEVICE_KEY, &out->key);
    }
    out->anchor_count = error ? 0 : 1;
    return error;
}

static const char *label_of(enum chunk chunk, const struct blob *value)
{
    if (chunk != CHUNK_DEVICE_KEY) {
        return "CERTIFICATE";
    }
    /* behind the outer head INTEGER version: 1 in SEC1; 0 in PKCS#8, before a SEQUENCE, and in PKCS#1, before an INTEGER */
    size_t at = value->length < 2 || value->data[1] < 0x80 ? 2 : 2u + (value->data[1] & 0x7Fu);
    if (at + 3 >= value->length) {
        return "PRIVATE KEY";
    }
    return value->data[at + 2] == 1 ? "EC PRIVATE KEY" : value->data[at + 3] == 2 ? "RSA PRIVATE KEY" : "PRIVATE KEY";
}

/* Text to the end of the buffer, as long as it fits. */
struct text {
    uint8_t *at;
    size_t left;
};

static bool put(struct text *to, const void *text, size_t length)
{
    if (length > to->left) {
        return false;
    }
    memcpy(to->at, text, length);
    to->at += length;
    to->left -= length;
    return true;
}

static bool put_line(struct text *to, const char *begin, const char *label)
{
    return put(to, begin, strlen(begin)) && put(to, label, strlen(label)) && put(to, "-----\n", 6);
}

static bool put_pem(struct text *to, const char *label, struct blob value)
{
    bool good = put_line(to, "-----BEGIN ", label);
    for (size_t at = 0; at < value.length && good; at += LINE_BYTES) {
        unsigned char line[LINE_TEXT + 1];
        size_t n = value.length - at < LINE_BYTES ? value.length - at : LINE_BYTES, length;
        good = mbedtls_base64_encode(line, sizeof line, &length, value.data + at, n) == 0 && put(to, line, length) &&
               put(to, "\n", 1);
        wipe(line, sizeof line);
    }
    return good && put_line(to, "-----END ", label);
}

/* With an older medium in use, what is believed may lie where the next version goes: then that place counts first. */
static enum storage_error make_room(struct vault *vault, enum chunk chunk)
{
    uint32_t version = counters_version(chunk);
    bool gone, free;
    enum storage_error error = is_blank(vault, FILES[chunk].names[place_of(version)], &gone);
    if (!error) {
        error = is_blank(vault, FILES[chunk].names[place_of(version + 1)], &free);
    }
    if (!error && gone && !free && !counters_commit(1u << chunk)) {
        error = STORAGE_FLASH;
    }
    return error;
}

/* Its file has the size the factory gave it: the rest is blank text. */
static enum storage_error store_file(struct vault *vault, const struct vault_update *update)
{
    enum storage_error error = make_room(vault, update->chunk);
    const char *name = FILES[update->chunk].names[place_of(counters_version(update->chunk) + 1)];
    size_t before = vault->out->used;
    uint32_t size;
    if (!error) {
        error = vault->medium->size(name, &size);
    }
    uint8_t *file = error ? NULL : credentials_take(vault->out, size);
    if (!error && file == NULL) {
        error = STORAGE_MEMORY;
    }
    if (!error) {
        struct text text = { file, size };
        bool good = true;
        memset(file, BLANK_TEXT, size);
        for (size_t i = 0; i < update->count && good; i++) {
            good = put_pem(&text, label_of(update->chunk, &update->values[i]), update->values[i]);
        }
        error = good ? overwrite(vault->medium, name, 0, file, size) : STORAGE_FILE_TOO_LARGE;
        wipe(file, size);
    }
    vault->out->used = before;
    return error;
}

static enum storage_error erase_files(struct vault *vault, enum chunk chunk, bool all)
{
    enum storage_error error = STORAGE_OK;
    for (unsigned place = 0; place < PLACES && !error; place++) {
        const char *name = FILES[chunk].names[place];
        uint32_t length;
        if (!all && place == place_of(counters_version(chunk))) {
            continue;
        }
        error = vault->medium->size(name, &length);
        error = error == STORAGE_FILE_MISSING ? STORAGE_OK
              : error                         ? error
                                              : overwrite_blank(vault->medium, name, 0, length, BLANK_TEXT);
    }
    return error;
}

/* the record ------------------------------------------------------------------------------------------------------- */

static uint32_t slot_of(uint32_t version)
{
    return version % 2 * RECORD_SLOT;
}

/* Magic and size are looked at before the rest is read. */
static enum storage_error read_record(struct vault *vault, uint32_t offset, struct tlv_area *area)
{
    uint8_t header[TLV_RECORD_HEADER];
    enum storage_error error = vault->medium->read(NULL, offset, header, sizeof header);
    if (error) {
        return error;
    }
    if (memcmp(header, "OCE1", 4) != 0) {
        return STORAGE_RECORD_MAGIC;
    }
    size_t size = tlv_record_size(header);
    uint8_t *record = size > RECORD_MAX_BYTES ? NULL : credentials_take(vault->out, size);
    if (record == NULL) {
        return STORAGE_RECORD_CRC; /* longer than any record the factory writes: the length is damaged */
    }
    error = vault->medium->read(NULL, offset, record, (uint32_t)size);
    if (error) {
        return error;
    }
    switch (tlv_record_open(record, size, "OCE1", area)) {
    case TLV_RECORD_OK:
        return STORAGE_OK;
    case TLV_RECORD_MAGIC:
    case TLV_RECORD_VERSION:
        return STORAGE_RECORD_MAGIC; /* a kind of record unknown here */
    default:
        return STORAGE_RECORD_CRC;
    }
}

/* The record that counts, or, once there was an update, whatever the other place holds. */
static enum storage_error find_record(struct vault *vault, struct tlv_area *area, uint32_t *offset)
{
    uint32_t version = counters_version(CHUNK_RECORD);
    *offset = slot_of(version);
    enum storage_error error = read_record(vault, *offset, area);
    if (error == STORAGE_RECORD_MAGIC && version > 0) {
        *offset = slot_of(version + 1);
        error = read_record(vault, *offset, area);
    }
    return error;
}

static bool take(struct vault *vault, const struct tlv_entry *entry)
{
    struct credentials *out = vault->out;
    struct blob *to;
    switch (entry->tag) {
    case TLV_ANCHOR:
        if (out->anchor_count == CONFIG_ANCHORS_MAX) {
            return false;
        }
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
    if (to->length || !entry->length) { /* twice, or nothing in it */
        return false;
    }
    *to = (struct blob){ entry->value, entry->length };
    return true;
}

/* False: *tag is missing, repeated or malformed (0: an entry's head is cut off). */
static bool take_all(struct vault *vault, struct tlv_area area, uint16_t *tag)
{
    const struct credentials *out = vault->out;
    struct tlv_entry entry;
    enum tlv_step step;
    while ((step = tlv_next(&area, &entry)) == TLV_ENTRY) {
        if (!take(vault, &entry)) {
            break;
        }
    }
    if (step != TLV_END) {
        *tag = entry.tag;
        return false;
    }
    *tag = !out->anchor_count ? TLV_ANCHOR : !out->certificate.length ? TLV_CERTIFICATE : TLV_KEY;
    return out->anchor_count && out->certificate.length && out->key.length;
}

static enum storage_error load_record(struct vault *vault)
{
    struct tlv_area area;
    uint32_t offset;
    uint16_t tag;
    enum storage_error error = find_record(vault, &area, &offset);
    if (!error && counters_exist()) {
        uint8_t head[PROBE];
        uint32_t other = RECORD_SLOT - offset;
        error = vault->medium->read(NULL, other, head, sizeof head);
        if (!error && !blank(head, sizeof head)) {
            error = overwrite_blank(vault->medium, NULL, other, RECORD_SLOT, BLANK_CELL);
        }
        wipe(head, sizeof head);
    }
    if (error) {
        return credentials_error(error);
    }
    return take_all(vault, area, &tag) ? STORAGE_OK : credentials_error_field(tag);
}

static bool put_entry(struct text *to, uint16_t tag, struct blob value)
{
    static const uint8_t padding[3] = { BLANK_CELL, BLANK_CELL, BLANK_CELL };
    const uint8_t head[4] = { (uint8_t)tag, (uint8_t)(tag >> 8), (uint8_t)value.length, (uint8_t)(value.length >> 8) };
    return put(to, head, sizeof head) && put(to, value.data, value.length) && put(to, padding, -value.length % 4u);
}

/* The entries of one chunk: the new ones, or those that are there already. */
static bool put_chunk(struct text *to, enum chunk chunk, const struct vault_update *updates, size_t count,
                      struct tlv_area area)
{
    uint16_t tag = chunk_place(chunk)->tag;
    struct tlv_entry entry;
    bool good = true;
    for (size_t i = 0; i < count; i++) {
        if (updates[i].chunk != chunk) {
            continue;
        }
        for (size_t n = 0; n < updates[i].count && good; n++) {
            good = put_entry(to, tag, updates[i].values[n]);
        }
        return good;
    }
    while (good && tlv_next(&area, &entry) == TLV_ENTRY) {
        if (entry.tag == tag) {
            good = put_entry(to, tag, (struct blob){ entry.value, entry.length });
        }
    }
    return good;
}

static enum storage_error store_record(struct vault *vault, const struct vault_update *updates, size_t count)
{
    enum { LARGEST = 8192 };
    struct tlv_area area = { 0 };
    size_t before = vault->out->used;
    uint32_t live;
    uint8_t *record = credentials_take(vault->out, LARGEST);
    if (record == NULL) {
        return STORAGE_MEMORY;
    }
    if (find_record(vault, &area, &live) != STORAGE_OK) {
        area = (struct tlv_area){ 0 }; /* after a reset, or lost: the update must bring everything */
    } else if (live != slot_of(counters_version(CHUNK_RECORD)) && !counters_commit(1u << CHUNK_RECORD)) {
        return STORAGE_FLASH; /* an older medium is in use: its place counts, before the other one is written */
    }
    struct text text = { record + TLV_RECORD_HEADER, LARGEST - TLV_RECORD_OVERHEAD };
    bool good = true;
    static const enum chunk ORDER[] = { CHUNK_BROKER_CA, CHUNK_DEVICE_CERTIFICATE, CHUNK_DEVICE_KEY };
    for (size_t i = 0; i < sizeof ORDER / sizeof ORDER[0] && good; i++) {
        good = !on_medium(vault, ORDER[i]) || put_chunk(&text, ORDER[i], updates, count, area);
    }
    enum storage_error error = STORAGE_MEMORY;
    if (good) {
        size_t length = (size_t)(text.at - record), area_length = length - TLV_RECORD_HEADER;
        const uint8_t header[TLV_RECORD_HEADER] = {
            'O', 'C', 'E', '1', 1, 0, (uint8_t)area_length, (uint8_t)(area_length >> 8)
        };
        memcpy(record, header, sizeof header);
        uint32_t check = crc32(record, length);
        memcpy(record + length, &check, sizeof check);
        error = overwrite(vault->medium, NULL, slot_of(counters_version(CHUNK_RECORD) + 1), record,
                          (uint32_t)(length + sizeof check));
    }
    wipe(record, vault->out->used - before);
    vault->out->used = before;
    return error;
}

/* the scheme ------------------------------------------------------------------------------------------------------- */

static enum storage_error load(struct vault *vault)
{
    return vault->medium->has_files ? load_files(vault) : load_record(vault);
}

static enum storage_error fetch(struct vault *vault, enum chunk chunk, const uint8_t **content, size_t *length)
{
    (void)vault, (void)chunk, (void)content, (void)length;
    return STORAGE_FILE_MISSING;
}

static enum storage_error store(struct vault *vault, const struct vault_update *updates, size_t count, uint32_t *chunks)
{
    enum storage_error error = STORAGE_OK;
    if (!vault->medium->has_files) {
        *chunks |= 1u << CHUNK_RECORD;
        return store_record(vault, updates, count);
    }
    for (size_t i = 0; i < count && !error; i++) {
        error = store_file(vault, &updates[i]);
    }
    return error;
}

static enum storage_error erase(struct vault *vault, uint32_t chunks, bool all)
{
    enum storage_error error = STORAGE_OK;
    if (!vault->medium->has_files) {
        uint32_t live = slot_of(counters_version(CHUNK_RECORD));
        error = overwrite_blank(vault->medium, NULL, RECORD_SLOT - live, RECORD_SLOT, BLANK_CELL);
        return error || !all ? error : overwrite_blank(vault->medium, NULL, live, RECORD_SLOT, BLANK_CELL);
    }
    for (enum chunk chunk = CHUNK_DEVICE_KEY; chunk <= CHUNK_BROKER_CA && !error; chunk++) {
        if (chunks & 1u << chunk && on_medium(vault, chunk)) {
            error = erase_files(vault, chunk, all);
        }
    }
    return error;
}

static uint32_t size(const struct vault *vault, enum chunk chunk)
{
    return on_medium(vault, chunk) ? chunk_place(chunk)->size : 0;
}

const struct scheme SCHEME_PLAIN = { "plain", 1, true, 0, load, fetch, store, erase, size, NULL };
const struct scheme SCHEME_SPLIT_PLAIN = {
    "split-plain", 2, true, 1u << TLV_KEY, load, fetch, store, erase, size, NULL
};
