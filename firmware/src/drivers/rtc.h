/* SPDX-License-Identifier: Apache-2.0 */
/* Calendar clock and backup registers of the RTC (RM0090 26). UTC, years 2000..2099. Survives resets. */
#ifndef RTC_H
#define RTC_H
#include <stdbool.h>
#include <stdint.h>

enum { RTC_BACKUP_REGISTERS = 20 };

/* Opens the backup domain and starts the calendar from LSE, or LSI if the crystal does not start within 2 s (asleep).
 * false: no clock source started; the functions below then fail or do nothing. */
bool rtc_init(void);

bool rtc_get(uint32_t *unix_time);       /* false: never set, or not running */
bool rtc_set(uint32_t unix_time);        /* false: not running or out of range */
uint32_t rtc_backup_get(unsigned index); /* 0 for an index that does not exist */
void rtc_backup_set(unsigned index, uint32_t value);
#endif
