/* SPDX-License-Identifier: Apache-2.0 */
/* The JSON object of one publish interval, SPEC section 5. */
#ifndef TELEMETRY_H
#define TELEMETRY_H
#include <stddef.h>
#include <stdint.h>

enum { TELEMETRY_SIZE = 384 };

/* Writes the object; the temperature is a function of `seq` alone: a slow triangle between 20.00 and 24.99. */
void telemetry_write(char to[TELEMETRY_SIZE], const char *thing, uint32_t seq, uint32_t unix_time);

/* The object that says that something happened: `event` is one word. */
void telemetry_write_event(char to[TELEMETRY_SIZE], const char *thing, const char *event);
#endif
