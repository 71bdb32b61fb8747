/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A shell on USART1 for lab_board.robot: interrupt-driven, 115200 baud from the 16 MHz HSI, a SysTick every 10 ms.
 * It fits into flash sector 0 and has no initialised data.
 */
#include <stdint.h>

#define REG(address) (*(volatile uint32_t *)(address))
#define RCC_AHB1ENR REG(0x40023830)
#define RCC_APB2ENR REG(0x40023844)
#define GPIOA_MODER REG(0x40020000)
#define GPIOA_AFRH REG(0x40020024)
#define USART1_SR REG(0x40011000)
#define USART1_DR REG(0x40011004)
#define USART1_BRR REG(0x40011008)
#define USART1_CR1 REG(0x4001100C)
#define USART1_BEYOND REG(0x40011030) /* no such register */
#define SYST_CSR REG(0xE000E010)
#define SYST_RVR REG(0xE000E014)
#define SYST_CVR REG(0xE000E018)
#define NVIC_ISER1 REG(0xE000E104)
#define USART1_IRQ 37

void Reset_Handler(void);

static volatile uint32_t ticks;
static volatile char line[64];
static volatile uint32_t length;
static volatile int complete;

static void put(uint8_t value)
{
    while (!(USART1_SR & 0x80)) {
    }
    USART1_DR = value;
}

static void print(const char *text)
{
    while (*text)
        put((uint8_t)*text++);
}

static void print_hex(uint32_t value)
{
    for (int shift = 28; shift >= 0; shift -= 4)
        put((uint8_t)"0123456789abcdef"[value >> shift & 15]);
}

static void wait(uint32_t count)
{
    uint32_t start = ticks;
    while (ticks - start < count)
        __asm volatile("wfi");
}

static int is(const char *word)
{
    uint32_t i = 0;
    for (; i < length && word[i]; i++)
        if (line[i] != word[i])
            return 0;
    return i == length && !word[i];
}

static void SysTick_Handler(void)
{
    ticks++;
}

static void USART1_Handler(void)
{
    if (!(USART1_SR & 0x20))
        return;
    char c = (char)USART1_DR;
    if (complete)
        return;
    if (c == '\r') {
        print("\r\n");
        complete = 1;
    } else if (length < sizeof line) {
        put((uint8_t)c);
        line[length++] = c;
    }
}

static void answer(void)
{
    if (is("")) {
    } else if (is("ticks")) {
        for (int i = 0; i < 3; i++) {
            wait(1);
            print("tick ");
            print_hex(ticks);
            print("\r\n");
        }
    } else if (is("late")) {
        wait(5);
        print("\033[1;32mlate\033[0m, but here\r\n");
    } else if (is("bytes")) {
        for (int i = 0; i < 4; i++)
            put((uint8_t)(0xFE + i));
    } else if (is("fail")) {
        print("ERROR: as asked\r\n");
    } else if (is("odd")) {
        (void)USART1_BEYOND;
    } else {
        print("unknown: ");
        for (uint32_t i = 0; i < length; i++)
            put((uint8_t)line[i]);
        print("\r\n");
    }
}

void Reset_Handler(void)
{
    ticks = length = 0;
    complete = 0;
    RCC_AHB1ENR |= 1;
    RCC_APB2ENR |= 1u << 4;
    GPIOA_MODER = (GPIOA_MODER & ~(15u << 18)) | 10u << 18; /* PA9, PA10: alternate function */
    GPIOA_AFRH = (GPIOA_AFRH & ~0xFF0u) | 0x770;
    USART1_BRR = 139;
    USART1_CR1 = 0x202C; /* UE, TE, RE, RXNEIE */
    NVIC_ISER1 = 1u << (USART1_IRQ - 32);
    SYST_RVR = 160000 - 1;
    SYST_CVR = 0;
    SYST_CSR = 7;
    print("shell ready\r\n> ");
    for (;;) {
        while (!complete)
            __asm volatile("wfi");
        answer();
        length = 0;
        complete = 0;
        print("> ");
    }
}

static void Unexpected_Handler(void)
{
    for (;;) {
    }
}

typedef void (*handler)(void);
__attribute__((section(".vectors"), used)) static const handler vectors[16 + USART1_IRQ + 1] = {
    (handler)0x20020000, Reset_Handler, Unexpected_Handler, Unexpected_Handler,
    [15] = SysTick_Handler,
    [16 + USART1_IRQ] = USART1_Handler,
};
