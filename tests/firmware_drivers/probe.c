/* SPDX-License-Identifier: Apache-2.0 */
/* Exercises the drivers of the firmware on a whole board; the test programs the wanted scenario into flash sector 3. */
#include <string.h>
#include "board/clock.h"
#include "drivers/console.h"
#include "vault/credentials.h"
#include "drivers/eeprom.h"
#include "board/fault.h"
#include "drivers/flash.h"
#include "drivers/hall.h"
#include "drivers/modem_uart.h"
#include "board/reset.h"
#include "drivers/rng.h"
#include "drivers/rtc.h"
#include "drivers/sdcard.h"
#include "board/stm32f405.h"
#include "drivers/watchdog.h"

enum scenario { STORAGE, FLASH_WRITE, TIME, SERIAL, HALL, RANDOM, USAGE_FAULT, BUS_FAULT, HANG, RESTART,
                BAD_INTERRUPT, PROTECT, STOP };
#define SCENARIO (*(const volatile uint32_t *)0x0800C000u)

static uint8_t block[SD_BLOCK_SIZE], back[SD_BLOCK_SIZE];

static void fill(uint8_t *to, uint32_t length, uint32_t seed)
{
    for (uint32_t i = 0; i < length; i++)
        to[i] = (uint8_t)(seed + i * 7u + (i >> 8));
}

static void storage(void)
{
    struct sd_card card;
    enum storage_error error = sd_init(&card);
    console_line("sd", "init=%s type=%s blocks=%lu", storage_error_word(error), card.high_capacity ? "SDHC" : "SDSC",
        (unsigned long)(error ? 0 : card.blocks));
    if (!error) {
        error = sd_read_block(5, back);
        console_line("sd", "read=%s first=%02x last=%02x", storage_error_word(error), back[0], back[511]);
        fill(block, sizeof block, 9);
        error = sd_write_block(card.blocks - 1, block);
        console_line("sd", "write=%s", storage_error_word(error));
        error = sd_read_block(card.blocks - 1, back);
        console_line("sd", "back=%s same=%d", storage_error_word(error), !memcmp(block, back, sizeof back));
        console_line("sd", "beyond=%s", storage_error_word(sd_read_block(card.blocks, back)));
    }
    error = eeprom_init();
    console_line("eeprom", "init=%s", storage_error_word(error));
    static const uint16_t lengths[] = { 1, 2, 3, 4, 63, 64, 65, 200 };
    for (unsigned i = 0; i < sizeof lengths / sizeof *lengths && !error; i++) {
        uint32_t at = 100u + 512u * i, n = lengths[i];
        fill(block, n, i);
        error = eeprom_write(at, block, n);
        enum storage_error again = eeprom_read(at, back, n);
        console_line("eeprom", "length=%lu write=%s read=%s same=%d", (unsigned long)n, storage_error_word(error),
            storage_error_word(again), !memcmp(block, back, n));
    }
    console_line("eeprom", "beyond=%s", storage_error_word(eeprom_read(EEPROM_SIZE - 1, back, 2)));
}

static void flash_write(void)
{
    static const uint32_t words[3] = { 0x12345678u, 0, 0xFFFFFFFFu };
    console_line("flash", "locked=%d", flash_program_words(0x08008000u, words, 3));
    console_line("flash", "unlock=%d erase=%d", flash_unlock(), flash_erase_sector(2));
    console_line("flash", "program=%d", flash_program_words(0x08008000u, words, 3));
    console_line("flash", "again=%d", flash_program_words(0x08008004u, words, 1));
    console_line("flash", "unaligned=%d code=%d sector=%d", flash_program_words(0x08008002u, words, 1),
        flash_program_words(0x08010000u, words, 1), flash_erase_sector(4));
    flash_lock();
    console_line("flash", "relocked=%d rdp=%02x", flash_erase_sector(2), flash_rdp_byte());
}

