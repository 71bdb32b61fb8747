/* SPDX-License-Identifier: Apache-2.0 */
/* Lid sensor: hall switch (board/pins.h), open drain with pull-up, low while the magnet is near = lid closed. */
#ifndef HALL_H
#define HALL_H
#include <stdbool.h>

void hall_init(void);
bool hall_closed(void);

/* `act` is called in the interrupt of an edge that finds the lid open; NULL: nothing is. */
void hall_set_alarm(void (*act)(void));

bool hall_take_event(void); /* true once after one or more edges since the last call */
#endif
