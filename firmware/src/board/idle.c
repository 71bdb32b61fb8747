/* SPDX-License-Identifier: Apache-2.0 */
#include "board/idle.h"
#include <stddef.h>
#include "board/clock.h"
#include "drivers/watchdog.h"

static void (*errand)(void);

void idle_set_errand(void (*work)(void))
{
    errand = work;
}

void idle(void)
{
    watchdog_kick();
    if (errand != NULL) {
        errand();
    }
    cpu_idle();
}
