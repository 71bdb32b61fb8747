/* SPDX-License-Identifier: Apache-2.0
 * The event register: SEV, WFE, SEVONPEND, EXTI's EMR, Stop by WFE; exclusives that are not aligned
 * (ARMv7-M ARM A3.2.1, B1.5.18; RM0090 5.3.5, 12.2.4).
 * virtual seconds: 3
 *
 * truth: sev_first=00000000        an event of the past is enough, nothing slept
 * truth: far_sev=00000000          however far it lies back
 * truth: cleared=00000001          WFE cleared it: the next one sleeps until SysTick
 * truth: return_is_event=00000000  the handler's return is one
 * truth: masked_wfe=00000001       PRIMASK hides the tick from WFE; the RTC's edge in EMR wakes it
 * truth: masked_wfi=00000000       but not from WFI
 * truth: sevonpend=00000001        an interrupt nobody enabled wakes
 * truth: sevonpend_handled=00000000
 * truth: emr_pending=00000000      event mode needs no NVIC
 * truth: stop_by_wfe=00000001      CYCCNT stands in Stop
 * truth: stop_clock=00000000       HSI
 * truth: yield=00000000            goes on
 * truth: ldrex=01000000            UNALIGNED, with UNALIGN_TRP off
 * truth: ldrexh=01000000
 */
#include <stdint.h>
static volatile int ticks, irqs;
static volatile uint32_t status;
static void on_tick(void), on_irq(void), on_usage(void);
#define ON_TICK on_tick
#define ON_IRQ on_irq
#define ON_USAGE on_usage
#include "probe.h"
static void on_tick(void) { ticks++; }
static void on_irq(void) { irqs++; REG(0x4000280C) = ~0x700u; REG(0x40013C14) = 1u << 22; (void)REG(0x40013C14); }
__attribute__((naked)) static void on_usage(void) { __asm volatile("mrs r0, msp\n push {r4, lr}\n bl usage\n pop {r4, pc}"); }
__attribute__((used)) static void usage(uint32_t *frame)
{
    status = REG(0xE000ED28); REG(0xE000ED28) = 0xFFFFFFFF; frame[6] += 4;
}
static uint32_t now(void) { return REG(0xE0001004); }
static void arm(uint32_t count)
{
    REG(0x40002808) &= ~0x400u; while (!(REG(0x4000280C) & 4)) { }
    REG(0x40002814) = count; REG(0x4000280C) = ~0x400u; REG(0x40013C14) = 1u << 22; REG(0x40002808) |= 0x4400;
}
static volatile uint32_t word[4];
static uint32_t odd(int by) { return (uint32_t)word + by; }
int main(void)
{
    uint32_t t, v;
    REG(0xE000EDFC) |= 1u << 24; REG(0xE0001000) |= 1; REG(0xE000ED24) |= 7u << 16;
    __asm volatile("sev\n wfe");                                    /* whatever was before */
    t = now(); __asm volatile("sev\n wfe"); fact("sev_first", now() - t > 200);
    __asm volatile("sev"); for (volatile int i = 0; i < 50; i++) { }
    t = now(); __asm volatile("wfe"); fact("far_sev", now() - t > 200);
    REG(0xE000E014) = 15999; REG(0xE000E018) = 0; REG(0xE000E010) = 7; /* 1 ms */
    __asm volatile("sev\n wfe"); ticks = 0; __asm volatile("wfe"); fact("cleared", ticks);
    t = now(); __asm volatile("wfe"); fact("return_is_event", now() - t > 200);
    /* RTC wake-up on line 22 */
    REG(0x40023840) |= 1u << 28; REG(0x40007000) |= 0x100; REG(0x40023874) |= 1; REG(0x40023870) = 0x8200;
    REG(0x40002824) = 0xCA; REG(0x40002824) = 0x53; REG(0x40013C08) |= 1u << 22; REG(0x40013C04) |= 1u << 22;
    __asm volatile("cpsid i"); arm(39); __asm volatile("sev\n wfe"); t = now(); /* 20 ms */
    __asm volatile("wfe"); fact("masked_wfe", now() - t > 16 * 15000 && now() - t < 16 * 30000);
    t = now(); REG(0x40002808) &= ~0x4400u; REG(0xE000E018) = 0; REG(0xE000ED04) = 1u << 25;
    __asm volatile("wfi"); fact("masked_wfi", now() - t > 20000);
    __asm volatile("cpsie i"); REG(0xE000E010) = 0; __asm volatile("sev\n wfe");
    REG(0x40013C04) = 0; REG(0x40013C14) = 1u << 22; REG(0x40013C00) |= 1u << 22; REG(0xE000ED10) = 0x10; irqs = 0;
    arm(39); t = now(); __asm volatile("wfe"); fact("sevonpend", now() - t > 16 * 15000);
    fact("sevonpend_handled", irqs); REG(0x40013C00) = 0; REG(0xE000ED10) = 0; REG(0x40013C04) |= 1u << 22;
    REG(0x40013C14) = 1u << 22; REG(0xE000E280) = 1u << 3; __asm volatile("sev\n wfe");
    /* Stop by WFE, woken by the event line */
    arm(199); REG(0xE000ED10) = 4; t = now(); __asm volatile("dsb\n sev\n wfe\n wfe"); t = now() - t; REG(0xE000ED10) = 0;
    fact("emr_pending", REG(0xE000E200) >> 3 & 1); fact("stop_by_wfe", t < 1000 && REG(0x4000280C) >> 10 & 1);
    fact("stop_clock", REG(0x40023808) >> 2 & 3); REG(0x40002808) &= ~0x4400u;
    t = now(); __asm volatile("yield"); fact("yield", now() - t > 200);
    status = 0; __asm volatile("ldrex %0, [%1]" : "=r"(v) : "r"(odd(2))); fact("ldrex", status);
    status = 0; __asm volatile("ldrexh %0, [%1]" : "=r"(v) : "r"(odd(1))); fact("ldrexh", status);
    return 0;
}
