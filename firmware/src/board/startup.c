/* SPDX-License-Identifier: Apache-2.0 */
/* Vector table and the way from reset to main. Lives in flash sector 0. */
#include "board/chip_map.h"
#include "board/fault.h"
#include "board/stm32f405.h"

extern uint32_t _data_load[], _data_start[], _data_end[], _bss_start[], _bss_end[], _ccm_start[], _ccm_end[];
extern uint32_t _stack_top[];
int main(void);
_Noreturn void Reset_Handler(void);
void Fault_Handler(void);
void SysTick_Handler(void);
void USART1_IRQHandler(void);
void USART2_IRQHandler(void);
void EXTI15_10_IRQHandler(void);

typedef union {
    void (*handler)(void);
    uint32_t *stack;
} vector;

__attribute__((section(".vectors"), used)) static const vector vectors[16 + IRQ_COUNT] = {
    [0] = { .stack = _stack_top },
    [1] = { .handler = Reset_Handler },
    [2 ... 14] = { .handler = Fault_Handler }, /* NMI, faults, SVC, DebugMonitor, PendSV: none is expected */
    [15] = { .handler = SysTick_Handler },
    [16 ... 16 + IRQ_USART1 - 1] = { .handler = Fault_Handler },
    [16 + IRQ_USART1] = { .handler = USART1_IRQHandler },
    [16 + IRQ_USART2] = { .handler = USART2_IRQHandler },
    [16 + IRQ_USART2 + 1] = { .handler = Fault_Handler },
    [16 + IRQ_EXTI15_10] = { .handler = EXTI15_10_IRQHandler },
    [16 + IRQ_EXTI15_10 + 1 ... 16 + IRQ_COUNT - 1] = { .handler = Fault_Handler },
};

static void zero(uint32_t *from, const uint32_t *end)
{
    while (from < end)
        *from++ = 0;
}

_Noreturn void Reset_Handler(void)
{
    /* FPU for this and every later function: PM0214 4.6.1, CP10 and CP11 full access */
    SCB_CPACR |= 0xFu << 20;
    barrier_data();
    barrier_instruction();
    SCB->VTOR = FLASH_START; /* not through the alias at 0, which follows the boot pins */
    for (uint32_t *from = _data_load, *to = _data_start; to < _data_end;)
        *to++ = *from++;
    zero(_bss_start, _bss_end);
    zero(_ccm_start, _ccm_end);
    fault_init();
    (void)main();
    fault_stop("main-returned");
}
