/* SPDX-License-Identifier: Apache-2.0 */
/* The device's life after start-up: connect, publish, wait, again. */
#ifndef APP_H
#define APP_H
#include "vault/config.h"

/* Never returns; `config` must be a checked page. Peripherals are up, the watchdog runs. */
_Noreturn void app_run(const struct device_config *config);
#endif
