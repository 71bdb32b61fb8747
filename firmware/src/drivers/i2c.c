/* SPDX-License-Identifier: Apache-2.0 */
/* I2C1 master. RM0090 27.3.3: master transmitter and receiver recipes (N = 1; N = 2 with POS; N > 2 with BTF); 27.6. */
#include "drivers/i2c.h"
#include <stdbool.h>
#include "board/clock.h"
#include "board/pins.h"

enum { BUS_HZ = 400000, WAIT_MS = 10, QUICK_POLLS = 2000, RECOVERY_PULSES = 9, HALF_BIT_US = 5 };

static void wait_us(uint32_t us)
{
    for (uint64_t end = time_us() + us; time_us() < end;) {
    }
}

static void line(struct pin pin, bool high)
{
    gpio_write(pin, high);
    wait_us(HALF_BIT_US);
}

/* A slave reset in the middle of a byte holds SDA low until it has clocked the rest out: up to 9 pulses (I2C-bus
 * specification UM10204 3.1.16), then START and STOP make every slave forget. */
static void bus_recover(void)
{
    const struct pin both[] = { PIN_EEPROM_SCL, PIN_EEPROM_SDA };
    for (unsigned i = 0; i < 2; i++) {
        gpio_clock_on(both[i]);
        gpio_write(both[i], true);
        gpio_open_drain(both[i]);
        gpio_pull(both[i], GPIO_PULL_UP);
        gpio_fast(both[i]);
        gpio_mode(both[i], GPIO_OUTPUT);
    }
    wait_us(HALF_BIT_US);
    if (!gpio_read(PIN_EEPROM_SDA)) {
        for (unsigned i = 0; i < RECOVERY_PULSES && !gpio_read(PIN_EEPROM_SDA); i++) {
            line(PIN_EEPROM_SCL, false);
            line(PIN_EEPROM_SCL, true);
        }
        line(PIN_EEPROM_SDA, false);
        line(PIN_EEPROM_SDA, true);
    }
    for (unsigned i = 0; i < 2; i++)
        gpio_alternate(both[i], AF_I2C1);
}

/* SWRST also clears a BUSY flag that got stuck (27.6.1). */
static void peripheral_restart(void)
{
    uint32_t mhz = clock_apb1_hz() / 1000000u;
    I2C1->CR1 = I2C_CR1_SWRST;
    I2C1->CR1 = 0;
    I2C1->CR2 = mhz;
    I2C1->CCR = I2C_CCR_FS | (clock_apb1_hz() + 3u * BUS_HZ - 1u) / (3u * BUS_HZ); /* 27.6.8: low:high = 2:1 */
    I2C1->TRISE = mhz * 300u / 1000u + 1u;                                         /* 27.6.9: 300 ns in fast mode */
    I2C1->CR1 = I2C_CR1_PE;
}

void i2c_init(void)
{
    RCC->APB1ENR |= RCC_APB1ENR_I2C1EN;
    (void)RCC->APB1ENR;
    I2C1->CR1 = I2C_CR1_SWRST; /* not PE = 0: that must not happen during a transfer (27.6.1) */
    bus_recover();
    peripheral_restart();
}

/* Waits for a flag of SR1; reads SR1 once per look, since reading is part of what clears SB and ADDR. */
static enum i2c_result await(uint32_t flag)
{
    deadline_t end = deadline_in(WAIT_MS);
    for (unsigned n = 0;; n++) {
        bool last = deadline_passed(end);
        uint32_t status = I2C1->SR1;
        if (status & I2C_SR1_AF) {
            I2C1->SR1 = 0; /* error flags are cleared by writing 0, the others ignore it */
            return I2C_NACK;
        }
        if (status & (I2C_SR1_BERR | I2C_SR1_ARLO))
            return I2C_TIMEOUT;
        if (status & flag)
            return I2C_OK;
        if (last)
            return I2C_TIMEOUT;
        if (n >= QUICK_POLLS) /* far beyond a byte time of 22 us */
            cpu_idle();
    }
}

/* 27.6.1: START and STOP must not be written again before the hardware has cleared STOP. */
static bool stop_done(void)
{
    deadline_t end = deadline_in(WAIT_MS);
    for (unsigned n = 0; I2C1->CR1 & I2C_CR1_STOP; n++) {
        if (deadline_passed(end))
            return false;
        if (n >= QUICK_POLLS)
            cpu_idle();
    }
    return true;
}

