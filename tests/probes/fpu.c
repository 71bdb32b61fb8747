/* SPDX-License-Identifier: Apache-2.0
 * FP state and exceptions, access to coprocessors, the local monitor (ARMv7-M ARM B1.5.6, B1.5.7, B1.5.20, A3.4).
 *
 * truth: no_access=00080000       NOCP while CPACR keeps it away
 * truth: p15=00080000             there is no coprocessor 15
 * truth: access=00000000
 * truth: fpca_before=00000000
 * truth: fpca_after=00000004      the first FP instruction sets CONTROL.FPCA
 * truth: lazy_lr=00000000         EXC_RETURN bit 4
 * truth: lazy_lspact=00000001     the handler used no FP register: space only
 * truth: lazy_fpcar=00000020      from the frame
 * truth: lazy_slot=deadbeef       nothing was written there
 * truth: used_lspact=00000000     its first FP instruction saves them
 * truth: used_slot=41200000       10.0
 * truth: used_fpscr=00400000      slot of FPSCR: rounding mode of the thread
 * truth: handler_fpscr=01000000   FPDSCR
 * truth: thread_s0=41200000       and the return brings them back
 * truth: thread_fpscr=00400000
 * truth: eager_lspact=00000000    LSPEN = 0
 * truth: eager_slot=41200000
 * truth: aspen_off_lr=00000010    no FP frame
 * truth: fp_align=00000000        an FP frame is aligned to 8 without STKALIGN, too
 * truth: nested=41200000          saved once, by the inner handler that uses FP
 * truth: exclusive=00000000
 * truth: exclusive_lost=00000001  an exception came between
 * truth: stored=00000005
 */
#include <stdint.h>
static void on_usage(void), on_svc(void), on_pendsv(void);
#define ON_USAGE on_usage
#define ON_SVC on_svc
#define ON_PENDSV on_pendsv
#include "probe.h"
static volatile uint32_t status, in_lr, in_fpccr, in_fpcar, in_frame, in_slot, in_fpscr_slot, in_fpscr, use, nest;
__attribute__((naked)) static void on_usage(void) { __asm volatile("mrs r0, msp\n push {r4, lr}\n bl usage\n pop {r4, pc}"); }
__attribute__((used)) static void usage(uint32_t *frame)
{
    status = REG(0xE000ED28); REG(0xE000ED28) = 0xFFFFFFFF;
    frame[6] += REG16(frame[6]) >> 11 >= 0x1D ? 4 : 2;
}
__attribute__((naked)) static void on_svc(void) { __asm volatile("mov r1, lr\n mrs r0, msp\n push {r4, lr}\n bl svc\n pop {r4, pc}"); }
__attribute__((used)) static void svc(uint32_t *frame, uint32_t lr)
{
    in_lr = lr & 0x10; in_frame = (uint32_t)frame;
    if (use) __asm volatile("vmov s0, %0\n vmrs %1, fpscr" : : "r"(0x3F800000), "r"(0) : "s0");
    if (use) { uint32_t v; __asm volatile("vmrs %0, fpscr" : "=r"(v)); in_fpscr = v; }
    if (nest) { REG(0xE000ED04) = 1u << 28; __asm volatile("dsb\n isb"); }
    in_fpccr = REG(0xE000EF34) & 1; in_fpcar = REG(0xE000EF38) - in_frame; in_slot = frame[8]; in_fpscr_slot = frame[24];
}
static void on_pendsv(void) { __asm volatile("vmov s0, %0" : : "r"(0x40000000) : "s0"); }
#define CALL(asm_before) __asm volatile("push {r4-r11, lr}\n sub sp, #0x70\n mov r3, sp\n mov r2, #28\n" \
    "1: str %1, [r3], #4\n subs r2, #1\n bne 1b\n add sp, #0x70\n vmov s0, %0\n vmsr fpscr, %2\n" asm_before "svc 0\n" \
    "pop {r4-r11, lr}" : : "r"(0x41200000), "r"(0xDEADBEEF), "r"(0x00400000) : "r0", "r1", "r2", "r3", "r12", "memory", "s0")
static uint32_t control(void) { uint32_t v; __asm volatile("mrs %0, control" : "=r"(v)); return v & 4; }
int main(void)
{
    uint32_t v, w;
    REG(0xE000ED24) |= 7u << 16;
    REG(0xE000ED88) = 0; __asm volatile("dsb\n isb");
    status = 0; __asm volatile("vmov s0, %0" : : "r"(0)); fact("no_access", status);
    status = 0; __asm volatile("mrc p15, 0, r0, c1, c0, 0" : : : "r0"); fact("p15", status);
    REG(0xE000ED88) = 0xFu << 20; __asm volatile("dsb\n isb");
    fact("access", (REG(0xE000ED88) >> 20 & 0xF) != 0xF);
    fact("fpca_before", control()); __asm volatile("vmov s0, %0" : : "r"(0x41200000) : "s0"); v = control(); fact("fpca_after", v);
    REG(0xE000EF3C) = 1u << 24;
    CALL(""); fact("lazy_lr", in_lr); fact("lazy_lspact", in_fpccr); fact("lazy_fpcar", in_fpcar); fact("lazy_slot", in_slot);
    use = 1; CALL(""); __asm volatile("vmov %0, s0\n vmrs %1, fpscr" : "=r"(v), "=r"(w));
    fact("used_lspact", in_fpccr); fact("used_slot", in_slot); fact("used_fpscr", in_fpscr_slot); fact("handler_fpscr", in_fpscr);
    fact("thread_s0", v); fact("thread_fpscr", w); use = 0;
    REG(0xE000EF34) = 1u << 31; CALL(""); fact("eager_lspact", in_fpccr); fact("eager_slot", in_slot);
    REG(0xE000EF34) = 0; __asm volatile("mrs r0, control\n bic r0, #4\n msr control, r0\n isb" : : : "r0");
    CALL(""); fact("aspen_off_lr", in_lr);
    REG(0xE000EF34) = 3u << 30; REG(0xE000ED14) &= ~0x200u;
    __asm volatile("vmov s0, %0\n mrs r4, msp\n bic r5, r4, #7\n add r5, #-12\n mov sp, r5\n svc 0\n mov sp, r4" : : "r"(0x41200000) : "r4", "r5", "r0", "r1", "r2", "r3", "r12", "lr", "memory", "s0");
    REG(0xE000ED14) |= 0x200; fact("fp_align", in_frame & 7);
    REG(0xE000ED1C) = 0x80u << 24; nest = 1; CALL(""); fact("nested", in_slot); nest = 0;
    volatile uint32_t cell = 3;
    __asm volatile("ldrex r0, [%1]\n strex %0, %2, [%1]" : "=&r"(v) : "r"(&cell), "r"(5) : "r0", "memory"); fact("exclusive", v);
    __asm volatile("ldrex r0, [%1]\n svc 0\n strex %0, %2, [%1]" : "=&r"(v) : "r"(&cell), "r"(7) : "r0", "r1", "r2", "r3", "r12", "lr", "memory"); fact("exclusive_lost", v);
    fact("stored", cell);
    return 0;
}
