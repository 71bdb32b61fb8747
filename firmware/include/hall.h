/* Lid sensor: hall switch on PC13, open drain with pull-up, low while the magnet is near = lid closed. */
#ifndef HALL_H
#define HALL_H
#include <stdbool.h>

void hall_init(void);
bool hall_closed(void);
bool hall_take_event(void);     /* true once after one or more edges since the last call */
#endif
