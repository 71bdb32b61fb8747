/* SPDX-License-Identifier: Apache-2.0 */
/* 24xx256 EEPROM at address 0x50 of I2C1 at 400 kHz; its write protect pin WP is high but while it is written. */
#ifndef EEPROM_H
#define EEPROM_H
#include <stdint.h>
#include "board/chip_map.h"
#include "storage/storage_error.h"

/* Drives WP high. Belongs to the start of every device: a chip nobody uses yet must not be open to writing. */
void eeprom_protect(void);

/* Sets up bus and pins (WP high), frees a stuck bus with up to 9 clock pulses, looks for the device.
 * STORAGE_EEPROM_ABSENT, STORAGE_EEPROM_TIMEOUT. */
enum storage_error eeprom_init(void);

/* STORAGE_EEPROM_TIMEOUT also for a range beyond EEPROM_SIZE, which is not asked of the device. */
enum storage_error eeprom_read(uint32_t offset, uint8_t *to, uint32_t length);

/* Page by page with ACK polling (24LC256 data sheet 7); WP is low only meanwhile. */
enum storage_error eeprom_write(uint32_t offset, const uint8_t *from, uint32_t length);
#endif
