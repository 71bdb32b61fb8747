/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A polling program as a vendor's examples are written: clock tree with time-outs, a millisecond tick, USART1 console,
 * SD card on SPI1 (chip select PA4), EEPROM on I2C1. It knows nothing of the lab.
 */
#include "stm32f4.h"

#define TABLE(name) __attribute__((section(".rodata." name), used)) static const uint8_t
TABLE("table1") table1[0x4000] = {0x11, [0x3FFF] = 0x1F};
TABLE("table2") table2[0x4000] = {0x22, [0x3FFF] = 0x2F};
TABLE("table3") table3[0x4000] = {0x33, [0x3FFF] = 0x3F};
TABLE("table4") table4[0x4000] = {0x44, [0x3FFF] = 0x4F};

#ifdef STAY_ON_HSI
enum { HCLK_MHZ = 16, PCLK1_MHZ = 16, PCLK2_MHZ = 16 };
#else
enum { HCLK_MHZ = 168, PCLK1_MHZ = 42, PCLK2_MHZ = 84 };
#endif

typedef enum { OK = 0, ERROR = 1, TIMEOUT = 3 } status;

static volatile uint32_t tick;
__attribute__((section(".ccm"))) static uint32_t in_ccm[4] = {0xC0FFEE01, 2, 3, 4};
static uint8_t block[512];

void SysTick_Handler(void)
{
    tick++;
}

/* clock --------------------------------------------------------------------------------------------------------- */
static status wait_for(volatile uint32_t *reg, uint32_t mask, uint32_t wanted, uint32_t ms)
{
    uint32_t start = tick;
    while ((*reg & mask) != wanted)
        if (tick - start > ms)
            return TIMEOUT;
    return OK;
}

static status clock_init(void)
{
    SYST_RVR = 16000 - 1;
    SYST_CVR = 0;
    SYST_CSR = 7;
    if (HCLK_MHZ == 16)
        return OK;
    RCC_APB1ENR |= 1u << 28;
    PWR_CR |= 3u << 14;
    RCC_CR |= 1u << 16;
    if (wait_for(&RCC_CR, 1u << 17, 1u << 17, 100))
        return TIMEOUT;
    RCC_PLLCFGR = 8u | 336u << 6 | 0u << 16 | 1u << 22 | 7u << 24;
    RCC_CR |= 1u << 24;
    if (wait_for(&RCC_CR, 1u << 25, 1u << 25, 2))
        return TIMEOUT;
    FLASH_ACR = 0x705;
    if ((FLASH_ACR & 7) != 5)
        return ERROR;
    RCC_CFGR = 5u << 10 | 4u << 13 | 2u;
    if (wait_for(&RCC_CFGR, 0xC, 0x8, 5000))
        return TIMEOUT;
    SYST_RVR = HCLK_MHZ * 1000 - 1;
    SYST_CVR = 0;
    return OK;
}

static void pin_af(uint32_t port, unsigned pin, unsigned function, unsigned open_drain)
{
    GPIO_AFR(port, pin >> 3) = (GPIO_AFR(port, pin >> 3) & ~(0xFu << 4 * (pin & 7))) | function << 4 * (pin & 7);
    GPIO_OTYPER(port) |= open_drain << pin;
    GPIO_PUPDR(port) |= open_drain << 2 * pin;
    GPIO_OSPEEDR(port) |= 3u << 2 * pin;
    GPIO_MODER(port) = (GPIO_MODER(port) & ~(3u << 2 * pin)) | 2u << 2 * pin;
}

/* console ------------------------------------------------------------------------------------------------------- */
static void usart_put(char c)
{
    while (!(USART1_SR & 0x80)) {
    }
    USART1_DR = (uint8_t)c;
}

static void usart_print(const char *text)
{
    while (*text)
        usart_put(*text++);
}

static void usart_hex(uint32_t value, int digits)
{
    while (digits--)
        usart_put("0123456789abcdef"[value >> 4 * digits & 15]);
}

