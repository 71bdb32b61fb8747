/* SPDX-License-Identifier: Apache-2.0 */
#include "app/telemetry.h"
#include <stdarg.h>
#include "board/format.h"

enum { LOWEST = 2000, STEPS = 500, THING_ESCAPED_MAX = 2 * 128 }; /* hundredths of a degree */

static void write_text(char *to, size_t size, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    (void)format_text(to, size, format, arguments);
    va_end(arguments);
}

static void escape(char *to, size_t size, const char *text)
{
    size_t used = 0;
    for (; *text != '\0' && used + 3 <= size; text++) {
        if (*text == '"' || *text == '\\') {
            to[used++] = '\\';
        }
        to[used++] = *text;
    }
    to[used] = '\0';
}

void telemetry_write(char to[TELEMETRY_SIZE], const char *thing, uint32_t seq, uint32_t unix_time)
{
    char escaped[THING_ESCAPED_MAX + 1];
    uint32_t phase = seq % (2 * STEPS);
    uint32_t temperature = LOWEST + (phase < STEPS ? phase : 2 * STEPS - 1 - phase);
    escape(escaped, sizeof escaped, thing);
    write_text(to, TELEMETRY_SIZE, "{\"thing\":\"%s\",\"seq\":%lu,\"time\":%lu,\"temperature\":%lu.%02lu}", escaped,
               (unsigned long)seq, (unsigned long)unix_time, (unsigned long)(temperature / 100),
               (unsigned long)(temperature % 100));
}

void telemetry_write_event(char to[TELEMETRY_SIZE], const char *thing, const char *event)
{
    char escaped[THING_ESCAPED_MAX + 1];
    escape(escaped, sizeof escaped, thing);
    write_text(to, TELEMETRY_SIZE, "{\"thing\":\"%s\",\"event\":\"%s\"}", escaped, event);
}
