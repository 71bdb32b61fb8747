/* SPDX-License-Identifier: Apache-2.0 */
/* The chip's and the board's map. Made by `python -m offchip.chip_map`; change offchip/chip_map.py instead. */
#ifndef CHIP_MAP_H
#define CHIP_MAP_H

#define FLASH_START          0x08000000u
#define FLASH_SIZE           0x00100000u
#define SRAM_START           0x20000000u
#define SRAM_SIZE            0x00020000u
#define CCM_START            0x10000000u
#define CCM_SIZE             0x00010000u
#define UID_START            0x1FFF7A10u
#define UID_SIZE             0x0000000Cu
#define CONFIGURATION_START  0x08004000u
#define CONFIGURATION_SIZE   0x00004000u
#define DATA_START           0x08004000u
#define DATA_SIZE            0x0000C000u
#define VAULT_A_START        0x08008000u
#define VAULT_A_SIZE         0x00004000u
#define VAULT_B_START        0x0800C000u
#define VAULT_B_SIZE         0x00004000u
#define DATA_SECTOR_FIRST    1u
#define DATA_SECTOR_LAST     3u
#define CONFIGURATION_SECTOR 1u
#define VAULT_A_SECTOR       2u
#define VAULT_B_SECTOR       3u
#define EEPROM_SIZE          32768u
#define EEPROM_PAGE_SIZE     64u
#define SD_BLOCK_SIZE        512u

#endif
