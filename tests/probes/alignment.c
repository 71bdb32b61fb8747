/* SPDX-License-Identifier: Apache-2.0
 * Which accesses must be aligned whatever UNALIGN_TRP says (ARMv7-M ARM A3.2.1), UsageFault UNALIGNED in CFSR.
 *
 * truth: ldr=00000000             may be unaligned
 * truth: str=00000000
 * truth: ldrh=00000000
 * truth: read_back=55443322
 * truth: ldm=01000000
 * truth: ldm16=01000000
 * truth: ldmdb=01000000
 * truth: stm=01000000
 * truth: nothing_stored=00000000
 * truth: ldrd=01000000
 * truth: ldrd_half=01000000       a multiple of two is not enough
 * truth: strd=01000000
 * truth: vldr=01000000
 * truth: vstr=01000000
 * truth: vldm=01000000
 * truth: vstm=01000000
 * truth: ldrex=01000000
 * truth: ldrexh=01000000
 * truth: aligned=00000000         and none of these where it is aligned
 * truth: base_kept=00000001       no write-back by an access that faulted
 * truth: behind_ldr=01000000      LDR that may be, LDRD that must not, in one block
 * truth: loop=00000064            a hundred rounds of an unaligned LDR beside an aligned LDM: none faults
 * truth: loop_sum=00001388
 * truth: loop_then=01000000       and the LDM after twenty rounds, of the same block, does
 * truth: in_it=01000000           inside an IT block
 * truth: it_skipped=00000000      not carried out, not judged
 * truth: hfsr=40000000            FORCED when UsageFault is not enabled
 * truth: basepri=00000040         masks may be written all the time
 * truth: trapped_ldr=01000000     UNALIGN_TRP, for single words too
 * truth: trapped_strh=01000000
 * truth: trapped_aligned=00000000
 * truth: trapped_basepri=00000060
 * truth: untrapped_ldr=00000000
 * truth: read_first=01000000      in code that was read as data before it was executed
 */
#include <stdint.h>
static void on_usage(void);
#define ON_USAGE on_usage
#define ON_HARD on_usage
#include "probe.h"
static volatile uint32_t status, faults, hfsr;
static uint8_t bytes[64] __attribute__((aligned(8)));
__attribute__((naked)) static void on_usage(void)
{
    __asm volatile("mov r0, sp\n push {r4, lr}\n bl fault\n pop {r4, pc}");
}
__attribute__((used)) static void fault(uint32_t *frame)
{
    status = REG(0xE000ED28); REG(0xE000ED28) = 0xFFFFFFFF; faults++;
    hfsr = REG(0xE000ED2C); REG(0xE000ED2C) = hfsr;
    frame[6] += REG16(frame[6]) >> 11 >= 0x1D ? 4 : 2;
    uint32_t it = frame[7] >> 8 & 0xFC & 0xE0;                 /* the rest of an IT block is left out */
    (void)it; frame[7] &= ~0x0600FC00u;
}
#define TRY(name, base, ...) do { register uint32_t b __asm("r4") = (uint32_t)(uintptr_t)(base); status = 0; \
    __asm volatile(__VA_ARGS__ : "+r"(b) : : "r0", "r1", "r2", "r3", "s0", "s1", "memory", "cc"); \
    __asm volatile("dsb\n isb"); last_base = b; fact(name, status); } while (0)
