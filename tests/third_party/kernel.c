/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A small kernel in the manner of the common ones for Cortex-M4F: SVC starts the first thread, SysTick pends PendSV,
 * PendSV (lowest priority) switches stacks and, for a thread that used the FPU, s16-s31; lazy stacking is on. Nested
 * interrupts go on meanwhile. Two threads check that nothing of the other one leaks into them.
 */
#include "stm32f4.h"

#define STACK 256
#define ROUNDS 40

typedef struct {
    uint32_t *sp; /* must be first: PendSV uses it */
    volatile uint32_t loops, wrong;
    uint32_t stack[STACK];
} thread;

static thread threads[3];
thread *current = &threads[0];
static volatile uint32_t switches, timer_interrupts, lost;
static volatile float in_interrupt;
static char order[16];
static volatile unsigned noted;

static void put(char c)
{
    while (!(USART1_SR & 0x80)) {
    }
    USART1_DR = (uint8_t)c;
}

static void line(const char *name, uint32_t value)
{
    while (*name)
        put(*name++);
    put('=');
    for (int i = 7; i >= 0; i--)
        put("0123456789abcdef"[value >> 4 * i & 15]);
    put('\r');
    put('\n');
}

/* the switch ---------------------------------------------------------------------------------------------------- */
__attribute__((used)) static void next_thread(void)
{
    current = &threads[(current - threads + 1) % 3];
    switches++;
}

__attribute__((naked)) void PendSV_Handler(void)
{
    __asm volatile("mrs r0, psp            \n"
                   "tst lr, #0x10          \n"
                   "it eq                  \n"
                   "vstmdbeq r0!, {s16-s31}\n"
                   "ldr r3, =current       \n"
                   "ldr r2, [r3]           \n"
                   "stmdb r0!, {r4-r11, lr}\n"
                   "str r0, [r2]           \n"
                   "push {r3, lr}          \n"
                   "mov r0, #0x40          \n"
                   "msr basepri, r0        \n"
                   "bl next_thread         \n"
                   "mov r0, #0             \n"
                   "msr basepri, r0        \n"
                   "pop {r3, lr}           \n"
                   "ldr r2, [r3]           \n"
                   "ldr r0, [r2]           \n"
                   "ldmia r0!, {r4-r11, lr}\n"
                   "tst lr, #0x10          \n"
                   "it eq                  \n"
                   "vldmiaeq r0!, {s16-s31}\n"
                   "msr psp, r0            \n"
                   "isb                    \n"
                   "bx lr                  \n");
}

__attribute__((naked)) void SVC_Handler(void)
{
    __asm volatile("ldr r3, =current       \n"
                   "ldr r2, [r3]           \n"
                   "ldr r0, [r2]           \n"
                   "ldmia r0!, {r4-r11, lr}\n"
                   "msr psp, r0            \n"
                   "isb                    \n"
                   "bx lr                  \n");
}

void SysTick_Handler(void)
{
    SCB_ICSR = 1u << 28;
}

void TIM2_IRQHandler(void)
{
    TIM2_SR = 0;
    timer_interrupts++;
    in_interrupt = in_interrupt * 0.5f + 1.0f; /* takes FP registers of whatever it interrupted */
}

static void prepare(thread *t, void (*entry)(void))
{
    uint32_t *sp = &t->stack[STACK];
    *--sp = 1u << 24;
    *--sp = (uint32_t)entry & ~1u;
    sp -= 6;
    *--sp = 0xFFFFFFFD;
    sp -= 8;
    t->sp = sp;
}

/* the threads --------------------------------------------------------------------------------------------------- */
/*
 * Fill s0-s31 and r4-r11 with values of its own, let time pass, and look whether all are still there. FPSCR carries the
 * rounding mode and the flags of a comparison across the wait.
 */
