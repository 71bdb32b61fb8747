/* SPDX-License-Identifier: Apache-2.0 */
/* Why the chip started, and starting it again. */
#ifndef RESET_H
#define RESET_H

/* power-on, pin, software, watchdog or unknown (SPEC 6), from RCC_CSR; clears the flags for the next start.
 * Call once. */
const char *reset_cause(void);

/* Sends what the console still holds, then SYSRESETREQ. */
_Noreturn void reset_system(void);

/* Erases SRAM and CCM, all of it, then resets the chip. From anywhere, also an interrupt. */
_Noreturn void reset_without_memory(void);
#endif
