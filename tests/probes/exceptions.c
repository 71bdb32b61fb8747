/* SPDX-License-Identifier: Apache-2.0
 * Priorities, masks and escalation (ARMv7-M ARM B1.5.4 to B1.5.14, B3.2.15). Handlers leave their number at entry and
 * their number plus 8 at exit.
 *
 * truth: priority_bits=000000f0    four bits are there
 * truth: prigroup=00000600
 * truth: aircr_key=00000600        without VECTKEY nothing is stored
 * truth: group_same=0000192a      40 and 60 are one group under PRIGROUP 6: no pre-emption
 * truth: group_pick=00002a19       of two pending ones of a group the lower subpriority goes first
 * truth: number_pick=0000192a      at equal priority the lower number
 * truth: preempt=000012a9          2 comes between
 * truth: basepri_holds=00000000    at its own value nothing comes
 * truth: basepri_max=00000040      BASEPRI_MAX only raises
 * truth: basepri_max_zero=00000040 and ignores 0
 * truth: basepri_release=00000019
 * truth: pend_active=00001919      pended by itself: once more, not inside itself
 * truth: rettobase=00000800
 * truth: rettobase_nested=00000000
 * truth: ispr_reads=00000002
 * truth: icpr=00000000
 * truth: iabr=00000002
 * truth: stir=00000019
 * truth: changed_pending=00002a19  a priority changed while pending counts
 * truth: disabled_pends=00000002   pending without enable
 * truth: div_escalates=00000003    UsageFault is off: HardFault
 * truth: div_hfsr=40000000         FORCED
 * truth: div_cfsr=02000000
 * truth: faultmask_nmi=00000001    NMI passes FAULTMASK
 * truth: faultmask_after_nmi=00000001 and leaves it
 * truth: bus_ignored=00000000      BFHFNMIGN with FAULTMASK: no fault taken
 * truth: bus_ignored_cfsr=00008200 but seen
 * truth: cfsr_half=00008200        the half-word that is not written stays
 * truth: cfsr_clear=00000000
 * truth: shcsr_active=00000080     SVCALLACT inside SVC
 * truth: vectactive=0000000b
 * truth: primask_svc=00000003      SVC under PRIMASK: HardFault
 * truth: svc_low=00000003          SVC whose priority is too low: HardFault
 * truth: pendsvclr=00000000
 * truth: pendstset=00000001        a SysTick exception pended by software
 * truth: unprivileged_primask=00000000 MSR and CPS do nothing
 * truth: unprivileged_control=00000001 nor can it leave
 */
