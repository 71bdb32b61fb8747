/* SPDX-License-Identifier: Apache-2.0 */
/* Internal flash: erase, program, option bytes (RM0090 3.6, 3.7). Only the data sectors can be changed. */
#ifndef FLASH_H
#define FLASH_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum flash_result {
    FLASH_OK,
    FLASH_ERROR_LOCKED, /* key sequence refused (after a wrong key only a reset helps) */
    FLASH_ERROR_TIMEOUT,
    FLASH_ERROR_PROTECTED, /* WRPERR */
    FLASH_ERROR_ALIGNMENT, /* PGAERR, or an unaligned request */
    FLASH_ERROR_SEQUENCE,  /* PGPERR, PGSERR, OPERR */
    FLASH_ERROR_VERIFY,    /* the word reads back differently (it was not erased) */
    FLASH_ERROR_RANGE      /* not a data sector (1..3) */
};

enum flash_result flash_unlock(void);
void flash_lock(void);

/* Data sectors only (board/chip_map.h). The CPU stalls meanwhile (up to 0.8 s): kick the
 * watchdog before; bytes arriving at a USART may be lost. */
enum flash_result flash_erase_sector(unsigned sector);

/* Programs `count` words from address, 4-aligned, inside the data sectors; each word is read back. */
enum flash_result flash_program_words(uint32_t address, const uint32_t *words, size_t count);

/* For tamper, also inside an interrupt: turns every word of the range that is not blank into zeros, which needs no erase
 * (3.6.4). Whoever was programming or erasing meanwhile must not go on. */
void flash_burn(uint32_t address, size_t count);

/* The same for one word, also a blank one: for a mark. */
void flash_burn_word(uint32_t address);

/* Somebody has it unlocked: an operation is under way. */
bool flash_busy(void);

/* Readout protection as stored: 0xAA level 0, 0xCC level 2, anything else level 1 (RM0090 3.7.3). */
uint8_t flash_rdp_byte(void);

/* Raises protection to level 1, counts from the next power-on reset. Does nothing if it is on already. Level 2 cannot
 * be undone and level 0 erases everything: neither is offered to the firmware. */
enum flash_result flash_rdp_protect(void);
#endif
