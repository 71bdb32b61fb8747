/* SPDX-License-Identifier: Apache-2.0
 * Small things a driver may count on: EXTI by software, SysTick's calibration, identity, FP flags, MPU subregions,
 * parity, the independent watchdog (RM0090 12.3, 21, 30.3.7, 38.6; PM0214 4.5, 4.6; ARMv7-M ARM A2.5, B3.3, B3.5).
 *
 * virtual seconds: 20
 * truth: exti_pr=00000008
 * truth: exti_irq=00000001
 * truth: exti_swier_gone=00000000 writing PR clears SWIER, too
 * truth: exti_edge=00000010       a falling edge by software on its own pin
 * truth: exti_not_rising=00000000
 * truth: exti_port=00000000       another port was chosen in SYSCFG_EXTICR
 * truth: calib=4000493e           fixed to 18750, RM0090 12.1.1
 * truth: tick_count=00000001      COUNTFLAG, cleared by reading
 * truth: tick_again=00000000
 * truth: tick_cleared=00000000    any write to VAL clears it
 * truth: idcode=00000413          STM32F405 / F407
 * truth: dbg_stop=00000007        DBGMCU_CR keeps what is written
 * truth: ioc=00000001             0 / 0
 * truth: dzc=00000002
 * truth: ofc=00000014             overflow is inexact, too
 * truth: ufc=00000018
 * truth: ixc=00000010
 * truth: idc=00000080             a denormal with FZ
 * truth: flushed=00000000
 * truth: default_nan=7fc00000     DN
 * truth: nan_kept=7fc12345
 * truth: rounding=3eaaaaaa        1/3 towards zero
 * truth: sub_off=00000082         a subregion that is off shows the region below: no access
 * truth: sub_on=00000000
 * truth: highest_wins=00000082    the region with the higher number
 * truth: lower_alone=00000000
 * truth: rbar_valid=00000005      VALID takes the number along
 * truth: alias_rbar=20000045      RBAR_A1 writes the same registers
 * truth: user_ro_load=00000000    AP 2: unprivileged code reads
 * truth: user_ro_store=00000082   and does not write
 * truth: par_even=00000041        eight bits, of which the highest is the parity
 * truth: par_odd=000000c1
 * truth: iwdg_flag=00000001       IWDGRSTF
 * truth: iwdg_time=00000001       125 ticks of 4 / 32 kHz: 15.6 ms
 * truth: iwdg_locked=00000fff     RLR without its key
 */
