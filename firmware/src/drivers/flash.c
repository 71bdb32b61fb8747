/* SPDX-License-Identifier: Apache-2.0 */
/* Flash interface. RM0090 3.6 (erase, program), 3.7 (option bytes), 3.9. Runs from flash itself: while an operation is
 * on, every fetch from flash stalls the core, so the wait loop simply resumes at its end. */
#include "drivers/flash.h"
#include "board/chip_map.h"
#include "board/clock.h"
#include "board/stm32f405.h"

enum { ERASE_MS = 2000, PROGRAM_MS = 10, QUICK_POLLS = 100 };
#define KEY1        0x45670123u
#define KEY2        0xCDEF89ABu
#define OPTKEY1     0x08192A3Bu
#define OPTKEY2     0x4C5D6E7Fu
#define RDP_LEVEL_0 0xAAu
#define RDP_LEVEL_1 0x55u
#define SR_ERRORS   (FLASH_SR_OPERR | FLASH_SR_WRPERR | FLASH_SR_PGAERR | FLASH_SR_PGPERR | FLASH_SR_PGSERR)

static enum flash_result await_done(uint32_t ms)
{
    deadline_t end = deadline_in(ms);
    for (unsigned n = 0; FLASH->SR & FLASH_SR_BSY; n++) {
        if (deadline_passed(end))
            return FLASH_ERROR_TIMEOUT;
        if (n >= QUICK_POLLS)
            cpu_idle();
    }
    uint32_t status = FLASH->SR;
    if (status & FLASH_SR_WRPERR)
        return FLASH_ERROR_PROTECTED;
    if (status & FLASH_SR_PGAERR)
        return FLASH_ERROR_ALIGNMENT;
    return status & SR_ERRORS ? FLASH_ERROR_SEQUENCE : FLASH_OK;
}

static enum flash_result prepare(void)
{
    if (FLASH->CR & FLASH_CR_LOCK)
        return FLASH_ERROR_LOCKED;
    for (unsigned n = 0; FLASH->SR & FLASH_SR_BSY; n++)
        if (n >= QUICK_POLLS)
            return FLASH_ERROR_TIMEOUT;
    FLASH->SR = SR_ERRORS | FLASH_SR_EOP; /* cleared by writing 1; old errors would block PG (3.6.4) */
    return FLASH_OK;
}

/* 3.6.3, note: the data cache may hold what was there before; it may only be reset while it is off. */
static void caches_forget(void)
{
    uint32_t before = FLASH->ACR;
    FLASH->ACR = before & ~FLASH_ACR_DCEN;
    FLASH->ACR = (before & ~FLASH_ACR_DCEN) | FLASH_ACR_DCRST;
    FLASH->ACR = before & ~FLASH_ACR_DCEN;
    FLASH->ACR = before;
}

enum flash_result flash_unlock(void)
{
    uint32_t mask = interrupts_disable(); /* flash_burn in between would make it a wrong sequence: locked until reset */
    if (FLASH->CR & FLASH_CR_LOCK) {      /* so would keys to an open interface */
        FLASH->KEYR = KEY1;
        FLASH->KEYR = KEY2;
    }
    interrupts_restore(mask);
    return FLASH->CR & FLASH_CR_LOCK ? FLASH_ERROR_LOCKED : FLASH_OK;
}

void flash_lock(void)
{
    FLASH->CR = FLASH_CR_LOCK;
}

enum flash_result flash_erase_sector(unsigned sector)
{
    if (sector < DATA_SECTOR_FIRST || sector > DATA_SECTOR_LAST)
        return FLASH_ERROR_RANGE;
    enum flash_result result = prepare();
    if (result)
        return result;
    FLASH->CR = FLASH_CR_SER | sector << FLASH_CR_SNB_Pos | FLASH_CR_PSIZE_X32;
    FLASH->CR |= FLASH_CR_STRT;
    barrier_data();
    result = await_done(ERASE_MS);
    FLASH->CR = 0;
    caches_forget();
    return result;
}

enum flash_result flash_program_words(uint32_t address, const uint32_t *words, size_t count)
{
    if (address % 4)
        return FLASH_ERROR_ALIGNMENT;
    if (address < DATA_START || address > DATA_START + DATA_SIZE || count > (DATA_START + DATA_SIZE - address) / 4u)
        return FLASH_ERROR_RANGE;
    enum flash_result result = prepare();
    if (result)
        return result;
    FLASH->CR = FLASH_CR_PG | FLASH_CR_PSIZE_X32; /* x32: needs 2.7 V (3.6.2) */
    for (size_t i = 0; i < count && !result; i++) {
        *(reg32 *)(uintptr_t)(address + 4u * i) = words[i];
        barrier_data();
        result = await_done(PROGRAM_MS);
    }
    FLASH->CR = 0;
    caches_forget();
    for (size_t i = 0; i < count && !result; i++)
        if (*(reg32 *)(uintptr_t)(address + 4u * i) != words[i])
            result = FLASH_ERROR_VERIFY;
    return result;
}

/* Nothing is looked at but BSY: whatever was going on before, and whatever fails, the next word is tried. */
static void burn_begin(void)
{
    while (FLASH->SR & FLASH_SR_BSY)
        ; /* at most the erase that was under way, 0.8 s; fetching from flash stalls here anyhow */
    (void)flash_unlock();
    FLASH->CR = FLASH_CR_PG | FLASH_CR_PSIZE_X32;
}

static void burn_end(void)
{
    FLASH->CR = FLASH_CR_LOCK;
    caches_forget();
}

static void burn(uint32_t address)
{
    FLASH->SR = SR_ERRORS | FLASH_SR_EOP;
    *(reg32 *)(uintptr_t)address = 0;
    barrier_data();
    while (FLASH->SR & FLASH_SR_BSY)
        ;
}

void flash_burn_word(uint32_t address)
{
    burn_begin();
    burn(address);
    burn_end();
}

void flash_burn(uint32_t address, size_t count)
{
    burn_begin();
    for (size_t i = 0; i < count; i++, address += 4) {
        uint32_t word = *(reg32 *)(uintptr_t)address;
        if (word != 0xFFFFFFFFu && word != 0) /* never written, or done already: 16 us each */
            burn(address);
    }
    burn_end();
}

bool flash_busy(void)
{
    return !(FLASH->CR & FLASH_CR_LOCK);
}

uint8_t flash_rdp_byte(void)
{
    return (uint8_t)(FLASH->OPTCR >> FLASH_OPTCR_RDP_Pos);
}

/* 3.7.2: unlock, write the new value, OPTSTRT, wait; the whole register is stored, so keep the other fields */
enum flash_result flash_rdp_protect(void)
{
    if (flash_rdp_byte() != RDP_LEVEL_0)
        return FLASH_OK;
    if (FLASH->OPTCR & FLASH_OPTCR_OPTLOCK) {
        FLASH->OPTKEYR = OPTKEY1;
        FLASH->OPTKEYR = OPTKEY2;
    }
    if (FLASH->OPTCR & FLASH_OPTCR_OPTLOCK)
        return FLASH_ERROR_LOCKED;
    FLASH->OPTCR = (FLASH->OPTCR & ~(FLASH_OPTCR_RDP | FLASH_OPTCR_OPTSTRT)) | RDP_LEVEL_1 << FLASH_OPTCR_RDP_Pos;
    FLASH->OPTCR |= FLASH_OPTCR_OPTSTRT;
    enum flash_result result = await_done(ERASE_MS);
    FLASH->OPTCR |= FLASH_OPTCR_OPTLOCK;
    return result;
}
