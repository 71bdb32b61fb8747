/* SPDX-License-Identifier: Apache-2.0 */
#include "vault/credentials.h"
#include <string.h>
#include "drivers/console.h"
#include "storage/wipe.h"
#include "vault/medium.h"

enum { ARENA_SIZE = 22 * 1024 };

/* CCM: plenty of room there, and no DMA master can reach it */
static uint8_t arena[ARENA_SIZE] __attribute__((section(".ccm")));

uint8_t *credentials_take(struct credentials *out, size_t length)
{
    if (length > sizeof arena - out->used) {
        return NULL;
    }
    uint8_t *taken = arena + out->used;
    out->used += length;
    return taken;
}

enum storage_error credentials_error(enum storage_error error)
{
    console_line("storage", "error %s", storage_error_word(error));
    return error;
}

enum storage_error credentials_error_file(enum storage_error error, const char *file)
{
    if (error != STORAGE_FILE_MISSING && error != STORAGE_FILE_TOO_LARGE) {
        return credentials_error(error);
    }
    console_line("storage", "error %s %s", storage_error_word(error), file);
    return error;
}

enum storage_error credentials_error_field(uint16_t tag)
{
    console_line("storage", "error %s %u", storage_error_word(STORAGE_RECORD_FIELD), (unsigned)tag);
    return STORAGE_RECORD_FIELD;
}

void credentials_burn(void)
{
    wipe(arena, sizeof arena);
}

void credentials_wipe(const struct device_config *config, struct credentials *out)
{
    credentials_burn();
    if (config->scheme->uses_medium) {
        config->medium->forget();
    }
    wipe(out, sizeof *out);
}
