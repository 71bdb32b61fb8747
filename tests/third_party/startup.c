/* SPDX-License-Identifier: Apache-2.0 */
/* Start-up in the manner of a vendor's package: vector table, data, CCM, bss, FPU, main. */
#include <stdint.h>

extern uint32_t _estack, _sidata, _sdata, _edata, _siccm, _sccm, _eccm, _sbss, _ebss;
int main(void);

__attribute__((used)) static void Default_Handler(void)
{
    for (;;) {
    }
}

#define WEAK(name) void name(void) __attribute__((weak, alias("Default_Handler")))
WEAK(NMI_Handler);
WEAK(HardFault_Handler);
WEAK(SVC_Handler);
WEAK(PendSV_Handler);
WEAK(SysTick_Handler);
WEAK(EXTI0_IRQHandler);
WEAK(EXTI1_IRQHandler);
WEAK(EXTI2_IRQHandler);
WEAK(TIM2_IRQHandler);

static void copy(uint32_t *to, const uint32_t *end, const uint32_t *from)
{
    while (to < end)
        *to++ = *from++;
}

void Reset_Handler(void)
{
    *(volatile uint32_t *)0xE000ED88 |= 0xFu << 20; /* CPACR: CP10 and CP11 */
    copy(&_sdata, &_edata, &_sidata);
    copy(&_sccm, &_eccm, &_siccm);
    for (uint32_t *p = &_sbss; p < &_ebss; p++)
        *p = 0;
    main();
    for (;;) {
    }
}

typedef void (*handler)(void);

__attribute__((section(".isr_vector"), used)) static const handler vectors[16 + 82] = {
    (handler)&_estack, Reset_Handler, NMI_Handler, HardFault_Handler,
    [11] = SVC_Handler,
    [14] = PendSV_Handler,
    [15] = SysTick_Handler,
    [16 + 6] = EXTI0_IRQHandler,
    [16 + 7] = EXTI1_IRQHandler,
    [16 + 8] = EXTI2_IRQHandler,
    [16 + 28] = TIM2_IRQHandler,
};
