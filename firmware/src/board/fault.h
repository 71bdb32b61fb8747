/* SPDX-License-Identifier: Apache-2.0 */
/* Defined ends: one console line `state: fault reason=...`, then nothing but feeding the watchdog until a reset. */
#ifndef FAULT_H
#define FAULT_H

/* Faults as exceptions of their own instead of all being HardFault; division by zero traps. */
void fault_init(void);

/* For the application: prints `state: fault reason=<reason>` and stays, asleep, with the watchdog fed. */
_Noreturn void fault_stop(const char *reason);
#endif
