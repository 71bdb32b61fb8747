/* SPDX-License-Identifier: Apache-2.0
 * Memory protection (ARMv7-M ARM B3.5).
 *
 * truth: type=00000800
 * truth: read_only_store=00000082  DACCVIOL, MMARVALID
 * truth: mmfar=20004044
 * truth: unchanged=00000011
 * truth: read_only_load=00000000
 * truth: never_execute=00000001    IACCVIOL
 * truth: user_load=00000082        privileged only
 * truth: user_mmfar=20004808
 * truth: user_own=00000000         full access
 * truth: background=00000082       PRIVDEFENA off and no region
 * truth: hard_fault=00000000       priority -1 sees the default map without HFNMIENA
 * truth: switched_off=00000000
 */
#include <stdint.h>
static void on_fault(void), on_svc(void), on_nmi(void);
#define ON_MEM on_fault
#define ON_SVC on_svc
#define ON_NMI on_nmi
#include "probe.h"
static volatile uint32_t status, address;
__attribute__((naked)) static void on_fault(void)
{
    __asm volatile("tst lr, #4\n ite eq\n mrseq r0, msp\n mrsne r0, psp\n push {r4, lr}\n bl fault\n pop {r4, pc}");
}
__attribute__((used)) static void fault(uint32_t *frame)
{
    status = REG(0xE000ED28); address = REG(0xE000ED34); REG(0xE000ED28) = 0xFFFFFFFF;
    if (status & 1) frame[6] = frame[5] & ~1u;
    else frame[6] += REG16(frame[6]) >> 11 >= 0x1D ? 4 : 2;
}
__attribute__((naked)) static void on_svc(void) { __asm volatile("mrs r0, control\n bic r0, #1\n msr control, r0\n bx lr"); }
static void on_nmi(void) { REG(0x20004040) = 0x22; }
#define USER() __asm volatile("mrs r0, control\n orr r0, #1\n msr control, r0\n isb" : : : "r0")
#define PRIVILEGED() __asm volatile("svc 0" : : : "r0", "r1", "r2", "r3", "r12", "memory")
#define BARRIER() __asm volatile("dsb\n isb")
static void region(uint32_t n, uint32_t base, uint32_t attributes) { REG(0xE000ED98) = n; REG(0xE000ED9C) = base; REG(0xE000EDA0) = attributes; }
int main(void)
{
    REG(0xE000ED24) |= 1u << 16;
    fact("type", REG(0xE000ED90));
    for (int i = 0; i < 0x1000; i += 4) REG(0x20004000 + i) = 0x11;
    REG(0x20004C00) = 0x47704770;
    region(0, 0x08000000, 3u << 24 | 19 << 1 | 1);                 /* flash: all, 1 MB */
    region(1, 0x20000000, 3u << 24 | 16 << 1 | 1);                 /* SRAM: all, 128 KB */
    region(2, 0x20004000, 6u << 24 | 9 << 1 | 1);                  /* 1 KB read only */
    region(3, 0x20004800, 1u << 24 | 9 << 1 | 1);                  /* 1 KB privileged */
    region(4, 0x20004C00, 1u << 28 | 3u << 24 | 9 << 1 | 1);       /* 1 KB never executed */
    region(5, 0x40000000, 3u << 24 | 1u << 28 | 28 << 1 | 1);      /* peripherals */
    REG(0xE000ED94) = 1; BARRIER();
    status = 0; REG(0x20004044) = 5; BARRIER(); fact("read_only_store", status); fact("mmfar", address);
    status = 0; uint32_t v = REG(0x20004044); fact("unchanged", v); fact("read_only_load", status);
    status = 0; ((void (*)(void))0x20004C01)(); fact("never_execute", status);
    status = 0; USER(); v = REG(0x20004808); PRIVILEGED(); fact("user_load", status); fact("user_mmfar", address);
    status = 0; USER(); REG(0x20004400) = 1; PRIVILEGED(); fact("user_own", status);
    status = 0; v = REG(0x10000000); BARRIER(); fact("background", status); (void)v;
    status = 0; REG(0xE000ED04) = 1u << 31; BARRIER(); fact("hard_fault", status);
    REG(0xE000ED94) = 0; BARRIER(); status = 0; REG(0x20004044) = 5; BARRIER(); fact("switched_off", status);
    return 0;
}
