/* SPDX-License-Identifier: Apache-2.0 */
/* 24xx256 behind I2C1. Microchip 24LC256 data sheet DS20001203: 6 writing, 7 acknowledge polling, 8 reading. */
#include "drivers/eeprom.h"
#include <stdbool.h>
#include "board/clock.h"
#include "board/pins.h"
#include "drivers/i2c.h"

enum { DEVICE = 0x50, WRITE_CYCLE_MS = 20 }; /* at most 5 ms by the data sheet; 10 ms for older makes */

static void write_protect(bool on)
{
    gpio_write(PIN_EEPROM_WP, on);
}

/* The device does not acknowledge its address during a write cycle; one look per millisecond is enough. */
static enum storage_error await_ready(void)
{
    deadline_t end = deadline_in(WRITE_CYCLE_MS);
    for (;;) {
        bool last = deadline_passed(end);
        enum i2c_result result = i2c_probe(DEVICE);
        if (result == I2C_OK)
            return STORAGE_OK;
        if (result == I2C_TIMEOUT)
            return STORAGE_EEPROM_TIMEOUT;
        if (last)
            return STORAGE_EEPROM_ABSENT;
        cpu_idle();
    }
}

static enum storage_error storage_error_of(enum i2c_result result)
{
    return result == I2C_OK ? STORAGE_OK : result == I2C_NACK ? STORAGE_EEPROM_ABSENT : STORAGE_EEPROM_TIMEOUT;
}

void eeprom_protect(void)
{
    gpio_clock_on(PIN_EEPROM_WP);
    write_protect(true); /* the level before the output is on */
    gpio_mode(PIN_EEPROM_WP, GPIO_OUTPUT);
}

enum storage_error eeprom_init(void)
{
    eeprom_protect();
    i2c_init();
    return await_ready(); /* a write begun before a reset may still be under way */
}

enum storage_error eeprom_read(uint32_t offset, uint8_t *to, uint32_t length)
{
    if (offset > EEPROM_SIZE || length > EEPROM_SIZE - offset)
        return STORAGE_EEPROM_TIMEOUT;
    const uint8_t head[2] = { (uint8_t)(offset >> 8), (uint8_t)offset };
    return length ? storage_error_of(i2c_read(DEVICE, head, to, length)) : STORAGE_OK;
}

/* A burst beyond the page end would wrap to its start, hence never more than the rest of the page. */
enum storage_error eeprom_write(uint32_t offset, const uint8_t *from, uint32_t length)
{
    enum storage_error error = STORAGE_OK;
    if (offset > EEPROM_SIZE || length > EEPROM_SIZE - offset)
        return STORAGE_EEPROM_TIMEOUT;
    write_protect(false);
    while (length && !error) {
        uint32_t rest = EEPROM_PAGE_SIZE - offset % EEPROM_PAGE_SIZE, n = length < rest ? length : rest;
        const uint8_t head[2] = { (uint8_t)(offset >> 8), (uint8_t)offset };
        error = storage_error_of(i2c_write(DEVICE, head, from, n));
        if (!error)
            error = await_ready();
        offset += n;
        from += n;
        length -= n;
    }
    write_protect(true); /* only after the last cycle: WP is sampled at the STOP */
    return error;
}
