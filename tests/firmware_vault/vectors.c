/* SPDX-License-Identifier: Apache-2.0 */
/* Records of test vectors. A line of input: SCHEME-CODE CHUNK VERSION SEAL SLOT SECRET IDENTITY CONTENT, the last three in
 * hexadecimal; a line of output: key, record, and what record_open makes of the record, in hexadecimal. */
#include <stdio.h>
#include "../fuzz/drivers.h"
#include "vault/keys.h"
#include "vault/record.h"
#include "vault/scheme.h"

static size_t from_hex(const char *text, uint8_t *to)
{
    size_t n = 0;
    unsigned byte;
    for (; sscanf(text + 2 * n, "%2x", &byte) == 1; n++)
        to[n] = (uint8_t)byte;
    return n;
}

static void print_hex(const uint8_t *bytes, size_t length, char end)
{
    for (size_t i = 0; i < length; i++)
        printf("%02x", bytes[i]);
    putchar(end);
}

int main(void)
{
    static char secret_text[65], identity_text[25], content_text[8193];
    unsigned code, chunk, version, seal, slot;
    while (scanf("%u %u %u %u %u %64s %24s %8192s", &code, &chunk, &version, &seal, &slot, secret_text, identity_text,
                 content_text) == 8) {
        static uint8_t secret[32], content[4096], record[8192], key[64];
        const struct scheme *scheme = scheme_by_code(code);
        struct record_context context = { scheme->format, scheme->name, (uint8_t)code, secret, { 0 } };
        const struct chunk_place *place = chunk_place((enum chunk)chunk);
        from_hex(secret_text, secret);
        from_hex(identity_text, context.identity);
        size_t length = from_hex(content_text, content), size = record_size(scheme->format, length), opened;
        size_t key_length = scheme->format->authenticated ? 32 : 64;
        uint32_t found, offset = place->offset + slot * place->size;
        if (!derive_key(secret, scheme->name, scheme->format->labelled ? (enum chunk)chunk : CHUNK_ALL, key, key_length) ||
            !record_seal(&context, (enum chunk)chunk, version, seal, offset, content, length, record))
            return 1;
        print_hex(key, key_length, ' ');
        print_hex(record, size, ' ');
        if (record_open(&context, (enum chunk)chunk, offset, record, size, &opened, &found) != RECORD_OK || found != version)
            return 1;
        print_hex(record + RECORD_HEAD, opened, '\n');
    }
    return 0;
}
