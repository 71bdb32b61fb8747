/* SPDX-License-Identifier: Apache-2.0 */
/* Faults and other defined ends. Exception model: PM0214 2.3; fault status: PM0214 4.3.10. */
#include "board/fault.h"
#include <stdbool.h>
#include "board/chip_map.h"
#include "board/clock.h"
#include "board/stm32f405.h"
#include "drivers/console.h"
#include "drivers/watchdog.h"

extern uint32_t _fault_stack_top[];
void Fault_Handler(void);
_Noreturn void fault_report(const uint32_t *frame);

enum { FRAME_WORDS = 8, FRAME_PC = 6, FRAME_XPSR = 7, EXCEPTION_MASK = 0x1FF };

void fault_init(void)
{
    SCB->SHCSR |= SCB_SHCSR_MEMFAULTENA | SCB_SHCSR_BUSFAULTENA | SCB_SHCSR_USGFAULTENA;
    SCB->CCR |= SCB_CCR_DIV_0_TRP;
}

static _Noreturn void stay(void)
{
    interrupts_restore(0); /* SysTick must wake WFI, even if the fault came inside a critical section */
    for (;;) {
        watchdog_kick();
        cpu_idle();
    }
}

_Noreturn void fault_stop(const char *reason)
{
    console_line("state", "fault reason=%s", reason);
    stay();
}

/* The stack may be what broke, so the report runs on one of its own. */
__attribute__((naked)) void Fault_Handler(void)
{
    __asm volatile("tst lr, #4\n\t"
                   "ite eq\n\t"
                   "mrseq r0, msp\n\t"
                   "mrsne r0, psp\n\t"
                   "ldr r1, =_fault_stack_top\n\t"
                   "mov sp, r1\n\t"
                   "b fault_report\n\t"
                   ".ltorg");
}

static const char *reason_word(uint32_t exception)
{
    switch (exception) {
    case 2:
        return "nmi";
    case 3:
        return "hard-fault";
    case 4:
        return "memory-management";
    case 5:
        return "bus-fault";
    case 6:
        return "usage-fault";
    default:
        return "unexpected-exception";
    }
}

static bool in_ram(const uint32_t *frame)
{
    uintptr_t at = (uintptr_t)frame, size = FRAME_WORDS * sizeof *frame;
    return (at >= CCM_START && at <= CCM_START + CCM_SIZE - size) ||
           (at >= SRAM_START && at <= SRAM_START + SRAM_SIZE - size);
}

/* Leaves the exception for stay() in thread mode, where WFI wakes at SysTick; the return takes a frame of our own. */
static _Noreturn void return_to_stay(void)
{
    static uint32_t frame[FRAME_WORDS] __attribute__((aligned(8)));
    frame[FRAME_PC] = (uint32_t)(uintptr_t)stay & ~1u;
    frame[FRAME_XPSR] = 1u << 24; /* Thumb */
    __asm volatile("mov sp, %0\n\tbx %1" ::"r"(frame), "r"(0xFFFFFFF9u) : "memory");
    __builtin_unreachable();
}

_Noreturn void fault_report(const uint32_t *frame)
{
    uint32_t exception;
    __asm volatile("mrs %0, ipsr" : "=r"(exception));
    bool known = in_ram(frame);
    console_panic_line("state", "fault reason=%s pc=%08lx cfsr=%08lx", reason_word(exception & EXCEPTION_MASK),
                       known ? (unsigned long)frame[FRAME_PC] : 0xFFFFFFFFul, (unsigned long)SCB->CFSR);
    if (known && (frame[FRAME_XPSR] & EXCEPTION_MASK) == 0)
        return_to_stay();
    for (;;) /* inside another handler: returning to thread mode is not allowed */
        watchdog_kick();
}
