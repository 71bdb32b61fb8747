/* SPDX-License-Identifier: Apache-2.0 */
/* What the device does while it waits. Every bounded wait calls idle() in its loop; the layers that wait know nothing of
 * the application, which hangs its own errand in. */
#ifndef IDLE_H
#define IDLE_H

/* `errand` runs in every idle() from now on; NULL: none. It must be short and must not wait itself. */
void idle_set_errand(void (*errand)(void));

/* Feeds the watchdog, runs the errand and sleeps until the next interrupt, at most 1 ms. Not from interrupts. */
void idle(void);
#endif
