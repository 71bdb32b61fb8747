/* SPDX-License-Identifier: Apache-2.0 */
/* Independent watchdog, RM0090 21.3. LSI is 17..47 kHz (data sheet), so 4 s nominal means 2.7..7.5 s. */
#include "drivers/watchdog.h"
#include "board/clock.h"
#include "board/stm32f405.h"

enum { KEY_RELOAD = 0xAAAA, KEY_ACCESS = 0x5555, KEY_START = 0xCCCC, PRESCALER_64 = 4, LSI_HZ = 32000, UPDATE_MS = 5 };

void watchdog_start(void)
{
    IWDG->KR = KEY_START;
    IWDG->KR = KEY_ACCESS;
    IWDG->PR = PRESCALER_64;
    IWDG->RLR = WATCHDOG_MS * (LSI_HZ / 64) / 1000 - 1;
    /* the new values need up to 5 LSI periods; a reload before would take the old ones */
    for (deadline_t end = deadline_in(UPDATE_MS); (IWDG->SR & (IWDG_SR_PVU | IWDG_SR_RVU)) && !deadline_passed(end);)
        cpu_idle();
    watchdog_kick();
}

void watchdog_kick(void)
{
    IWDG->KR = KEY_RELOAD;
}
