/* SPDX-License-Identifier: Apache-2.0 */
/* What can go wrong with a credential medium; the words of SPEC section 6, `storage: error <reason>`. */
#ifndef STORAGE_ERROR_H
#define STORAGE_ERROR_H

enum storage_error {
    STORAGE_OK,
    STORAGE_NO_CARD,
    STORAGE_TIMEOUT,
    STORAGE_CARD_ERROR,
    STORAGE_READ_CRC,
    STORAGE_NO_FILESYSTEM,
    STORAGE_FILE_MISSING,   /* "file-missing <name>" */
    STORAGE_FILE_TOO_LARGE, /* "file-too-large <name>" */
    STORAGE_EEPROM_ABSENT,
    STORAGE_EEPROM_TIMEOUT,
    STORAGE_RECORD_MAGIC,
    STORAGE_RECORD_CRC,
    STORAGE_RECORD_FIELD, /* "record-field <tag>" */
    STORAGE_RECORD,       /* "record-<why> <chunk>": no slot of a chunk holds a record that counts */
    STORAGE_NO_SECRET,    /* the chip has no device secret, and nothing to make its first seals of */
    STORAGE_RNG,          /* no good random numbers for a device secret */
    STORAGE_FLASH,        /* the internal flash refuses */
    STORAGE_MEMORY
};

const char *storage_error_word(enum storage_error error); /* without the <name> or <tag> */
#endif
