/* SPDX-License-Identifier: Apache-2.0 */
/* Reset cause and software reset. RM0090 7.3.21 (RCC_CSR); PM0214 4.3.5 (AIRCR). */
#include "board/reset.h"
#include "board/stm32f405.h"
#include "drivers/console.h"

/* PINRSTF accompanies every internal reset (they all pull NRST) and a power-on sets BORRSTF too: rare causes first. */
const char *reset_cause(void)
{
    uint32_t flags = RCC->CSR;
    RCC->CSR |= RCC_CSR_RMVF;
    if (flags & (RCC_CSR_IWDGRSTF | RCC_CSR_WWDGRSTF))
        return "watchdog";
    if (flags & RCC_CSR_SFTRSTF)
        return "software";
    if (flags & (RCC_CSR_PORRSTF | RCC_CSR_BORRSTF))
        return "power-on";
    if (flags & RCC_CSR_PINRSTF)
        return "pin";
    return "unknown";
}

_Noreturn void reset_system(void)
{
    console_flush();
    barrier_data();
    SCB->AIRCR = SCB_AIRCR_VECTKEY | SCB_AIRCR_SYSRESETREQ;
    barrier_data();
    for (;;)
        wait_for_interrupt();
}
