/* SPDX-License-Identifier: Apache-2.0
 * Stop and Standby, wake-up by EXTI and RTC (RM0090 5.3, 12.2.5, 26.3).
 * virtual seconds: 8
 *
 * truth: masked=00000000          EXTI masks line 22: WUTF alone interrupts nobody
 * truth: masked_flag=00000400
 * truth: unmasked=00000001        line 22 is interrupt 3
 * truth: alarm=00000001           line 17 is interrupt 41
 * truth: tick_wakes_sleep=00000001 plain WFI ends by SysTick
 * truth: tick_wakes_stop=00000000 in Stop it stands still, 5.3.5
 * truth: clock_after_stop=00000000 HSI, whatever drove the chip before
 * truth: hse_after_stop=00000000
 * truth: cycles_in_stop=00000000  the core's clock stood
 * truth: standby_flags=00000003   WUF, SBF after a wake-up by the RTC
 * truth: sram_lost=00000001
 * truth: backup_kept=5afe5afe
 * truth: flags_cleared=00000000
 */
#include <stdint.h>
static volatile int wakes, alarms, ticks;
static void on_irq(void), on_tick(void);
#define ON_IRQ on_irq
#define ON_TICK on_tick
#include "probe.h"
#define EXTI_IMR REG(0x40013C00)
#define EXTI_RTSR REG(0x40013C08)
#define EXTI_PR REG(0x40013C14)
#define RTC_CR REG(0x40002808)
#define RTC_ISR REG(0x4000280C)
static volatile uint32_t kept __attribute__((section(".bss")));
static void on_tick(void) { ticks++; }
static void on_irq(void)
{
    uint32_t number; __asm volatile("mrs %0, ipsr" : "=r"(number));
    if (number == 16 + 3) wakes++;
    if (number == 16 + 41) alarms++;
    RTC_ISR = ~0x700u; EXTI_PR = 1u << 22 | 1u << 17;
    (void)EXTI_PR;
}
static void arm(uint32_t count) { RTC_CR &= ~0x400u; while (!(RTC_ISR & 4)) { } REG(0x40002814) = count; RTC_ISR = ~0x400u; RTC_CR |= 0x4400; }
int main(void)
{
    REG(0x40023840) |= 1u << 28; REG(0x40007000) |= 0x100;
    if (REG(0x40007004) & 2) {                            /* out of Standby */
        fact("standby_flags", REG(0x40007004) & 3);
        fact("sram_lost", REG(0x20010000) != 0x600DDA7A); fact("backup_kept", REG(0x40002850));
        REG(0x40007000) |= 0xC; fact("flags_cleared", REG(0x40007004) & 3);
        return 0;
    }
    REG(0x40023874) |= 1; REG(0x40023870) = 0x8200;       /* RTC on the LSI */
    REG(0x40002824) = 0xCA; REG(0x40002824) = 0x53;
    REG(0xE000E100) = 1u << 3; REG(0xE000E104) = 1u << 9;
    EXTI_RTSR |= 1u << 22 | 1u << 17;
    arm(19); for (volatile int i = 0; i < 300000 && !(RTC_ISR & 0x400); i++) { }
    for (volatile int i = 0; i < 1000; i++) { }
    fact("masked", wakes); fact("masked_flag", RTC_ISR & 0x400);
    EXTI_PR = 1u << 22; EXTI_IMR |= 1u << 22;
    arm(19); for (volatile int i = 0; i < 300000 && !wakes; i++) { }
    fact("unmasked", wakes); RTC_CR &= ~0x4400u;
    EXTI_IMR |= 1u << 17;
    RTC_ISR |= 0x80; while (!(RTC_ISR & 0x40)) { } REG(0x40002810) = 0x007F00F9; REG(0x40002800) = 0; RTC_ISR &= ~0x80u;
    RTC_CR &= ~0x100u; while (!(RTC_ISR & 1)) { } REG(0x4000281C) = 0x80808001; REG(0x40002844) = 0; RTC_ISR = ~0x180u;
    RTC_CR |= 0x1100; while (!alarms) __asm volatile("wfi");
    RTC_CR &= ~0x1100u; fact("alarm", alarms);
    REG(0xE000E014) = 15999; REG(0xE000E018) = 0; REG(0xE000E010) = 7;
    ticks = 0; __asm volatile("wfi"); fact("tick_wakes_sleep", ticks);
    REG(0x40023800) |= 1u << 16; while (!(REG(0x40023800) & 1u << 17)) { }
    REG(0x40023808) |= 1; while ((REG(0x40023808) & 0xC) != 4) { }
    REG(0xE000EDFC) |= 1u << 24; REG(0xE0001000) |= 1;
    arm(1999); ticks = 0; wakes = 0; REG(0xE000ED10) |= 4;
    uint32_t before = REG(0xE0001004);
    __asm volatile("dsb\n wfi");
    uint32_t cycles = REG(0xE0001004) - before;
    fact("tick_wakes_stop", ticks > 1 || !wakes);
    fact("clock_after_stop", REG(0x40023808) & 0xF); fact("hse_after_stop", REG(0x40023800) >> 16 & 3);
    fact("cycles_in_stop", cycles > 1000);
    REG(0xE000E010) = 0;
    REG(0x40002850) = 0x5AFE5AFE; REG(0x20010000) = 0x600DDA7A;
    arm(1999); REG(0x40007000) |= 2 | 4; __asm volatile("dsb\n wfi");
    fact("never_here", 1);
    return 0;
}
