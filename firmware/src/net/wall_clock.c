/* SPDX-License-Identifier: Apache-2.0 */
#include "net/wall_clock.h"
#include <stddef.h>
#include <time.h>
#include "board/clock.h"
#include "drivers/rtc.h"

/* 2026-05-01T00:00:00Z. Not the compiler's date: the same sources give the same bytes. Moved with each release. */
static const uint32_t MADE = 1777593600;

/* Backup registers: the last confirmed time, and its complement, so that noise after a lost VBAT is no time. */
enum { BACKUP_TIME, BACKUP_CHECK };

static uint32_t set_to;
static uint64_t set_at_us;
static uint32_t confirmed_here; /* in this life: counts even where the backup registers keep nothing */

uint32_t wall_clock_floor(void)
{
    uint32_t floor = confirmed_here > MADE ? confirmed_here : MADE;
    uint32_t kept = rtc_backup_get(BACKUP_TIME);
    bool good = rtc_backup_get(BACKUP_CHECK) == ~kept;
    return good && kept > floor ? kept : floor;
}

bool wall_clock_set(uint32_t unix_time)
{
    if (unix_time < wall_clock_floor()) {
        return false;
    }
    set_to = unix_time;
    set_at_us = time_us();
    return true;
}

void wall_clock_confirm(void)
{
    uint32_t now = wall_clock_now();
    if (now <= wall_clock_floor()) {
        return;
    }
    confirmed_here = now;
    rtc_backup_set(BACKUP_CHECK, 0); /* a reset in between leaves a pair that does not match, not a wrong time */
    rtc_backup_set(BACKUP_TIME, now);
    rtc_backup_set(BACKUP_CHECK, ~now);
}

uint32_t wall_clock_now(void)
{
    return set_to == 0 ? 0 : set_to + (uint32_t)((time_us() - set_at_us) / 1000000u);
}

static char *put(char *to, int value, int digits)
{
    for (int i = digits - 1; i >= 0; i--) {
        to[i] = (char)('0' + value % 10);
        value /= 10;
    }
    return to + digits;
}

void wall_clock_text(char text[ISO8601_SIZE], uint32_t unix_time)
{
    time_t now = (time_t)unix_time;
    struct tm utc;
    (void)gmtime_r(&now, &utc);
    const int fields[6] = { utc.tm_year + 1900, utc.tm_mon + 1, utc.tm_mday, utc.tm_hour, utc.tm_min, utc.tm_sec };
    static const char after[6] = { '-', '-', 'T', ':', ':', 'Z' };
    for (int i = 0; i < 6; i++) {
        text = put(text, fields[i], i == 0 ? 4 : 2);
        *text++ = after[i];
    }
    *text = '\0';
}
