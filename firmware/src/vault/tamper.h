/* SPDX-License-Identifier: Apache-2.0 */
/* The open lid destroys what the device is: secret and keys in flash, RAM and backup registers, before anything else. */
#ifndef TAMPER_H
#define TAMPER_H
#include <stdbool.h>
#include "vault/config.h"

/* Since then, for good: only the factory makes a device of it again. */
bool tamper_happened(void);

/* At the start of each life, before anything uses a secret: finishes on the chip what a cut of the supply left. */
void tamper_finish_chip(void);

/* With a configuration: erases the medium, too, if it is there. Prints `tamper: erased`. */
void tamper_finish_medium(const struct device_config *config);

/* From now on an open lid counts; if it is open already, this does not return. */
void tamper_arm(void);

/* While a session is up in which something could be said about it, the interrupt comes back, with every key but the
 * session's erased, and `erase_keys` (NULL: none) called for those in RAM; otherwise it erases all RAM and resets the
 * device. NULL, false: no session. */
void tamper_session(bool up, void (*erase_keys)(void));

/* It has happened in this life; in a while (2 s) nothing will be left, told or not. */
bool tamper_pending(void);

/* Call now and then: keeps that promise. */
void tamper_poll(void);

/* Erases all RAM and resets the device. */
_Noreturn void tamper_end(void);
#endif
