/* SPDX-License-Identifier: Apache-2.0 */
/* UTC as the device believes it, for certificates and telemetry; runs on with the CPU's time base once set. */
#ifndef WALL_CLOCK_H
#define WALL_CLOCK_H
#include <stdbool.h>
#include <stdint.h>

enum { ISO8601_SIZE = 21 }; /* "2026-11-23T18:27:16Z" and the NUL */

/* Times before the firmware was made are no times: they would let any old certificate pass. */
bool wall_clock_plausible(uint32_t unix_time);

void wall_clock_set(uint32_t unix_time);
uint32_t wall_clock_now(void); /* 0: never set */
void wall_clock_text(char text[ISO8601_SIZE]);
#endif
