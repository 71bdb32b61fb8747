/* SPDX-License-Identifier: Apache-2.0
 * Corners of the ARMv7-M exception model and its traps (ARMv7-M ARM B1.5, B3.2).
 *
 * truth: divide=02000000          DIVBYZERO with DIV_0_TRP, B3.2.8
 * truth: divide_off=00000000      0 without the trap
 * truth: word=01000000            UNALIGNED with UNALIGN_TRP
 * truth: half=01000000
 * truth: store=01000000
 * truth: aligned=00000000
 * truth: off=00000000             no trap, no fault
 * truth: basepri=00000050         four bits are there, 10.2 of PM0214
 * truth: psp=20003ffc             bits 1:0 read as zero
 * truth: vectpending=0000000e     PendSV
 * truth: vectpending_masked=00000000 BASEPRI hides it
 * truth: pulse=00000002           an edge while the handler runs pends it again
 * truth: thread_return=00000001   IACCVIOL: EXC_RETURN is no return in thread mode
 * truth: unprivileged_scs=00008200 PRECISERR, BFARVALID
 * truth: still_there=00000001     and the access had no effect
 * truth: ram_unmask=00000001      CPSIE in code that was copied to RAM
 */
#include <stdint.h>
static void on_usage(void), on_mem(void), on_bus(void), on_pendsv(void), on_irq(void), on_svc(void);
#define ON_USAGE on_usage
#define ON_MEM on_usage
#define ON_BUS on_usage
#define ON_PENDSV on_pendsv
#define ON_IRQ on_irq
#define ON_SVC on_svc
#include "probe.h"
static volatile uint32_t status, pendings, pulses;
static volatile uint32_t buffer[4] = {0x03020100, 0x07060504, 0, 0};
__attribute__((naked)) static void on_usage(void)
{
    __asm volatile("tst lr, #4\n ite eq\n mrseq r0, msp\n mrsne r0, psp\n push {r4, lr}\n bl fault\n pop {r4, pc}");
}
__attribute__((used)) static void fault(uint32_t *frame)
{
    status = REG(0xE000ED28); REG(0xE000ED28) = 0xFFFFFFFF;
    if (status & 0x40001) frame[6] = frame[5] & ~1u;
    else frame[6] += REG16(frame[6]) >> 11 >= 0x1D ? 4 : 2;
}
static void on_pendsv(void) { pendings++; }
static void on_irq(void)
{
    if (pulses++ == 0) { REG(0x40013C14) = 2; REG(0x40013C10) = 2; REG(0x40013C14) = 2; REG(0x40013C10) = 0; }
    REG(0x40013C14) = 2; (void)REG(0x40013C14);
}
__attribute__((naked)) static void on_svc(void)
{
    __asm volatile("mrs r0, control\n bic r0, #1\n msr control, r0\n bx lr");
}
#define TRY(name, code) do { status = 0; code; __asm volatile("dsb\n isb"); fact(name, status); } while (0)
__attribute__((section(".ramtext"), noinline, long_call)) static void unmask_from_ram(void) { __asm volatile("cpsie i\n isb"); }
int main(void)
{
    REG(0xE000ED24) |= 7u << 16;
    volatile int zero = 0, sink;
    REG(0xE000ED14) |= 0x10; __asm volatile("dsb\n isb");
    TRY("divide", sink = 5 / zero);
    REG(0xE000ED14) &= ~0x10u; __asm volatile("dsb\n isb");
    TRY("divide_off", sink = 5 / zero);
    REG(0xE000ED14) |= 8; __asm volatile("dsb\n isb");
    TRY("word", sink = *(volatile uint32_t *)((uintptr_t)buffer + 1));
    TRY("half", sink = *(volatile uint16_t *)((uintptr_t)buffer + 1));
    TRY("store", *(volatile uint32_t *)((uintptr_t)buffer + 10) = 1);
    TRY("aligned", sink = buffer[1]);
    REG(0xE000ED14) &= ~8u; __asm volatile("dsb\n isb");
    TRY("off", sink = *(volatile uint32_t *)((uintptr_t)buffer + 1)); (void)sink;
    uint32_t v = 0x5F; __asm volatile("msr basepri, %1\n mrs %0, basepri\n msr basepri, %2" : "=r"(v) : "r"(v), "r"(0)); fact("basepri", v);
    v = 0x20003FFF; __asm volatile("msr psp, %1\n mrs %0, psp" : "=r"(v) : "r"(v)); fact("psp", v);
    REG(0xE000ED20) |= 0xF0u << 16;
    __asm volatile("cpsid i"); REG(0xE000ED04) = 1u << 28; fact("vectpending", REG(0xE000ED04) >> 12 & 0x3FF);
    __asm volatile("msr basepri, %0" : : "r"(0x80)); fact("vectpending_masked", REG(0xE000ED04) >> 12 & 0x3FF);
    __asm volatile("msr basepri, %0" : : "r"(0)); REG(0xE000ED04) = 1u << 27; __asm volatile("cpsie i");
    REG(0x40013C00) |= 2; REG(0xE000E100) = 1u << 7; REG(0x40013C10) = 2;
    for (volatile int i = 0; i < 100; i++) { }
    fact("pulse", pulses);
    TRY("thread_return", ((void (*)(void))0xFFFFFFF9)());
    status = 0; v = REG(0xE000ED24);
    __asm volatile("mrs r0, control\n orr r0, #1\n msr control, r0\n isb\n str %0, [%1]\n nop\n svc 0" : : "r"(0), "r"(0xE000ED24) : "r0", "r1", "r2", "memory");
    fact("unprivileged_scs", status); fact("still_there", REG(0xE000ED24) == v);
    __asm volatile("cpsid i"); pendings = 0; REG(0xE000ED04) = 1u << 28; unmask_from_ram(); v = pendings; fact("ram_unmask", v);
    return 0;
}