#include <stdint.h>
static void on_irq(void), on_hard(void), on_svc(void), on_nmi(void), on_pendsv(void), on_tick(void);
#define ON_IRQ on_irq
#define ON_HARD on_hard
#define ON_SVC on_svc
#define ON_NMI on_nmi
#define ON_PENDSV on_pendsv
#define ON_TICK on_tick
#include "probe.h"
#define PRI(n) REG8(0xE000E400 + (n))
#define BARRIER() __asm volatile("dsb\n isb")
#define MASKED(what) (__extension__({ __asm volatile("cpsid i" : : : "memory"); what; __asm volatile("dsb\n cpsie i\n isb" : : : "memory"); }))
static volatile uint32_t trace, inner, nmis, fault, hfsr, cfsr, icsr, rettobase, nested, iabr, act, pendings, ticks, user;
static void pend(uint32_t mask) { REG(0xE000E200) = mask; BARRIER(); }
static void on_irq(void)
{
    uint32_t n; __asm volatile("mrs %0, ipsr" : "=r"(n)); n -= 16;
    trace = trace << 4 | n; iabr = REG(0xE000E300);
    if (trace >> 4) nested = REG(0xE000ED04) & 0x800; else rettobase = REG(0xE000ED04) & 0x800;
    if (n == 1 && inner) { uint32_t mask = inner; inner = 0; pend(mask); }
    trace = trace << 4 | (n + 8);
}
static void on_nmi(void) { nmis++; }
static void on_pendsv(void) { pendings++; }
static void on_tick(void) { ticks++; }
__attribute__((naked)) static void on_hard(void) { __asm volatile("mrs r0, msp\n push {r4, lr}\n bl hard\n pop {r4, pc}"); }
__attribute__((used)) static void hard(uint32_t *frame)
{
    uint32_t n; __asm volatile("mrs %0, ipsr" : "=r"(n));
    fault = n; hfsr = REG(0xE000ED2C); cfsr = REG(0xE000ED28); REG(0xE000ED2C) = 0xFFFFFFFF; REG(0xE000ED28) = 0xFFFFFFFF;
    if (cfsr) frame[6] += REG16(frame[6]) >> 11 >= 0x1D ? 4 : 2;
    else if (REG16(frame[6]) >> 8 == 0xDF) frame[6] += 2;
}
static void on_svc(void)
{
    act = REG(0xE000ED24) & 0xFFFF; icsr = REG(0xE000ED04) & 0x1FF;
    if (user) __asm volatile("mrs r0, control\n bic r0, #1\n msr control, r0" : : : "r0");
}
static uint32_t basepri(void) { uint32_t v; __asm volatile("mrs %0, basepri" : "=r"(v)); return v; }
int main(void)
{
    uint32_t v;
    REG(0xE000E100) = 6;
    PRI(1) = 0xFF; fact("priority_bits", PRI(1));
    REG(0xE000ED0C) = 0x05FA0600; fact("prigroup", REG(0xE000ED0C) & 0x700);
    REG(0xE000ED0C) = 0x00000000; fact("aircr_key", REG(0xE000ED0C) & 0x700);
    PRI(1) = 0x60; PRI(2) = 0x40;
    trace = 0; inner = 4; pend(2); fact("group_same", trace);
    trace = 0; MASKED(pend(6)); fact("group_pick", trace);
    PRI(1) = PRI(2) = 0x40; trace = 0; MASKED(pend(6)); fact("number_pick", trace);
    REG(0xE000ED0C) = 0x05FA0300; PRI(1) = 0x60; trace = 0; inner = 4; pend(2); fact("preempt", trace);
    uint32_t inside = nested;
    PRI(1) = 0x40; trace = 0; __asm volatile("msr basepri, %0" : : "r"(0x40)); pend(2); fact("basepri_holds", trace);
    __asm volatile("msr basepri_max, %0" : : "r"(0x80)); fact("basepri_max", basepri());
    __asm volatile("msr basepri_max, %0" : : "r"(0)); fact("basepri_max_zero", basepri());
    __asm volatile("msr basepri, %0\n isb" : : "r"(0) : "memory"); fact("basepri_release", trace);
    trace = 0; inner = 2; pend(2); fact("pend_active", trace); fact("rettobase", rettobase); fact("rettobase_nested", inside);
    MASKED(pend(2); v = REG(0xE000E200); REG(0xE000E280) = 2; act = REG(0xE000E200)); fact("ispr_reads", v); fact("icpr", act);
    fact("iabr", iabr);
    trace = 0; REG(0xE000EF00) = 1; BARRIER(); fact("stir", trace);
    trace = 0; PRI(1) = PRI(2) = 0x40; MASKED(pend(6); PRI(2) = 0x20); fact("changed_pending", trace);
    REG(0xE000E180) = 2; pend(2); fact("disabled_pends", REG(0xE000E200) & 2); REG(0xE000E280) = 2;
    REG(0xE000ED14) |= 0x10; BARRIER(); volatile int zero = 0, sink = 5; fault = 0; sink = sink / zero;
    fact("div_escalates", fault); fact("div_hfsr", hfsr); fact("div_cfsr", cfsr); REG(0xE000ED14) &= ~0x10u;
    __asm volatile("cpsid f"); REG(0xE000ED04) = 1u << 31; BARRIER(); __asm volatile("mrs %0, faultmask\n cpsie f" : "=r"(v));
    fact("faultmask_nmi", nmis); fact("faultmask_after_nmi", v);
    REG(0xE000ED14) |= 0x100; fault = 0; __asm volatile("cpsid f\n isb"); v = REG(0x30000000); __asm volatile("cpsie f\n isb");
    fact("bus_ignored", fault); fact("bus_ignored_cfsr", REG(0xE000ED28)); REG16(0xE000ED2A) = 0xFFFF; fact("cfsr_half", REG(0xE000ED28));
    REG8(0xE000ED29) = 0xFF; fact("cfsr_clear", REG(0xE000ED28)); REG(0xE000ED14) &= ~0x100u;
    __asm volatile("svc 0"); fact("shcsr_active", act); fact("vectactive", icsr);
    fault = 0; __asm volatile("cpsid i\n svc 0\n cpsie i" : : : "memory"); fact("primask_svc", fault);
    REG8(0xE000ED1F) = 0x80; fault = 0; __asm volatile("msr basepri, %0\n svc 0\n msr basepri, %1" : : "r"(0x80), "r"(0) : "memory"); fact("svc_low", fault);
    REG8(0xE000ED1F) = 0;
    MASKED(REG(0xE000ED04) = 1u << 28; REG(0xE000ED04) = 1u << 27); fact("pendsvclr", pendings);
    REG(0xE000ED04) = 1u << 26; BARRIER(); fact("pendstset", ticks);
    user = 1;
    __asm volatile("mrs r0, control\n orr r0, #1\n msr control, r0\n isb\n cpsid i\n movs r0, #1\n msr primask, r0\n movs r0, #0\n msr control, r0\n isb\n"
                   "mrs r1, control\n and %0, r1, #1\n svc 0" : "=r"(v) : : "r0", "r1", "r2", "r3", "r12", "memory");
    uint32_t primask; __asm volatile("mrs %0, primask" : "=r"(primask)); fact("unprivileged_primask", primask); fact("unprivileged_control", v);
    (void)sink; return 0;
}