static void usart_line(const char *name, uint32_t value)
{
    usart_print(name);
    usart_put('=');
    usart_hex(value, 8);
    usart_print("\r\n");
}

static status usart_get(uint8_t *byte, uint32_t ms)
{
    if (wait_for(&USART1_SR, 0x20, 0x20, ms))
        return TIMEOUT;
    *byte = (uint8_t)USART1_DR;
    return OK;
}

static void usart_init(void)
{
    pin_af(GPIOA, 9, 7, 0);
    pin_af(GPIOA, 10, 7, 0);
    USART1_BRR = PCLK2_MHZ * 1000000 / 115200;
    USART1_CR1 = 0x200C;
}

/* SD card ------------------------------------------------------------------------------------------------------- */
static uint8_t spi_transfer(uint8_t out)
{
    while (!(SPI1_SR & 2)) {
    }
    SPI1_DR = out;
    while (!(SPI1_SR & 1)) {
    }
    uint8_t in = SPI1_DR;
    while (SPI1_SR & 0x80) {
    }
    return in;
}

static void spi_select(int on)
{
    GPIO_BSRR(GPIOA) = on ? 1u << (4 + 16) : 1u << 4;
    if (!on)
        spi_transfer(0xFF); /* the card lets go of MISO one byte later */
}

static uint8_t sd_command(uint8_t index, uint32_t argument, uint8_t crc)
{
    spi_transfer(0xFF);
    spi_transfer(0x40 | index);
    for (int shift = 24; shift >= 0; shift -= 8)
        spi_transfer((uint8_t)(argument >> shift));
    spi_transfer(crc);
    uint8_t r1 = 0xFF;
    for (int i = 0; i < 10 && r1 & 0x80; i++)
        r1 = spi_transfer(0xFF);
    return r1;
}

static status sd_init(int *block_addressed)
{
    pin_af(GPIOA, 5, 5, 0);
    pin_af(GPIOA, 6, 5, 0);
    pin_af(GPIOA, 7, 5, 0);
    GPIO_BSRR(GPIOA) = 1u << 4;
    GPIO_MODER(GPIOA) = (GPIO_MODER(GPIOA) & ~(3u << 8)) | 1u << 8;
    SPI1_CR1 = 0x0300 | 7u << 3 | 4u; /* SSM SSI, fPCLK/256, master */
    SPI1_CR1 |= 0x40;
    for (int i = 0; i < 10; i++)
        spi_transfer(0xFF);
    spi_select(1);
    if (sd_command(0, 0, 0x95) != 1)
        return ERROR;
    if (sd_command(8, 0x1AA, 0x87) != 1)
        return ERROR;
    uint32_t r7 = 0;
    for (int i = 0; i < 4; i++)
        r7 = r7 << 8 | spi_transfer(0xFF);
    if ((r7 & 0xFFF) != 0x1AA)
        return ERROR;
    for (uint32_t start = tick;;) {
        sd_command(55, 0, 1);
        if (sd_command(41, 1u << 30, 1) == 0)
            break;
        if (tick - start > 1000)
            return TIMEOUT;
    }
    if (sd_command(58, 0, 1) != 0)
        return ERROR;
    *block_addressed = spi_transfer(0xFF) >> 6 & 1;
    for (int i = 0; i < 3; i++)
        spi_transfer(0xFF);
    if (!*block_addressed && sd_command(16, 512, 1) != 0)
        return ERROR;
    spi_select(0);
    SPI1_CR1 &= ~0x40u;
    SPI1_CR1 = 0x0300 | 1u << 3 | 4u | 0x40;
    return OK;
}

static uint16_t sd_crc16(const uint8_t *data, unsigned length)
{
    uint16_t crc = 0;
    while (length--) {
        crc ^= (uint16_t)(*data++ << 8);
        for (int i = 0; i < 8; i++)
            crc = (uint16_t)(crc & 0x8000 ? crc << 1 ^ 0x1021 : crc << 1);
    }
    return crc;
}

