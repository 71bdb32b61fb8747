/* SPDX-License-Identifier: Apache-2.0 */
/* Independent watchdog (RM0090 21): about 4 s. Kick it from the main loop only, never from an interrupt. */
#ifndef WATCHDOG_H
#define WATCHDOG_H

enum { WATCHDOG_MS = 4000 };

void watchdog_start(void); /* cannot be stopped again */
void watchdog_kick(void);
#endif
