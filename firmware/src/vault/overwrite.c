/* SPDX-License-Identifier: Apache-2.0 */
#include "vault/overwrite.h"
#include <string.h>
#include "board/chip_map.h"
#include "drivers/watchdog.h"
#include "storage/wipe.h"

enum { HEAD = 32 }; /* of what lies there: a torn page or block must not blank it and leave what is behind it */

/* What the medium writes at once: a block of a card, a page of an EEPROM. */
static uint32_t unit(const struct medium *medium)
{
    return medium->has_files ? SD_BLOCK_SIZE : EEPROM_PAGE_SIZE;
}

static enum storage_error write_piece(const struct medium *medium, const char *file, uint32_t offset,
                                      const uint8_t *from, uint32_t length)
{
    uint8_t there[SD_BLOCK_SIZE];
    watchdog_kick();
    enum storage_error error = medium->read(file, offset, there, length);
    if (!error && memcmp(there, from, length) != 0) {
        error = medium->write(file, offset, from, length);
        if (!error) {
            medium->forget(); /* from the medium, not from a buffer */
            error = medium->read(file, offset, there, length);
        }
        if (!error && memcmp(there, from, length) != 0) {
            error = STORAGE_CARD_ERROR;
        }
    }
    wipe(there, length);
    return error;
}

enum storage_error overwrite(const struct medium *medium, const char *file, uint32_t offset, const uint8_t *from,
                             uint32_t length)
{
    enum storage_error error = STORAGE_OK;
    while (length && !error) {
        uint32_t rest = unit(medium) - offset % unit(medium), n = length < rest ? length : rest;
        error = write_piece(medium, file, offset, from, n);
        offset += n;
        from += n;
        length -= n;
    }
    return error;
}

enum storage_error overwrite_blank(const struct medium *medium, const char *file, uint32_t offset, uint32_t length,
                                   uint8_t byte)
{
    uint8_t blank[SD_BLOCK_SIZE];
    enum storage_error error = STORAGE_OK;
    memset(blank, byte, sizeof blank);
    while (length && !error) {
        uint32_t end = (offset + length) % unit(medium), n = end ? end : unit(medium);
        if (n >= length) {
            n = length > HEAD ? length - HEAD : length;
        }
        length -= n;
        error = write_piece(medium, file, offset + length, blank, n);
    }
    return error;
}
