/* SPDX-License-Identifier: Apache-2.0 */
/* Start-up in the order of SPEC section 6; a device without a good configuration ends here. */
#include "app/app.h"
#include "board/clock.h"
#include "board/fault.h"
#include "board/reset.h"
#include "drivers/console.h"
#include "drivers/eeprom.h"
#include "drivers/hall.h"
#include "drivers/modem_uart.h"
#include "drivers/rtc.h"
#include "drivers/sdcard.h"
#include "drivers/watchdog.h"
#include "vault/config.h"
#include "vault/tamper.h"

#define VERSION "0.1.0"

static struct device_config config;

static void print_config(enum config_error error, uint16_t field)
{
    switch (error) {
    case CONFIG_OK:
        console_line("config", "scheme=%s medium=%s thing=%s endpoint=%s:%u", config.scheme->name, config.medium->name,
                     config.thing, config.host, config.port);
        break;
    case CONFIG_MISSING:
        console_line("config", "error missing");
        break;
    case CONFIG_VERSION:
        console_line("config", "error version");
        break;
    case CONFIG_CRC:
        console_line("config", "error crc");
        break;
    case CONFIG_FIELD:
        console_line("config", "error field %u", field);
        break;
    }
}

int main(void)
{
    uint16_t field = 0;
    fault_init();
    (void)clock_init();
    console_init();
    console_line("boot", "offchip %s reset=%s", VERSION, reset_cause());
    watchdog_start();
    bool tampered = tamper_happened();
    if (tampered)
        tamper_finish_chip();
    eeprom_protect();
    hall_init();
    modem_uart_init();

    enum config_error error = config_load(&config, &field);
    print_config(error, field);
    if (error != CONFIG_OK) {
        fault_stop("config");
    }
    sd_use_password(config.card_password.data, (uint8_t)config.card_password.length);
    if (tampered) {
        console_line("hall", hall_closed() ? "closed" : "open");
        tamper_finish_medium(&config);
        fault_stop("tamper");
    }
    if (config.tamper_erases)
        tamper_arm();
    (void)rtc_init();
    app_run(&config);
}