static volatile uint32_t last_base;
__attribute__((noinline, aligned(1024))) static void own_page(uint8_t *base) { TRY("read_first", base, "ldrd r0, r1, [%0]"); }
int main(void)
{
    REG(0xE000ED24) |= 7u << 16;
    for (int i = 0; i < 64; i++) bytes[i] = (uint8_t)(i * 0x11);
    uint8_t *odd = bytes + 1;
    TRY("ldr", odd, "ldr r0, [%0]"); TRY("str", odd + 1, "ldr r0, [%0]\n str r0, [%0]"); TRY("ldrh", odd, "ldrh r0, [%0]");
    fact("read_back", *(volatile uint32_t *)(bytes + 2));
    TRY("ldm", odd, "ldmia.w %0, {r0, r1, r2}"); TRY("ldm16", odd, "ldmia %0!, {r0, r1}");
    TRY("ldmdb", odd + 16, "ldmdb %0, {r0, r1}");
    for (int i = 32; i < 64; i++) bytes[i] = 0;
    TRY("stm", odd + 32, "movs r0, #1\n mov r1, r0\n stmia.w %0, {r0, r1}"); fact("nothing_stored", *(volatile uint32_t *)(bytes + 32));
    TRY("ldrd", odd, "ldrd r0, r1, [%0]"); TRY("ldrd_half", bytes + 2, "ldrd r0, r1, [%0]"); TRY("strd", odd + 32, "strd r0, r1, [%0]");
    TRY("vldr", odd, "vldr s0, [%0]"); TRY("vstr", odd + 32, "vstr s0, [%0]");
    TRY("vldm", odd, "vldmia %0, {s0, s1}"); TRY("vstm", odd + 32, "vstmia %0, {s0, s1}");
    TRY("ldrex", odd, "ldrex r0, [%0]\n clrex"); TRY("ldrexh", odd, "ldrexh r0, [%0]\n clrex");
    TRY("aligned", bytes + 4, "ldmia.w %0, {r0, r1, r2}\n ldrd r0, r1, [%0]\n strd r0, r1, [%0, #32]\n vldr s0, [%0]\n vstmia %0, {s0}");
    TRY("ldm16", odd, "ldmia %0!, {r0, r1}"); fact("base_kept", last_base == (uint32_t)(uintptr_t)odd);
    TRY("behind_ldr", odd, "ldr r0, [%0]\n ldrd r0, r1, [%0]");
    uint32_t sum = 0; bytes[40] = 0; status = 0; faults = 0;
    for (int i = 0; i < 100; i++) {
        register uint32_t b __asm("r0");
        __asm volatile("ldr r0, [%1]\n ldmia.w %2, {r0, r1}" : "=&r"(b) : "r"(bytes + 33), "r"(bytes + 40) : "r1", "memory");
        bytes[40] = 50; sum += b & 0xFF;
    }
    fact("loop", 100 - faults); fact("loop_sum", sum + 50);
    for (int i = 0; i < 21; i++) {
        __asm volatile("ldr r0, [%0]\n ldmia.w %1, {r0, r1}" : : "r"(bytes + 33), "r"(bytes + 40 + i / 20) : "r0", "r1");
    }
    fact("loop_then", status);
    TRY("in_it", odd, "cmp %0, %0\n itt eq\n ldrdeq r0, r1, [%0]\n nopeq");
    TRY("it_skipped", odd, "cmp %0, %0\n it ne\n ldrdne r0, r1, [%0]");
    REG(0xE000ED24) &= ~(1u << 18);
    status = 0; TRY("ldrd", odd, "ldrd r0, r1, [%0]"); fact("hfsr", hfsr);
    REG(0xE000ED24) |= 1u << 18;
    uint32_t v; __asm volatile("msr basepri, %1\n mrs %0, basepri\n msr basepri, %2" : "=&r"(v) : "r"(0x40), "r"(0)); fact("basepri", v);
    REG(0xE000ED14) |= 8; __asm volatile("dsb\n isb");
    TRY("trapped_ldr", odd, "ldr r0, [%0]"); TRY("trapped_strh", odd + 32, "strh r0, [%0]"); TRY("trapped_aligned", bytes, "ldr r0, [%0]");
    __asm volatile("msr basepri, %1\n mrs %0, basepri\n msr basepri, %2" : "=&r"(v) : "r"(0x60), "r"(0)); fact("trapped_basepri", v);
    REG(0xE000ED14) &= ~8u; __asm volatile("dsb\n isb");
    TRY("untrapped_ldr", odd, "ldr r0, [%0]");
    (void)REG((uintptr_t)own_page & ~3u); own_page(odd);
    return 0;
}