#include <stdint.h>
static void on_fault(void), on_irq(void), on_svc(void);
#define ON_MEM on_fault
#define ON_IRQ on_irq
#define ON_SVC on_svc
#include "probe.h"
static volatile uint32_t status, irqs;
__attribute__((aligned(8192))) static volatile uint8_t area[8192];
__attribute__((naked)) static void on_fault(void) { __asm volatile("tst lr, #4\n ite eq\n mrseq r0, msp\n mrsne r0, psp\n push {r4, lr}\n bl fault\n pop {r4, pc}"); }
__attribute__((used)) static void fault(uint32_t *frame)
{
    status = REG(0xE000ED28); REG(0xE000ED28) = 0xFFFFFFFF;
    frame[6] += REG16(frame[6]) >> 11 >= 0x1D ? 4 : 2;
}
static void on_irq(void) { irqs++; REG(0x40013C14) = 8; (void)REG(0x40013C14); }
__attribute__((naked)) static void on_svc(void) { __asm volatile("mrs r0, control\n bic r0, #1\n msr control, r0\n isb\n bx lr"); }
static void region(uint32_t n, uint32_t base, uint32_t rasr) { REG(0xE000ED98) = n; REG(0xE000ED9C) = base; REG(0xE000EDA0) = rasr; }
#define TRY(name, code) do { status = 0; code; __asm volatile("dsb\n isb"); uint32_t s = status; fact(name, s); } while (0)
static uint32_t flags(void) { uint32_t f; __asm volatile("vmrs %0, fpscr" : "=r"(f)); return f & 0x9F; }
static void fpscr(uint32_t f) { __asm volatile("vmsr fpscr, %0" : : "r"(f)); }
#define F1(op, a, b, result) do { uint32_t x = a, y = b; __asm volatile("vmov s0, %1\n vmov s1, %2\n " op "\n vmov %0, s2" : "=r"(result) : "r"(x), "r"(y) : "s0", "s1", "s2"); } while (0)
static uint32_t hear(uint32_t cr1, uint32_t byte)      /* USART3 with itself by half duplex */
{
    REG(0x4000480C) = 0; REG(0x40004808) = 0x8B; REG(0x40004814) = 8; REG(0x4000480C) = 0x200C | cr1;
    REG(0x40004804) = byte; while (!(REG(0x40004800) & 0x20)) { } uint32_t got = REG(0x40004804); REG(0x4000480C) = 0; put_char(10); return got;
}
int main(void)
{
    uint32_t r;
    if (REG(0x40023874) & 1u << 29) {
        fact("iwdg_flag", 1); uint32_t cycles = REG(0x20018000);         /* at 16 MHz */
        REG(0x40003008) = 5; fact("iwdg_time", cycles > 249000 && cycles < 251000); fact("iwdg_locked", REG(0x40003008)); return 0;
    }
    REG(0x40013C00) = 0; 
    REG(0x40013C14) = 8; REG(0x40013C00) = 8; REG(0x40013C10) = 8; fact("exti_pr", REG(0x40013C14));
    REG(0xE000E100) = 1u << 9; for (volatile int i = 0; i < 20; i++) { } fact("exti_irq", irqs); fact("exti_swier_gone", REG(0x40013C10));
    REG(0x40020400) = (REG(0x40020400) & ~0x300u) | 0x100; REG(0x40020418) = 0x10;        /* PB4 an output, high */
    REG(0x4001380C) = 1; REG(0x40013C00) |= 0x10; REG(0x40013C0C) = 0x10; REG(0x40020418) = 0x100000; fact("exti_edge", REG(0x40013C14) & 0x10);
    REG(0x40013C14) = 0x10; REG(0x40020418) = 0x10; fact("exti_not_rising", REG(0x40013C14) & 0x10);
    REG(0x4001380C) = 0; REG(0x40013C14) = 0x10; REG(0x40020418) = 0x100000; fact("exti_port", REG(0x40013C14) & 0x10);
    fact("calib", REG(0xE000E01C));
    REG(0xE000E014) = 99; REG(0xE000E018) = 0; REG(0xE000E010) = 5; for (volatile int i = 0; i < 400; i++) { }
    fact("tick_count", REG(0xE000E010) >> 16 & 1); REG(0xE000E014) = 0xFFFFFF; REG(0xE000E018) = 0; fact("tick_again", REG(0xE000E010) >> 16 & 1);
    REG(0xE000E018) = 55; fact("tick_cleared", REG(0xE000E010) >> 16 & 1); REG(0xE000E010) = 0;
    fact("idcode", REG(0xE0042000) & 0xFFF); REG(0xE0042004) = 7; fact("dbg_stop", REG(0xE0042004) & 7); REG(0xE0042004) = 0;
    fpscr(0); F1("vdiv.f32 s2, s0, s1", 0, 0, r); fact("ioc", flags());
    fpscr(0); F1("vdiv.f32 s2, s0, s1", 0x3F800000, 0, r); fact("dzc", flags());
    fpscr(0); F1("vmul.f32 s2, s0, s1", 0x7F000000, 0x7F000000, r); fact("ofc", flags());
    fpscr(0); F1("vmul.f32 s2, s0, s1", 0x00800001, 0x3F000001, r); fact("ufc", flags());
    fpscr(0); F1("vdiv.f32 s2, s0, s1", 0x3F800000, 0x40400000, r); fact("ixc", flags());
    fpscr(1u << 24); F1("vadd.f32 s2, s0, s1", 1, 0, r); fact("idc", flags()); fact("flushed", r);
    fpscr(1u << 25); F1("vadd.f32 s2, s0, s1", 0x7FC12345, 0, r); fact("default_nan", r);
    fpscr(0); F1("vadd.f32 s2, s0, s1", 0x7FC12345, 0, r); fact("nan_kept", r);
    fpscr(3u << 22); F1("vdiv.f32 s2, s0, s1", 0x3F800000, 0x40400000, r); fact("rounding", r); fpscr(0);
    REG(0xE000ED24) |= 7u << 16; uint32_t off = (uint32_t)(uintptr_t)area;
    REG(0xE000ED94) = 5;
    region(1, 0x20000000, 16 << 1 | 1 | 3u << 24 | 1u << 28);              /* SRAM, everything */
    region(4, off, 11 << 1 | 1 | 0u << 24 | 1u << 28);                     /* 4 KB: no access */
    region(5, off, 12 << 1 | 1 | 3u << 24 | 1u << 28 | 0xFC00);            /* 8 KB, two of its subregions of 1 KB are on */
    TRY("sub_off", (void)REG8(off + 0x800)); TRY("sub_on", (void)REG8(off + 0x400));
    region(6, off, 9 << 1 | 1 | 0u << 24); TRY("highest_wins", (void)REG8(off + 0x10)); REG(0xE000EDA0) = 0; TRY("lower_alone", (void)REG8(off + 0x10));
    REG(0xE000ED9C) = 0x20000040 | 0x10 | 5; fact("rbar_valid", REG(0xE000ED98)); REG(0xE000EDA4) = 0x20000040 | 0x10 | 5; fact("alias_rbar", REG(0xE000ED9C));
    region(4, 0, 0); region(5, off, 9 << 1 | 1 | 2u << 24); region(7, 0x08000000, 19 << 1 | 1 | 6u << 24);
    status = 0; __asm volatile("mrs r0, control\n orr r0, #1\n msr control, r0\n isb\n ldr r1, [%0]\n nop\n svc 0" : : "r"(off) : "r0", "r1", "memory"); { uint32_t s = status; fact("user_ro_load", s); }
    status = 0; __asm volatile("mrs r0, control\n orr r0, #1\n msr control, r0\n isb\n str r1, [%0]\n nop\n svc 0" : : "r"(off) : "r0", "r1", "memory"); { uint32_t s = status; fact("user_ro_store", s); }
    REG(0xE000ED94) = 0;
    REG(0x40023840) |= 1u << 18; fact("par_even", hear(0x400, 0x41 | 0x80)); fact("par_odd", hear(0x600, 0x41));
    REG(0x40003000) = 0x5555; REG(0x40003004) = 0; REG(0x40003008) = 124; while (REG(0x4000300C)) { }
    REG(0xE000EDFC) |= 1u << 24; REG(0xE0001000) |= 1;
    REG(0x40003000) = 0xAAAA; REG(0x40003000) = 0xCCCC; REG(0xE0001004) = 0;
    for (;;) { REG(0x20018000) = REG(0xE0001004); }       /* which a reset leaves */
}
