/* SPDX-License-Identifier: Apache-2.0 */
#include "vault/medium_eeprom.h"
#include "drivers/console.h"
#include "drivers/eeprom.h"

static enum storage_error present(void)
{
    enum storage_error error = eeprom_init();
    if (!error) {
        console_line("storage", "eeprom bytes=%u", (unsigned)EEPROM_SIZE);
    }
    return error;
}

static enum storage_error size(const char *file, uint32_t *bytes)
{
    (void)file;
    *bytes = EEPROM_SIZE;
    return STORAGE_OK;
}

static enum storage_error read(const char *file, uint32_t offset, uint8_t *to, uint32_t length)
{
    (void)file;
    return eeprom_read(offset, to, length);
}

static enum storage_error write(const char *file, uint32_t offset, const uint8_t *from, uint32_t length)
{
    (void)file;
    return eeprom_write(offset, from, length);
}

static void forget(void)
{
}

const struct medium MEDIUM_EEPROM = { "eeprom", 2, false, present, size, read, write, forget };
