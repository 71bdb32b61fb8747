/* SPDX-License-Identifier: Apache-2.0 */
/* Reset cause and software reset. RM0090 7.3.21 (RCC_CSR); PM0214 4.3.5 (AIRCR). */
#include "board/reset.h"
#include "board/chip_map.h"
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

/* All in registers: the stack is among what is erased. */
_Noreturn void reset_without_memory(void)
{
    (void)interrupts_disable();
    register uint32_t at __asm("r0") = SRAM_START, end __asm("r1") = SRAM_START + SRAM_SIZE;
    register uint32_t ccm __asm("r2") = CCM_START, ccm_end __asm("r3") = CCM_START + CCM_SIZE;
    register uint32_t aircr __asm("r4") = (uint32_t)(uintptr_t)&SCB->AIRCR;
    register uint32_t request __asm("r5") = SCB_AIRCR_VECTKEY | SCB_AIRCR_SYSRESETREQ;
    __asm volatile("movs r6, #0\n"
                   "1: str r6, [%0], #4\n"
                   "cmp %0, %1\n"
                   "blo 1b\n"
                   "2: str r6, [%2], #4\n"
                   "cmp %2, %3\n"
                   "blo 2b\n"
                   "dsb\n"
                   "str %5, [%4]\n"
                   "dsb\n"
                   "3: b 3b\n" ::"r"(at),
                   "r"(end), "r"(ccm), "r"(ccm_end), "r"(aircr), "r"(request)
                   : "r6", "memory", "cc");
    __builtin_unreachable();
}
