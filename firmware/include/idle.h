/* What the device does while it waits: every bounded wait in src/net calls it in its loop. The application defines it. */
#ifndef IDLE_H
#define IDLE_H

void idle(void);    /* feeds the watchdog and sleeps until the next interrupt, at most 1 ms */
#endif
