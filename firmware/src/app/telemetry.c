/* SPDX-License-Identifier: Apache-2.0 */
#include "app/telemetry.h"
#include "board/format.h"
#include "net/json.h"

enum { LOWEST = 2000, STEPS = 500, THING_ESCAPED_MAX = 2 * 128 }; /* hundredths of a degree */

void telemetry_write(char to[TELEMETRY_SIZE], const char *thing, uint32_t seq, uint32_t unix_time)
{
    char escaped[THING_ESCAPED_MAX + 1];
    uint32_t phase = seq % (2 * STEPS);
    uint32_t temperature = LOWEST + (phase < STEPS ? phase : 2 * STEPS - 1 - phase);
    json_escape(escaped, sizeof escaped, thing);
    format_to(to, TELEMETRY_SIZE, "{\"thing\":\"%s\",\"seq\":%lu,\"time\":%lu,\"temperature\":%lu.%02lu}", escaped,
              (unsigned long)seq, (unsigned long)unix_time, (unsigned long)(temperature / 100),
              (unsigned long)(temperature % 100));
}

void telemetry_write_event(char to[TELEMETRY_SIZE], const char *thing, const char *event)
{
    char escaped[THING_ESCAPED_MAX + 1];
    json_escape(escaped, sizeof escaped, thing);
    format_to(to, TELEMETRY_SIZE, "{\"thing\":\"%s\",\"event\":\"%s\"}", escaped, event);
}
