/* SPDX-License-Identifier: Apache-2.0 */
/* UTC as the device believes it, for certificates and telemetry; runs on with the CPU's time base once set. */
#ifndef WALL_CLOCK_H
#define WALL_CLOCK_H
#include <stdbool.h>
#include <stdint.h>

enum { ISO8601_SIZE = 21 }; /* "2026-11-23T18:27:16Z" and the NUL */

/* The earliest time the device believes: when its firmware was made or, if later, the last time a server proved itself
 * (wall_clock_confirm). Who answers for the clock may be anybody; an older answer would let an expired certificate pass
 * that the device has already seen expire. */
uint32_t wall_clock_floor(void);

/* false: the time lies before the floor and is not taken. */
bool wall_clock_set(uint32_t unix_time);

/* Keeps the present time as the new floor, in backup registers: it survives resets, and loss of the main supply while
 * VBAT lasts. Call only under a session whose server certificate was verified with this time. */
void wall_clock_confirm(void);

uint32_t wall_clock_now(void); /* 0: never set */
void wall_clock_text(char text[ISO8601_SIZE], uint32_t unix_time);
#endif