static status sd_read(uint32_t address, uint8_t *data)
{
    status result = ERROR;
    spi_select(1);
    if (sd_command(17, address, 1) == 0) {
        uint8_t token = 0xFF;
        for (uint32_t start = tick; token == 0xFF && tick - start <= 100;)
            token = spi_transfer(0xFF);
        if (token == 0xFE) {
            for (int i = 0; i < 512; i++)
                data[i] = spi_transfer(0xFF);
            uint16_t crc = (uint16_t)(spi_transfer(0xFF) << 8);
            crc |= spi_transfer(0xFF);
            result = crc == sd_crc16(data, 512) ? OK : ERROR;
        }
    }
    spi_select(0);
    return result;
}

static status sd_write(uint32_t address, const uint8_t *data)
{
    status result = ERROR;
    spi_select(1);
    if (sd_command(24, address, 1) == 0) {
        spi_transfer(0xFF);
        spi_transfer(0xFE);
        for (int i = 0; i < 512; i++)
            spi_transfer(data[i]);
        uint16_t crc = sd_crc16(data, 512);
        spi_transfer((uint8_t)(crc >> 8));
        spi_transfer((uint8_t)crc);
        if ((spi_transfer(0xFF) & 0x1F) == 5) {
            result = TIMEOUT;
            for (uint32_t start = tick; tick - start <= 500;)
                if (spi_transfer(0xFF) == 0xFF) {
                    result = OK;
                    break;
                }
        }
    }
    spi_select(0);
    return result;
}

/* EEPROM -------------------------------------------------------------------------------------------------------- */
static void i2c_init(void)
{
    pin_af(GPIOB, 6, 4, 1);
    pin_af(GPIOB, 7, 4, 1);
    GPIO_MODER(GPIOB) = (GPIO_MODER(GPIOB) & ~(3u << 10)) | 1u << 10; /* PB5: write protect, low */
    GPIO_BSRR(GPIOB) = 1u << (5 + 16);
    I2C1_CR1 = 0x8000;
    I2C1_CR1 = 0;
    I2C1_CR2 = PCLK1_MHZ;
    I2C1_CCR = 0x8000 | PCLK1_MHZ * 1000 / (3 * 400); /* 400 kHz */
    I2C1_TRISE = PCLK1_MHZ * 300 / 1000 + 1;
    I2C1_CR1 = 1;
}

static status i2c_address(uint8_t address)
{
    I2C1_CR1 |= 0x100;
    if (wait_for(&I2C1_SR1, 1, 1, 10))
        return TIMEOUT;
    I2C1_DR = address;
    for (uint32_t start = tick; tick - start <= 10;) {
        uint32_t flags = I2C1_SR1;
        if (flags & 2)
            return OK;
        if (flags & 0x400) {
            I2C1_SR1 = ~0x400u & 0xFFFF;
            I2C1_CR1 |= 0x200;
            return ERROR;
        }
    }
    return TIMEOUT;
}

static status i2c_send(uint8_t byte)
{
    if (wait_for(&I2C1_SR1, 0x80, 0x80, 10))
        return TIMEOUT;
    I2C1_DR = byte;
    return OK;
}

static status eeprom_wait(uint32_t *polls)
{
    for (uint32_t start = tick; tick - start <= 20; ++*polls) {
        if (i2c_address(0xA0) == OK) {
            (void)I2C1_SR2;
            I2C1_CR1 |= 0x200;
            return wait_for(&I2C1_SR2, 2, 0, 10);
        }
        if (wait_for(&I2C1_SR2, 2, 0, 10))
            return TIMEOUT;
    }
    return TIMEOUT;
}

static status eeprom_write(uint16_t address, const uint8_t *data, unsigned length)
{
    if (i2c_address(0xA0))
        return ERROR;
    (void)I2C1_SR2;
    status result = i2c_send((uint8_t)(address >> 8)) | i2c_send((uint8_t)address);
    while (length-- && !result)
        result = i2c_send(*data++);
    result |= wait_for(&I2C1_SR1, 4, 4, 10);
    I2C1_CR1 |= 0x200;
    return result | wait_for(&I2C1_SR2, 2, 0, 10);
}

