/* SPDX-License-Identifier: Apache-2.0 */
/* What the exception model of a Cortex-M4F promises (ARMv7-M ARM B1.5), one fact a line; the expected values are the
   architecture's, written in expected.txt by hand. */
#include "probe.h"
#define ICSR REG(0xE000ED04)
#define VTOR REG(0xE000ED08)
#define SHCSR REG(0xE000ED24)
#define CFSR REG(0xE000ED28)
#define HFSR REG(0xE000ED2C)
#define BFAR REG(0xE000ED38)
#define CPACR REG(0xE000ED88)
#define ISER0 REG(0xE000E100)
#define ISPR0 REG(0xE000E200)
#define IPR8(n) REG8(0xE000E400 + (n))
#define SHPR8(e) REG8(0xE000ED18 + (e) - 4)

static volatile uint32_t ram_vectors[16 + 82] __attribute__((aligned(512)));
static volatile uint32_t trace, ticks, svc_return, svc_ipsr, svc_arg, fault_pc, fault_skip;
static volatile float clobber;
static void note(uint32_t digit) { trace = trace << 4 | digit; }

__attribute__((naked)) static void svc_entry(void)
{
    __asm volatile("tst lr, #4\n ite eq\n mrseq r0, msp\n mrsne r0, psp\n mov r1, lr\n b svc_body\n");
}
__attribute__((used)) static void svc_body(uint32_t *frame, uint32_t exc_return)
{
    uint32_t ipsr;
    __asm volatile("mrs %0, ipsr" : "=r"(ipsr));
    svc_ipsr = ipsr; svc_return = exc_return; svc_arg = ((uint8_t *)(uintptr_t)frame[6])[-2];
    frame[0] = frame[0] + frame[1];
    note(5);
    ICSR = 1u << 28;                            /* PendSV, lower priority: must wait */
    __asm volatile("dsb\nisb");
    note(6);
}
static void pendsv(void) { note(7); }
static void irq_low(void)                       /* IRQ 1, priority 0x80 */
{
    note(1);
    ISPR0 = 1u << 2;
    __asm volatile("dsb\nisb");
    note(3);
}
static void irq_high(void)                      /* IRQ 2, priority 0x40 */
{
    note(2);
    clobber = clobber * 3.0f;                   /* uses S registers */
}
static void tick(void) { ticks++; }
__attribute__((naked)) static void fault_entry2(void)
{
    __asm volatile("tst lr, #4\n ite eq\n mrseq r0, msp\n mrsne r0, psp\n b fault_body\n");
}
__attribute__((used)) static void fault_body(uint32_t *frame)
{
    uint32_t ipsr;
    __asm volatile("mrs %0, ipsr" : "=r"(ipsr));
    note(ipsr); fault_pc = frame[6];
    frame[6] += fault_skip;
}
static uint32_t svc(uint32_t a, uint32_t b)
{
    register uint32_t r0 __asm("r0") = a;
    register uint32_t r1 __asm("r1") = b;
    __asm volatile("svc #0x2A" : "+r"(r0) : "r"(r1) : "memory");
    return r0;
}
static uint32_t show(const char *key) { fact(key, trace); uint32_t t = trace; trace = 0; return t; }

static uint32_t thread_stack[128];
__attribute__((used, noreturn)) static void psp_main(void)
{
    uint32_t control;
    uint32_t sum = svc(30, 4);
    __asm volatile("mrs %0, control" : "=r"(control));
    fact("psp.sum", sum); fact("psp.control", control & 3); fact("psp.exc_return", svc_return);
    fact("psp.on_stack", (uint32_t)(uintptr_t)&control - (uint32_t)(uintptr_t)thread_stack < sizeof thread_stack);
    __asm volatile("msr primask, %0" :: "r"(1));                   /* ignored when unprivileged */
    __asm volatile("mrs %0, primask" : "=r"(control));
    fact("psp.primask_ignored", control == 0);
    put_text("end=probe\n");
    for (;;) { }
}

static int cases(void);
int probe(void)
{
    CPACR |= 0xFu << 20;                        /* before a function that saves FP registers on entry */
    __asm volatile("dsb\nisb");
    return cases();
}

