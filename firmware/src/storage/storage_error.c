/* SPDX-License-Identifier: Apache-2.0 */
/* The words of SPEC section 6. */
#include "storage/storage_error.h"

const char *storage_error_word(enum storage_error error)
{
    switch (error) {
    case STORAGE_OK:
        return "ok";
    case STORAGE_NO_CARD:
        return "no-card";
    case STORAGE_TIMEOUT:
        return "timeout";
    case STORAGE_CARD_ERROR:
        return "card-error";
    case STORAGE_READ_CRC:
        return "read-crc";
    case STORAGE_NO_FILESYSTEM:
        return "no-filesystem";
    case STORAGE_FILE_MISSING:
        return "file-missing";
    case STORAGE_FILE_TOO_LARGE:
        return "file-too-large";
    case STORAGE_EEPROM_ABSENT:
        return "eeprom-absent";
    case STORAGE_EEPROM_TIMEOUT:
        return "eeprom-timeout";
    case STORAGE_RECORD_MAGIC:
        return "record-magic";
    case STORAGE_RECORD_CRC:
        return "record-crc";
    case STORAGE_RECORD_FIELD:
        return "record-field";
    case STORAGE_RECORD:
        return "record";
    case STORAGE_NO_SECRET:
        return "no-secret";
    case STORAGE_RNG:
        return "rng";
    case STORAGE_FLASH:
        return "flash";
    case STORAGE_MEMORY:
        return "memory";
    }
    return "unknown";
}