/* More than two bytes: the last three are taken with BTF, as RM0090 27.3.3 asks for. */
static status eeprom_read(uint16_t address, uint8_t *data, unsigned length)
{
    if (i2c_address(0xA0))
        return ERROR;
    (void)I2C1_SR2;
    if (i2c_send((uint8_t)(address >> 8)) || i2c_send((uint8_t)address) || wait_for(&I2C1_SR1, 4, 4, 10))
        return TIMEOUT;
    I2C1_CR1 |= 0x400;
    if (i2c_address(0xA1))
        return ERROR;
    (void)I2C1_SR2;
    for (; length > 3; length--) {
        if (wait_for(&I2C1_SR1, 0x40, 0x40, 10))
            return TIMEOUT;
        *data++ = (uint8_t)I2C1_DR;
    }
    if (wait_for(&I2C1_SR1, 4, 4, 10))
        return TIMEOUT;
    I2C1_CR1 &= ~0x400u;
    *data++ = (uint8_t)I2C1_DR;
    if (wait_for(&I2C1_SR1, 4, 4, 10))
        return TIMEOUT;
    I2C1_CR1 |= 0x200;
    *data++ = (uint8_t)I2C1_DR;
    *data = (uint8_t)I2C1_DR;
    return wait_for(&I2C1_SR2, 2, 0, 10);
}

/* the application ----------------------------------------------------------------------------------------------- */
__attribute__((section(".ramfunc"), noinline)) static uint32_t sum_in_ram(const uint8_t *data, unsigned length)
{
    uint32_t sum = 0;
    __asm volatile("cpsid i");
    while (length--)
        sum = sum * 31 + *data++;
    __asm volatile("cpsie i");
    return sum;
}

static uint32_t cycles_of_a_millisecond(void)
{
    DEMCR |= 1u << 24;
    DWT_CYCCNT = 0;
    DWT_CTRL |= 1;
    uint32_t now = tick;
    while (tick == now) {
    }
    uint32_t start = DWT_CYCCNT;
    while (tick == now + 1) {
    }
    return DWT_CYCCNT - start;
}

int main(void)
{
    status clock = clock_init();
    RCC_AHB1ENR |= 3;
    RCC_APB1ENR |= 1u << 21;
    RCC_APB2ENR |= 1u << 4 | 1u << 12;
    usart_init();
    usart_line("clock", clock);
    usart_line("cycles", (cycles_of_a_millisecond() + 500) / 1000);
    usart_line("tables", (uint32_t)table1[0] << 24 | table2[0x3FFF] << 16 | table3[0] << 8 | table4[0x3FFF]);
    usart_line("ccm", in_ccm[0]);

    int block_addressed = 0;
    usart_line("sd", sd_init(&block_addressed));
    uint32_t unit = block_addressed ? 1 : 512;
    usart_line("read", sd_read(7 * unit, block));
    usart_line("sum", sum_in_ram(block, 512));
    for (int i = 0; i < 512; i++)
        block[i] ^= 0xA5;
    usart_line("write", sd_write(9 * unit, block));

    i2c_init();
    uint8_t page[16], back[16] = {0};
    for (int i = 0; i < 16; i++)
        page[i] = (uint8_t)(block[i] + i);
    uint32_t polls = 0;
    usart_line("eeprom", eeprom_write(0x0120, page, 16));
    usart_line("ready", eeprom_wait(&polls));
    usart_line("polled", polls > 0);
    usart_line("back", eeprom_read(0x0120, back, 16));
    usart_line("same", sum_in_ram(page, 16) == sum_in_ram(back, 16));
    usart_line("absent", i2c_address(0xAE));

    usart_print("echo\r\n");
    uint8_t byte;
    while (usart_get(&byte, 50) == OK)
        usart_put((char)(byte >= 'a' && byte <= 'z' ? byte - 32 : byte));
    usart_print("\r\nend\r\n");
    for (;;)
        __asm volatile("wfi");
}
