/* SPDX-License-Identifier: Apache-2.0 */
/* Drivers that do nothing: the parsers under test reach none of them. */
#ifndef FUZZ_DRIVERS_H
#define FUZZ_DRIVERS_H
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include "board/clock.h"
#include "board/reset.h"
#include "drivers/console.h"
#include "drivers/eeprom.h"
#include "drivers/flash.h"
#include "drivers/hall.h"
#include "drivers/rng.h"
#include "drivers/rtc.h"
#include "drivers/sdcard.h"
#include "drivers/watchdog.h"

enum flash_result flash_unlock(void) { return FLASH_ERROR_LOCKED; }
void flash_lock(void) {}
bool flash_busy(void) { return false; }
void flash_burn(uint32_t address, size_t count) { (void)address, (void)count; }
void flash_burn_word(uint32_t address) { (void)address; }
enum flash_result flash_erase_sector(unsigned sector) { (void)sector; return FLASH_ERROR_LOCKED; }
enum flash_result flash_program_words(uint32_t address, const uint32_t *words, size_t count)
{
    (void)address, (void)words, (void)count;
    return FLASH_ERROR_LOCKED;
}
enum storage_error eeprom_init(void) { return STORAGE_EEPROM_ABSENT; }
enum storage_error eeprom_read(uint32_t offset, uint8_t *to, uint32_t length)
{
    (void)offset, (void)to, (void)length;
    return STORAGE_EEPROM_ABSENT;
}
enum storage_error eeprom_write(uint32_t offset, const uint8_t *from, uint32_t length)
{
    (void)offset, (void)from, (void)length;
    return STORAGE_EEPROM_ABSENT;
}
enum storage_error sd_init(struct sd_card *card) { (void)card; return STORAGE_NO_CARD; }
enum storage_error sd_read_block(uint32_t lba, uint8_t to[SD_BLOCK_SIZE]) { (void)lba, (void)to; return STORAGE_NO_CARD; }
enum storage_error sd_write_block(uint32_t lba, const uint8_t from[SD_BLOCK_SIZE])
{
    (void)lba, (void)from;
    return STORAGE_NO_CARD;
}
enum rng_result rng_fill(void *to, size_t length) { memset(to, 0, length); return RNG_ERROR_SEED; }
void watchdog_kick(void) {}
uint32_t time_ms(void) { return 0; }
bool hall_closed(void) { return true; }
void hall_set_alarm(void (*act)(void)) { (void)act; }
void rtc_backup_set(unsigned index, uint32_t value) { (void)index, (void)value; }
_Noreturn void reset_without_memory(void) { abort(); }
void console_line(const char *tag, const char *format, ...) { (void)tag, (void)format; }
int mbedtls_hardware_poll(void *context, unsigned char *output, size_t length, size_t *filled)
{
    (void)context, (void)output, (void)length;
    *filled = 0;
    return -1;
}
long mbedtls_ms_time(void) { return 0; }
#endif
