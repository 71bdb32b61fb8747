/* SPDX-License-Identifier: Apache-2.0 */
#include "net/wall_clock.h"
#include <stddef.h>
#include <time.h>
#include "board/clock.h"

static const uint32_t EARLIEST = 1735689600; /* 2025-01-01T00:00:00Z */

static uint32_t set_to;
static uint64_t set_at_us;

bool wall_clock_plausible(uint32_t unix_time)
{
    return unix_time >= EARLIEST;
}

void wall_clock_set(uint32_t unix_time)
{
    set_to = unix_time;
    set_at_us = time_us();
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

void wall_clock_text(char text[ISO8601_SIZE])
{
    time_t now = (time_t)wall_clock_now();
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