static void timing(void)
{
    uint32_t now = 0, before = time_ms();
    uint64_t us = time_us();
    delay_ms(20);
    console_line("time", "ms=%lu us=%lu", (unsigned long)(time_ms() - before),
        (unsigned long)((time_us() - us) / 1000u));
    bool started = rtc_init(), kept = rtc_get(&now);
    console_line("rtc", "init=%d kept=%d time=%lu backup=%08lx", started, kept, (unsigned long)(kept ? now : 0),
        (unsigned long)rtc_backup_get(3));
    if (kept)
        return;
    static const uint32_t times[] = { 978307200u, 1767225630u, 1709164799u, 1709251199u, 4102444799u, 1735689599u };
    for (unsigned i = 0; i < sizeof times / sizeof *times; i++) {
        bool set = rtc_set(times[i]), got = rtc_get(&now);
        console_line("rtc", "%lu set=%d get=%d off=%ld", (unsigned long)times[i], set, got, (long)(now - times[i]));
    }
    console_line("rtc", "early=%d late=%d", rtc_set(900000000u), rtc_set(4102444800u));
    (void)rtc_set(1767225630u);
    rtc_backup_set(3, 0xC0FFEE11u);
    delay_ms(2100);
    (void)rtc_get(&now);
    console_line("rtc", "later=%lu", (unsigned long)now);
    reset_system();
}

static void serial(void)
{
    static uint8_t bytes[6000];
    size_t have = 0;
    modem_uart_init();
    modem_uart_write("ready\n", 6);
    for (deadline_t end = deadline_in(2000); have < sizeof bytes && !deadline_passed(end); cpu_idle())
        have += modem_uart_read(bytes + have, sizeof bytes - have);
    modem_uart_write(bytes, have);
    delay_ms(1000);             /* 10000 more bytes may come, nobody reads: 8192 fit */
    struct modem_uart_counters counters = modem_uart_counters();
    console_line("modem", "echoed=%u received=%lu full=%lu overrun=%lu line=%lu waiting=%u", (unsigned)have,
        (unsigned long)counters.received, (unsigned long)counters.ring_full, (unsigned long)counters.overrun,
        (unsigned long)counters.line, (unsigned)modem_uart_available());
    modem_uart_discard();
    console_line("modem", "waiting=%u", (unsigned)modem_uart_available());
}

static void hall(void)
{
    hall_init();
    console_line("hall", "%s event=%d", hall_closed() ? "closed" : "open", hall_take_event());
    for (deadline_t end = deadline_in(200); !deadline_passed(end); cpu_idle())
        if (hall_take_event())
            console_line("hall", "%s", hall_closed() ? "closed" : "open");
}

static void random_numbers(void)
{
    uint8_t bytes[8];
    console_line("rng", "%s", rng_result_word(rng_init()));
    for (unsigned i = 0; i < 3; i++) {
        enum rng_result result = rng_fill(bytes, 7);
        console_line("rng", "fill=%s %02x%02x%02x%02x%02x%02x%02x", rng_result_word(result), bytes[0], bytes[1],
            bytes[2], bytes[3], bytes[4], bytes[5], bytes[6]);
        delay_ms(20);
    }
}

int main(void)
{
    const char *cause = reset_cause();
    enum clock_source source = clock_init();
    console_init();
    console_line("boot", "reset=%s clock=%d", cause, source);
    switch ((enum scenario)SCENARIO) {
    case STORAGE: storage(); break;
    case FLASH_WRITE: flash_write(); break;
    case TIME: timing(); break;
    case SERIAL: serial(); break;
    case HALL: hall(); break;
    case RANDOM: random_numbers(); break;
    case USAGE_FAULT:
        watchdog_start();
        __asm volatile("udf #0");
        break;
    case BUS_FAULT:
        watchdog_start();
        console_line("got", "%08lx", (unsigned long)*(reg32 *)0x60000000u);
        break;
    case HANG:
        watchdog_start();
        for (unsigned i = 0; i < 5; i++) {
            delay_ms(2000);
            watchdog_kick();
        }
        console_line("hang", "now");
        for (;;)
            cpu_idle();
    case RESTART: reset_system();
    case BAD_INTERRUPT:
        watchdog_start();
        nvic_enable(70, 3);
        *(reg32 *)0xE000EF00u = 70;     /* STIR, PM0214 4.2.8 */
        delay_ms(1);
        break;
    case PROTECT:
        console_line("rdp", "%d", flash_rdp_protect());
        console_line("rdp", "%02x %d", flash_rdp_byte(), flash_rdp_protect());
        break;
    case STOP: fault_stop("asked");
    }
    console_line("end", "ok");
    fault_stop("finished");
}