static enum i2c_result finish(enum i2c_result result)
{
    if (!stop_done() && result == I2C_OK)
        result = I2C_TIMEOUT;
    I2C1->CR1 &= ~(I2C_CR1_POS | I2C_CR1_ACK);
    if (result == I2C_TIMEOUT)
        i2c_init();
    return result;
}

static enum i2c_result stop(enum i2c_result result)
{
    I2C1->CR1 |= I2C_CR1_STOP;
    return finish(result);
}

/* START (or repeated START) and address; on I2C_OK ADDR is set and holds the bus until SR2 is read. */
static enum i2c_result start(uint8_t address, bool reading)
{
    I2C1->CR1 |= I2C_CR1_START;
    enum i2c_result result = await(I2C_SR1_SB);
    if (result)
        return result;
    I2C1->DR = (uint32_t)address << 1 | reading;
    return await(I2C_SR1_ADDR);
}

static enum i2c_result send(const uint8_t *bytes, uint32_t length)
{
    enum i2c_result result = I2C_OK;
    for (uint32_t i = 0; i < length && !result; i++) {
        result = await(I2C_SR1_TXE);
        if (!result)
            I2C1->DR = bytes[i];
    }
    return result ? result : await(I2C_SR1_BTF);
}

enum i2c_result i2c_probe(uint8_t address)
{
    enum i2c_result result = start(address, false);
    if (!result)
        (void)I2C1->SR2;
    return stop(result);
}

enum i2c_result i2c_write(uint8_t address, const uint8_t head[2], const uint8_t *data, uint32_t length)
{
    enum i2c_result result = start(address, false);
    if (!result) {
        (void)I2C1->SR2;
        result = send(head, 2);
    }
    if (!result && length)
        result = send(data, length);
    return stop(result);
}

static enum i2c_result receive(uint8_t address, uint8_t *to, uint32_t length)
{
    enum i2c_result result;
    uint32_t mask;
    I2C1->CR1 |= length == 2 ? I2C_CR1_ACK | I2C_CR1_POS : I2C_CR1_ACK;
    if ((result = start(address, true)))
        return stop(result);
    if (length == 1) {
        I2C1->CR1 &= ~I2C_CR1_ACK;
        mask = interrupts_disable(); /* STOP must be set before the byte ends, 22 us after ADDR is cleared */
        (void)I2C1->SR2;
        I2C1->CR1 |= I2C_CR1_STOP;
        interrupts_restore(mask);
        result = await(I2C_SR1_RXNE);
        to[0] = (uint8_t)I2C1->DR;
        return finish(result);
    }
    if (length == 2) {
        mask = interrupts_disable(); /* POS: ACK now governs the byte to come: 0 before it ends */
        (void)I2C1->SR2;
        I2C1->CR1 &= ~I2C_CR1_ACK;
        interrupts_restore(mask);
        if ((result = await(I2C_SR1_BTF)))
            return stop(result);
    } else {
        (void)I2C1->SR2;
        for (; length > 3; length--) {
            if ((result = await(I2C_SR1_RXNE)))
                return stop(result);
            *to++ = (uint8_t)I2C1->DR;
        }
        /* N-2 in DR, N-1 in the shift register, SCL held: nothing below is in a hurry */
        if ((result = await(I2C_SR1_BTF)))
            return stop(result);
        I2C1->CR1 &= ~I2C_CR1_ACK;
        *to++ = (uint8_t)I2C1->DR;
        if ((result = await(I2C_SR1_BTF)))
            return stop(result);
    }
    I2C1->CR1 |= I2C_CR1_STOP;
    *to++ = (uint8_t)I2C1->DR;
    *to = (uint8_t)I2C1->DR;
    return finish(I2C_OK);
}

enum i2c_result i2c_read(uint8_t address, const uint8_t head[2], uint8_t *to, uint32_t length)
{
    enum i2c_result result = start(address, false);
    if (!result) {
        (void)I2C1->SR2;
        result = send(head, 2);
    }
    return result ? stop(result) : receive(address, to, length);
}
