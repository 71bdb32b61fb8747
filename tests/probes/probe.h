/* SPDX-License-Identifier: Apache-2.0
 * Start code and helpers of the probes: each says key=value on USART1 and carries its truth in its comments
 * ("truth: key=value source"). Handlers a probe wants are defined before this file is included. */
#ifndef PROBE_H
#define PROBE_H
#include <stdint.h>
#define REG(a) (*(volatile uint32_t *)(uintptr_t)(a))
#define REG16(a) (*(volatile uint16_t *)(uintptr_t)(a))
#define REG8(a) (*(volatile uint8_t *)(uintptr_t)(a))

static void put_char(char c) { while (!(REG(0x40011000) & 0x80)) { } REG(0x40011004) = (uint8_t)c; }
static void put_text(const char *s) { while (*s) put_char(*s++); }
static void put_hex(uint32_t v) { for (int i = 28; i >= 0; i -= 4) put_char("0123456789abcdef"[v >> i & 15]); }
static void fact(const char *key, uint32_t value) { put_text(key); put_char('='); put_hex(value); put_char('\n'); }

extern uint32_t _bss_start, _bss_end, _data_start, _data_end, _data_load;
int main(void);

__attribute__((used)) static void start(void)
{
    for (uint32_t *d = &_data_start, *s = &_data_load; d < &_data_end;) *d++ = *s++;
    for (uint32_t *p = &_bss_start; p < &_bss_end;) *p++ = 0;
    REG(0xE000ED88) |= 0xF << 20;                       /* the FPU may be used */
    __asm volatile("dsb\n isb");
    REG(0x40023830) |= 0x1FF; REG(0x40023844) |= 0x4010; /* GPIO, USART1, SYSCFG */
    REG(0x40020000) = (REG(0x40020000) & ~0x3C0000u) | 0x280000u; REG(0x40020024) |= 0x770;
    REG(0x40011008) = 0x8B; REG(0x4001100C) = 0x200C;   /* 115200 baud of 16 MHz */
    main();
    put_text("end=probe\n");
    for (;;) __asm volatile("wfi");
}

static void unexpected(void)
{
    uint32_t number;
    __asm volatile("mrs %0, ipsr" : "=r"(number));
    put_text("FAULT "); fact("ipsr", number); fact("CFSR", REG(0xE000ED28)); fact("HFSR", REG(0xE000ED2C));
    for (;;) { }
}
#ifndef ON_NMI
#define ON_NMI unexpected
#endif
#ifndef ON_HARD
#define ON_HARD unexpected
#endif
#ifndef ON_MEM
#define ON_MEM unexpected
#endif
#ifndef ON_BUS
#define ON_BUS unexpected
#endif
#ifndef ON_USAGE
#define ON_USAGE unexpected
#endif
#ifndef ON_SVC
#define ON_SVC unexpected
#endif
#ifndef ON_PENDSV
#define ON_PENDSV unexpected
#endif
#ifndef ON_TICK
#define ON_TICK unexpected
#endif
#ifndef ON_IRQ
#define ON_IRQ unexpected
#endif
typedef void (*vector)(void);
__attribute__((section(".vectors"), used)) static const vector vectors[98] = {
    (vector)0x20020000, start, ON_NMI, ON_HARD, ON_MEM, ON_BUS, ON_USAGE, 0, 0, 0, 0, ON_SVC, unexpected, 0, ON_PENDSV,
    ON_TICK, [16 ... 97] = ON_IRQ
};
#endif