__attribute__((naked, noinline)) static uint32_t hold(uint32_t seed, uint32_t mode, uint32_t wait)
{
    __asm volatile(
        "push {r4-r11, lr}  \n"
        "vpush {s16-s31}    \n"
        "vmsr fpscr, r1     \n"
        "mov r4, r0         \n"
        ".irp n,0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31 \n"
        "add r3, r0, #\\n   \n"
        "vmov s\\n, r3      \n"
        ".endr              \n"
        "add r5, r0, #1     \n"
        "add r6, r0, #2     \n"
        "add r7, r0, #3     \n"
        "add r8, r0, #4     \n"
        "vcmp.f32 s0, s1    \n" /* s0 < s1: N */
        "1: subs r2, #1     \n"
        "bne 1b             \n"
        "mov r12, #0        \n"
        ".irp n,0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31 \n"
        "vmov r3, s\\n      \n"
        "sub r3, r3, #\\n   \n"
        "eor r3, r3, r0     \n"
        "orr r12, r12, r3   \n"
        ".endr              \n"
        "eor r4, r4, r0     \n"
        "sub r5, r5, #1     \n"
        "eor r5, r5, r0     \n"
        "sub r8, r8, #4     \n"
        "eor r8, r8, r0     \n"
        "orr r12, r12, r4   \n"
        "orr r12, r12, r5   \n"
        "orr r12, r12, r8   \n"
        "vmrs r3, fpscr     \n"
        "orr r1, r1, #0x80000000 \n"
        "eor r3, r3, r1     \n"
        "orr r12, r12, r3   \n"
        "mov r0, #0         \n"
        "vmsr fpscr, r0     \n"
        "mov r0, r12        \n"
        "vpop {s16-s31}     \n"
        "pop {r4-r11, pc}   \n");
}

static void first(void)
{
    for (;; threads[0].loops++)
        threads[0].wrong |= hold(0x3F800000, 0x00000000, 700);
}

static void second(void)
{
    for (;; threads[1].loops++)
        threads[1].wrong |= hold(0x40490000, 0x00C00000, 900); /* round towards zero */
}

static void note(char c)
{
    order[noted++ & 15] = c;
}

/* A higher priority interrupts a lower one, an equal one waits, BASEPRI and PRIMASK hold back. */
void EXTI0_IRQHandler(void) /* priority 0x80 */
{
    EXTI_PR = 1;
    note('a');
    EXTI_SWIER = 1u << 1; /* same priority: after us */
    note('b');
    EXTI_SWIER = 1u << 2; /* more urgent: now */
    note('c');
}

void EXTI1_IRQHandler(void) /* priority 0x80 */
{
    EXTI_PR = 1u << 1;
    note('1');
}

void EXTI2_IRQHandler(void) /* priority 0x50 */
{
    EXTI_PR = 1u << 2;
    note('2');
}

/* The third thread never touches the FPU; it reports and ends the run. */
static void third(void)
{
    note('[');
    EXTI_SWIER = 1;
    note(']');
    __asm volatile("msr basepri, %0" ::"r"(0x80));
    EXTI_SWIER = 1; /* held back */
    note('<');
    __asm volatile("msr basepri, %0" ::"r"(0));
    note('>');
    while (switches < ROUNDS)
        lost += timer_interrupts == 0;
    SYST_CSR = 0;
    line("wrong", threads[0].wrong | threads[1].wrong);
    line("alive", threads[0].loops > 5 && threads[1].loops > 5);
    line("timer", timer_interrupts > ROUNDS);
    line("float", (uint32_t)(in_interrupt * 1000.0f));
    for (unsigned i = 0; i < noted; i++)
        put(order[i]);
    put('\r');
    put('\n');
    for (;;) {
    }
}

int main(void)
{
    RCC_APB2ENR |= 1u << 4 | 1u << 14;
    RCC_APB1ENR |= 1;
    USART1_BRR = 16000000 / 115200;
    USART1_CR1 = 0x200C;
    FPCCR = 3u << 30;
    SCB_SHPR(14) = 0xF0;
    SCB_SHPR(15) = 0xF0;
    EXTI_IMR = 7;
    NVIC_IPR(6) = 0x80;
    NVIC_IPR(7) = 0x80;
    NVIC_IPR(8) = 0x50;
    NVIC_IPR(28) = 0x60;
    NVIC_ISER(0) = 7u << 6 | 1u << 28;
    TIM2_PSC = 83;
    TIM2_ARR = 36;
    TIM2_EGR = 1;
    TIM2_SR = 0;
    TIM2_DIER = 1;
    TIM2_CR1 = 1;
    prepare(&threads[0], first);
    prepare(&threads[1], second);
    prepare(&threads[2], third);
    SYST_RVR = 16800 - 1;
    SYST_CVR = 0;
    SYST_CSR = 7;
    __asm volatile("cpsie i\n svc 0");
    for (;;) {
    }
}
