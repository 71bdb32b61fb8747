/* SPDX-License-Identifier: Apache-2.0 */
#include "vault/plain.h"
#include <string.h>
#include "storage/tlv.h"
#include "vault/config.h"
#include "vault/credentials.h"
#include "vault/medium.h"

enum { ANCHORS_MAX_BYTES = 16384, CERTIFICATE_MAX_BYTES = 4096, KEY_MAX_BYTES = 2048 };
enum { RECORD_MAX_BYTES = ANCHORS_MAX_BYTES + CERTIFICATE_MAX_BYTES + KEY_MAX_BYTES };

/* One PEM file, closed with the NUL the parser wants to see. */
static enum storage_error load_file(const struct medium *medium, struct credentials *out, const char *name,
                                    uint32_t capacity, struct blob *blob)
{
    uint32_t length;
    enum storage_error error = medium->size(name, &length);
    if (!error && length >= capacity) {
        error = STORAGE_FILE_TOO_LARGE;
    }
    uint8_t *to = error ? NULL : credentials_take(out, length + 1);
    if (!error) {
        error = to == NULL ? STORAGE_FILE_TOO_LARGE : medium->read(name, 0, to, length);
    }
    if (error) {
        return credentials_error_file(error, name);
    }
    to[length] = 0;
    *blob = (struct blob){ to, length + 1 };
    return STORAGE_OK;
}

static enum storage_error load_files(const struct medium *medium, struct credentials *out)
{
    enum storage_error error = load_file(medium, out, "ROOTCA.CRT", ANCHORS_MAX_BYTES, &out->anchors[0]);
    if (!error) {
        error = load_file(medium, out, "DEVICE.CRT", CERTIFICATE_MAX_BYTES, &out->certificate);
    }
    if (!error && !out->key.length) {
        error = load_file(medium, out, "DEVICE.KEY", KEY_MAX_BYTES, &out->key);
    }
    out->anchor_count = error ? 0 : 1;
    return error;
}

/* The record at the start of the area; magic and size are looked at before the rest is read. */
static enum storage_error read_record(const struct medium *medium, struct credentials *out, struct tlv_area *area)
{
    uint8_t header[TLV_RECORD_HEADER];
    enum storage_error error = medium->read(NULL, 0, header, sizeof header);
    if (error) {
        return error;
    }
    if (memcmp(header, "OCE1", 4) != 0) {
        return STORAGE_RECORD_MAGIC;
    }
    size_t size = tlv_record_size(header);
    uint8_t *record = size > RECORD_MAX_BYTES ? NULL : credentials_take(out, size);
    if (record == NULL) {
        return STORAGE_RECORD_CRC; /* longer than any record the factory writes: the length is damaged */
    }
    error = medium->read(NULL, 0, record, (uint32_t)size);
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

static bool take(struct credentials *out, const struct tlv_entry *entry)
{
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
static bool take_all(struct tlv_area area, struct credentials *out, uint16_t *tag)
{
    struct tlv_entry entry;
    enum tlv_step step;
    while ((step = tlv_next(&area, &entry)) == TLV_ENTRY) {
        if (!take(out, &entry)) {
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

static enum storage_error load_record(const struct medium *medium, struct credentials *out)
{
    struct tlv_area area;
    enum storage_error error = read_record(medium, out, &area);
    if (error) {
        return credentials_error(error);
    }
    uint16_t tag;
    return take_all(area, out, &tag) ? STORAGE_OK : credentials_error_field(tag);
}

static enum storage_error load(const struct device_config *config, struct credentials *out)
{
    const struct medium *medium = config->medium;
    out->source = medium->name;
    out->key = config->key; /* where the scheme leaves it in the page; then one on the medium is refused */
    enum storage_error error = medium->present();
    if (error) {
        return credentials_error(error);
    }
    return medium->has_files ? load_files(medium, out) : load_record(medium, out);
}

const struct scheme SCHEME_PLAIN = { "plain", 1, true, 0, load, NULL };
const struct scheme SCHEME_SPLIT_PLAIN = { "split-plain", 2, true, 1u << TLV_KEY, load, NULL };
