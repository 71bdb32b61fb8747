/* SPDX-License-Identifier: Apache-2.0 */
#include "vault/record.h"
#include <string.h>
#include "mbedtls/aes.h"
#include "mbedtls/gcm.h"
#include "storage/crc32.h"
#include "storage/wipe.h"
#include "vault/keys.h"

enum { VERSION = 1, SECTOR = 512, BLOCK = 16, NONCE = 12, GCM_KEY = 32, XTS_KEY = 64 };
enum { AT_VERSION = 4, AT_SCHEME = 5, AT_CHUNK = 6, AT_LENGTH = 8, AT_COUNTER = 12, AT_NONCE = 16, AT_DEVICE = 28 };

static uint32_t u32(const uint8_t *at)
{
    return (uint32_t)at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24;
}

static void put32(uint8_t *at, uint32_t value)
{
    for (unsigned i = 0; i < 4; i++) {
        at[i] = (uint8_t)(value >> (8 * i));
    }
}

static size_t round_up(size_t length, size_t unit)
{
    return (length + unit - 1) / unit * unit;
}

size_t record_size(const struct record_format *format, size_t length)
{
    return format->authenticated ? length + RECORD_OVERHEAD : round_up(length + RECORD_HEAD, SECTOR);
}

static uint32_t device_word(const struct record_context *context)
{
    return context->format->shared ? 0 : crc32(context->identity, sizeof context->identity);
}

static void write_head(const struct record_context *context, enum chunk chunk, uint32_t version, uint32_t seal,
                       size_t length, uint8_t *head)
{
    memset(head, 0, RECORD_HEAD);
    memcpy(head, context->format->magic, 4);
    head[AT_VERSION] = VERSION;
    head[AT_SCHEME] = context->code;
    head[AT_CHUNK] = (uint8_t)chunk;
    put32(head + AT_LENGTH, (uint32_t)length);
    put32(head + AT_COUNTER, version);
    if (context->format->authenticated) {
        put32(head + AT_NONCE, seal);
        head[AT_NONCE + 4] = (uint8_t)chunk;
    }
    put32(head + AT_DEVICE, context->format->labelled ? device_word(context) : 0);
}

/* AES-256-XTS over the sectors of the area, each with its number as tweak (IEEE 1619). `length` is a multiple of 16; the
 * blocks of a sector do not depend on those behind them, so a sector may be cut. */
static bool xts(const struct record_context *context, int mode, uint32_t offset, uint8_t *bytes, size_t length)
{
    uint8_t key[XTS_KEY];
    mbedtls_aes_xts_context aes;
    if (!derive_key(context->secret, context->scheme, CHUNK_ALL, key, sizeof key)) {
        return false;
    }
    mbedtls_aes_xts_init(&aes);
    int code = mode == MBEDTLS_AES_ENCRYPT ? mbedtls_aes_xts_setkey_enc(&aes, key, 8 * sizeof key)
                                           : mbedtls_aes_xts_setkey_dec(&aes, key, 8 * sizeof key);
    wipe(key, sizeof key);
    for (size_t done = 0; done < length && code == 0; done += SECTOR) {
        uint8_t tweak[BLOCK] = { 0 };
        size_t n = length - done < SECTOR ? length - done : SECTOR;
        put32(tweak, (uint32_t)((offset + done) / SECTOR));
        code = mbedtls_aes_crypt_xts(&aes, mode, n, tweak, bytes + done, bytes + done);
    }
    mbedtls_aes_xts_free(&aes);
    return code == 0;
}

/* What a labelled record is bound to besides its content: its whole head, and the device. */
enum { BOUND_SIZE = RECORD_HEAD + 12 };

static size_t bound(const struct record_context *context, const uint8_t *head, uint8_t to[BOUND_SIZE])
{
    if (!context->format->labelled) {
        return 0;
    }
    memcpy(to, head, RECORD_HEAD);
    memset(to + RECORD_HEAD, 0, sizeof context->identity);
    if (!context->format->shared) {
        memcpy(to + RECORD_HEAD, context->identity, sizeof context->identity);
    }
    return BOUND_SIZE;
}

static bool gcm_start(const struct record_context *context, enum chunk chunk, mbedtls_gcm_context *gcm)
{
    uint8_t key[GCM_KEY];
    mbedtls_gcm_init(gcm);
    enum chunk label = context->format->labelled ? chunk : CHUNK_ALL;
    bool good = derive_key(context->secret, context->scheme, label, key, sizeof key) &&
                mbedtls_gcm_setkey(gcm, MBEDTLS_CIPHER_ID_AES, key, 8 * sizeof key) == 0;
    wipe(key, sizeof key);
    return good;
}