__attribute__((noinline)) static int cases(void)
{
    for (int i = 0; i < 16 + 82; i++) ram_vectors[i] = (uint32_t)(uintptr_t)fault_entry2;
    ram_vectors[11] = (uint32_t)(uintptr_t)svc_entry; ram_vectors[14] = (uint32_t)(uintptr_t)pendsv;
    ram_vectors[15] = (uint32_t)(uintptr_t)tick;
    ram_vectors[16 + 1] = (uint32_t)(uintptr_t)irq_low; ram_vectors[16 + 2] = (uint32_t)(uintptr_t)irq_high;
    VTOR = (uint32_t)(uintptr_t)ram_vectors;
    SHPR8(14) = 0xFF; SHPR8(11) = 0x80; SHPR8(15) = 0x60;
    fact("shpr.implemented", SHPR8(14));
    fact("cpuid", REG(0xE000ED00));

    fact("svc.sum", svc(30, 12)); fact("svc.ipsr", svc_ipsr); fact("svc.arg", svc_arg); fact("svc.exc_return", svc_return | 0x10);
    show("svc.order");                          /* 567 */

    IPR8(1) = 0x80; IPR8(2) = 0x40; ISER0 = 6;
    clobber = 2.0f;
    float live = clobber * 1.5f;                /* FPCA set, S registers live */
    ISPR0 = 2; __asm volatile("dsb\nisb");
    note(4);
    show("nest.order");                         /* 1234 */
    fact("nest.float", live == 3.0f && clobber == 6.0f);

    __asm volatile("cpsid i");
    ISPR0 = 4; __asm volatile("dsb\nisb"); note(8);
    __asm volatile("cpsie i\nisb"); note(9);
    show("primask.order");                      /* 829 */
    __asm volatile("msr basepri, %0" :: "r"(0x40));
    ISPR0 = 4; __asm volatile("dsb\nisb"); note(8);
    __asm volatile("msr basepri, %0\nisb" :: "r"(0)); note(9);
    show("basepri.order");                      /* 829 */
    __asm volatile("msr basepri, %0" :: "r"(0x50));
    ISPR0 = 4; __asm volatile("dsb\nisb"); note(8);
    __asm volatile("msr basepri, %0\nisb" :: "r"(0));
    show("basepri.passes");                     /* 28 */

    REG(0xE000E014) = 16799; REG(0xE000E018) = 0; REG(0xE000E010) = 7;
    while (ticks < 10) __asm volatile("wfi");
    REG(0xE000E010) = 0;
    fact("tick.count", ticks);
    REG(0xE000E014) = 0xFFFFFF; REG(0xE000E018) = 0; REG(0xE000E010) = 5;
    __asm volatile(".rept 24\nnop\n.endr"); /* HCLK is the HSI: loads RELOAD with the next of its 16 MHz ticks */
    uint32_t a = REG(0xE000E018);
    __asm volatile(".rept 24\nnop\n.endr");
    uint32_t b = REG(0xE000E018);
    REG(0xE000E010) = 0;
    fact("tick.counts_down", a > b && a - b < 40);
    __asm volatile("cpsid i");
    ISPR0 = 4; __asm volatile("wfi"); note(8);                     /* a masked interrupt still wakes */
    __asm volatile("cpsie i\nisb");
    show("wfi.masked");                         /* 82 */

    SHCSR |= 7u << 16;
    fault_skip = 2;
    register uint32_t where __asm("r3") = 0x60000000;
    __asm volatile("ldr r2, [r3]" :: "r"(where) : "r2");
    show("bus.exception"); fact("bus.cfsr", CFSR); fact("bus.bfar", BFAR); CFSR = ~0u;
    where = 0x40007800;                         /* reserved on the APB1 */
    __asm volatile("ldr r2, [r3]" :: "r"(where) : "r2");
    show("bus2.exception"); fact("bus2.cfsr", CFSR); fact("bus2.bfar", BFAR); CFSR = ~0u;
    __asm volatile("udf #1");
    show("udf.exception"); fact("udf.cfsr", CFSR); CFSR = ~0u;
    SHCSR &= ~(7u << 16);
    __asm volatile("udf #1");
    show("hard.exception"); fact("hard.hfsr", HFSR); HFSR = ~0u; CFSR = ~0u;

    volatile uint32_t word = 0;                 /* bit-banding, PM0214 2.2.5 */
    REG(0x22000000 + ((uint32_t)(uintptr_t)&word - 0x20000000) * 32 + 5 * 4) = 1;
    fact("bitband.ram", word);
    REG(0x42000000 + 0x20414 * 32 + 7 * 4) = 1; /* GPIOB_ODR bit 7 */
    fact("bitband.odr", REG(0x40020414));
    fact("bitband.read", REG(0x42000000 + 0x20414 * 32 + 7 * 4));
    __asm volatile("msr psp, %0\n msr control, %1\n isb\n b psp_main" :: "r"(thread_stack + 128), "r"(3) : "memory");
    return 0;
}
