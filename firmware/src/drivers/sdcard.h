/* SPDX-License-Identifier: Apache-2.0 */
/* SD card in SPI mode: on SPI1. Polled; every wait has a time-out. */
#ifndef SDCARD_H
#define SDCARD_H
#include <stdbool.h>
#include <stdint.h>
#include "board/chip_map.h"
#include "storage/storage_error.h"

struct sd_card {
    bool high_capacity; /* SDHC/SDXC: CSD version 2, block addresses */
    uint32_t blocks;    /* capacity in 512-byte blocks */
};

/* Wakes and identifies the card, switches CRC on. May be called again after an error or a change of cards.
 * STORAGE_NO_CARD, STORAGE_TIMEOUT, STORAGE_CARD_ERROR, STORAGE_READ_CRC. */
enum storage_error sd_init(struct sd_card *card);

/* What a locked card is opened with at each sd_init from now on, 1..SD_PASSWORD_MAX bytes that stay where they are; 0: no
 * card is opened. */
enum { SD_PASSWORD_MAX = 16 };
void sd_use_password(const uint8_t *password, uint8_t length);

/* CMD17. The CRC16 is checked; a damaged block is read up to two times more. */
enum storage_error sd_read_block(uint32_t lba, uint8_t to[SD_BLOCK_SIZE]);

/* CMD24, waits for the end of programming and asks CMD13. */
enum storage_error sd_write_block(uint32_t lba, const uint8_t from[SD_BLOCK_SIZE]);
#endif