bool record_seal(const struct record_context *context, enum chunk chunk, uint32_t version, uint32_t seal,
                 uint32_t offset, const uint8_t *content, size_t length, uint8_t *record)
{
    size_t size = record_size(context->format, length);
    bool good;
    write_head(context, chunk, version, seal, length, record);
    if (context->format->authenticated) {
        uint8_t additional[BOUND_SIZE];
        mbedtls_gcm_context gcm;
        good = gcm_start(context, chunk, &gcm) &&
               mbedtls_gcm_crypt_and_tag(&gcm, MBEDTLS_GCM_ENCRYPT, length, record + AT_NONCE, NONCE, additional,
                                         bound(context, record, additional), content, record + RECORD_HEAD, RECORD_TAG,
                                         record + RECORD_HEAD + length) == 0;
        mbedtls_gcm_free(&gcm);
    } else {
        memcpy(record + RECORD_HEAD, content, length);
        memset(record + RECORD_HEAD + length, 0, size - RECORD_HEAD - length);
        good = xts(context, MBEDTLS_AES_ENCRYPT, offset, record, size);
    }
    if (!good) {
        wipe(record, size);
    }
    return good;
}

static bool blank(const uint8_t *bytes, size_t length)
{
    for (size_t i = 1; i < length; i++) {
        if (bytes[i] != bytes[0]) {
            return false;
        }
    }
    return bytes[0] == 0xFF || bytes[0] == 0;
}

enum record_result record_look(const struct record_context *context, enum chunk chunk, uint32_t offset,
                               uint32_t slot_size, uint8_t head[RECORD_HEAD], size_t *size, uint32_t *version)
{
    const struct record_format *format = context->format;
    if (blank(head, RECORD_HEAD)) {
        return RECORD_MISSING;
    }
    if (!format->authenticated && !xts(context, MBEDTLS_AES_DECRYPT, offset, head, RECORD_HEAD)) {
        return RECORD_MALFORMED;
    }
    uint32_t length = u32(head + AT_LENGTH);
    if (memcmp(head, format->magic, 4) != 0 || head[AT_VERSION] != VERSION || length > slot_size - RECORD_OVERHEAD) {
        return RECORD_MALFORMED;
    }
    *size = format->authenticated ? length + RECORD_OVERHEAD : round_up(length + RECORD_HEAD, BLOCK);
    *version = u32(head + AT_COUNTER);
    if (format->labelled && head[AT_CHUNK] != chunk) {
        return RECORD_SWAPPED;
    }
    return format->labelled && u32(head + AT_DEVICE) != device_word(context) ? RECORD_FOREIGN : RECORD_OK;
}

enum { COMPARED = RECORD_TAG };

/* In constant time. Zero: they are equal. */
static uint32_t difference(const volatile uint8_t *one, const volatile uint8_t *other)
{
    uint32_t found = 0;
    for (unsigned i = 0; i < COMPARED; i++) {
        found |= (uint32_t)(one[i] ^ other[i]);
    }
    return found;
}

/* Decrypts in place. The tag is compared by two pieces of code that share no branch, so that no single instruction which
 * a glitch skips opens what is forged; as long as nobody has computed it, it fits nothing. */
static bool open_tagged(const struct record_context *context, enum chunk chunk, uint8_t *record, size_t length)
{
    uint8_t additional[BOUND_SIZE], tag[RECORD_TAG];
    mbedtls_gcm_context gcm;
    const uint8_t *claimed = record + RECORD_HEAD + length;
    volatile bool good = false;
    for (unsigned i = 0; i < sizeof tag; i++) {
        tag[i] = (uint8_t)~claimed[i];
    }
    bool done = gcm_start(context, chunk, &gcm) && u32(record + AT_LENGTH) == length &&
                mbedtls_gcm_crypt_and_tag(&gcm, MBEDTLS_GCM_DECRYPT, length, record + AT_NONCE, NONCE, additional,
                                          bound(context, record, additional), record + RECORD_HEAD,
                                          record + RECORD_HEAD, RECORD_TAG, tag) == 0;
    mbedtls_gcm_free(&gcm);
    if (done && difference(tag, claimed) == 0) {
        good = true;
    }
    if (difference(claimed, tag) != 0) {
        wipe(record, length + RECORD_OVERHEAD);
        good = false;
    }
    return good;
}

enum record_result record_open(const struct record_context *context, enum chunk chunk, uint32_t offset, uint8_t *record,
                               size_t size, size_t *length, uint32_t *version)
{
    bool good;
    if (context->format->authenticated) {
        *length = size - RECORD_OVERHEAD;
        good = open_tagged(context, chunk, record, *length);
    } else {
        good = xts(context, MBEDTLS_AES_DECRYPT, offset, record, size);
        *length = good ? u32(record + AT_LENGTH) : 0;
        good = good && *length <= size - RECORD_HEAD;
    }
    *version = u32(record + AT_COUNTER);
    if (good) {
        return RECORD_OK;
    }
    wipe(record, size);
    return RECORD_FORGED;
}

const char *record_result_word(enum record_result result)
{
    static const char *const words[] = {
        [RECORD_MISSING] = "missing", [RECORD_MALFORMED] = "malformed", [RECORD_SWAPPED] = "swapped",
        [RECORD_FOREIGN] = "foreign", [RECORD_FORGED] = "forged",       [RECORD_STALE] = "stale",
        [RECORD_OK] = "ok",
    };
    return words[result];
}
