/* SPDX-License-Identifier: Apache-2.0 */
/* In the interrupt of the lid's edge, first of all priorities: mark in flash - secret - keys in flash - keys in RAM - all
 * RAM. The mark is one word (16 us); a cut behind it is finished at the next start, a cut before it leaves an event nobody
 * saw: then the level of the pin at the next start tells. */
#include "vault/tamper.h"
#include <stddef.h>
#include "board/clock.h"
#include "board/reset.h"
#include "drivers/console.h"
#include "drivers/flash.h"
#include "drivers/hall.h"
#include "drivers/rtc.h"
#include "drivers/watchdog.h"
#include "vault/counters.h"
#include "vault/credentials.h"
#include "vault/medium.h"
#include "vault/vault.h"

enum { TELL_MS = 2000 };

static struct {
    bool session;
    void (*erase_keys)(void);
    volatile bool pending;
    deadline_t end;
} tamper;

bool tamper_happened(void)
{
    return config_tampered();
}

static void burn_flash(void)
{
    config_mark_tampered();
    counters_burn();
    config_burn_keys();
    for (unsigned i = 0; i < RTC_BACKUP_REGISTERS; i++) {
        rtc_backup_set(i, 0);
    }
}

static void on_open_lid(void)
{
    /* whoever is at work with flash or secrets must not be returned to */
    bool leave = !tamper.session || flash_busy() || vault_busy();
    burn_flash();
    if (leave) {
        tamper_end();
    }
    credentials_burn();
    if (tamper.erase_keys != NULL) {
        tamper.erase_keys();
    }
    if (!tamper.pending) {
        tamper.end = deadline_in(TELL_MS);
        tamper.pending = true;
    }
}

void tamper_finish_chip(void)
{
    burn_flash();
    (void)counters_clean();
}

void tamper_finish_medium(const struct device_config *config)
{
    struct credentials out = { 0 };
    struct vault vault = { .config = config, .medium = config->medium, .out = &out };
    if (config->scheme->uses_medium && config->medium->present() == STORAGE_OK) {
        (void)config->scheme->erase(&vault, UINT32_MAX, true);
        config->medium->forget();
    }
    console_line("tamper", "erased");
}

void tamper_arm(void)
{
    hall_set_alarm(on_open_lid);
    if (!hall_closed()) {
        on_open_lid();
    }
}

void tamper_session(bool up, void (*erase_keys)(void))
{
    tamper.erase_keys = erase_keys;
    tamper.session = up;
}

bool tamper_pending(void)
{
    return tamper.pending;
}

void tamper_poll(void)
{
    if (tamper.pending && deadline_passed(tamper.end)) {
        tamper_end();
    }
}

_Noreturn void tamper_end(void)
{
    reset_without_memory();
}
