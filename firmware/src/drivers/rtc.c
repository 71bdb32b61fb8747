/* SPDX-License-Identifier: Apache-2.0 */
/* RTC calendar. RM0090 26.3 (initialisation, reading), 26.6; 5.1.2 and 7.3.20 (backup domain, RCC_BDCR). */
#include "drivers/rtc.h"
#include "board/clock.h"
#include "board/stm32f405.h"

enum { LSE_START_MS = 2000, LSI_START_MS = 5, FLAG_MS = 5, EPOCH_2000 = 946684800, DAY = 86400 };
#define UNIX_END 4102444800u         /* 2100-01-01: the calendar has two digits for the year */
#define PRER_LSE (127u << 16 | 255u) /* 32768 Hz / 128 / 256 */
#define PRER_LSI (127u << 16 | 249u) /* 32000 Hz nominal / 128 / 250 */

static bool running;

static bool await(const reg32 *where, uint32_t flag, uint32_t ms)
{
    for (deadline_t end = deadline_in(ms); !(*where & flag); cpu_idle())
        if (deadline_passed(end))
            return *where & flag;
    return true;
}

static bool start_source(uint32_t source)
{
    if (source == RCC_BDCR_RTCSEL_LSE) {
        RCC->BDCR |= RCC_BDCR_LSEON;
        return await(&RCC->BDCR, RCC_BDCR_LSERDY, LSE_START_MS);
    }
    RCC->CSR |= RCC_CSR_LSION; /* lost at every reset, unlike LSE */
    return await(&RCC->CSR, RCC_CSR_LSIRDY, LSI_START_MS);
}

bool rtc_init(void)
{
    RCC->APB1ENR |= RCC_APB1ENR_PWREN;
    (void)RCC->APB1ENR;
    PWR->CR |= PWR_CR_DBP;
    uint32_t source = RCC->BDCR & RCC_BDCR_RTCSEL;
    if (source) { /* RTCSEL can only be changed by resetting the backup domain, which costs the time */
        running = start_source(source);
    } else {
        source = RCC_BDCR_RTCSEL_LSE;
        if (!(running = start_source(source))) {
            RCC->BDCR &= ~RCC_BDCR_LSEON;
            source = RCC_BDCR_RTCSEL_LSI;
            running = start_source(source);
        }
        if (running)
            RCC->BDCR |= source;
    }
    if (running)
        RCC->BDCR |= RCC_BDCR_RTCEN;
    return running;
}

static uint32_t bcd(uint32_t value)
{
    return value / 10u << 4 | value % 10u;
}
static uint32_t from_bcd(uint32_t value)
{
    return (value >> 4) * 10u + (value & 15u);
}
static bool leap(uint32_t year)
{
    return year % 4u == 0;
} /* right for 2000..2099 */

static uint32_t month_days(uint32_t month, uint32_t year)
{
    static const uint8_t days[12] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
    return days[month - 1] + (month == 2 && leap(year) ? 1u : 0u);
}

/* 26.3.6: the shadow registers follow RSF; reading TR freezes DR until DR is read */
bool rtc_get(uint32_t *unix_time)
{
    if (!running || !(RTC->ISR & RTC_ISR_INITS)) /* INITS: the year is not 0, so somebody has set it */
        return false;
    if (!await(&RTC->ISR, RTC_ISR_RSF, FLAG_MS))
        return false;
    uint32_t time = RTC->TR, date = RTC->DR;
    uint32_t year = from_bcd(date >> 16 & 255u), month = from_bcd(date >> 8 & 31u), day = from_bcd(date & 63u);
    uint32_t hour = from_bcd(time >> 16 & 63u), minute = from_bcd(time >> 8 & 127u), second = from_bcd(time & 127u);
    if (year > 99 || month < 1 || month > 12 || day < 1 || day > month_days(month, year) || hour > 23 || minute > 59 ||
        second > 59)
        return false;
    uint32_t days = year * 365u + (year + 3u) / 4u + day - 1u;
    for (uint32_t m = 1; m < month; m++)
        days += month_days(m, year);
    *unix_time = EPOCH_2000 + days * DAY + hour * 3600u + minute * 60u + second;
    return true;
}

/* 26.3.5: unlock, INIT, wait INITF, prescalers, time, date, leave, lock */
bool rtc_set(uint32_t unix_time)
{
    if (!running || unix_time < EPOCH_2000 + 366u * DAY || unix_time >= UNIX_END)
        return false; /* year 00 would read as "never set" */
    uint32_t days = (unix_time - EPOCH_2000) / DAY, rest = unix_time % DAY;
    uint32_t weekday = (days + 5u) % 7u + 1u; /* 2000-01-01 was a Saturday; 1 = Monday */
    uint32_t year = 0, month = 1;
    for (uint32_t n; days >= (n = leap(year) ? 366u : 365u); days -= n)
        year++;
    for (uint32_t n; days >= (n = month_days(month, year)); days -= n)
        month++;
    RTC->WPR = 0xCA;
    RTC->WPR = 0x53;
    RTC->ISR |= RTC_ISR_INIT;
    bool ready = await(&RTC->ISR, RTC_ISR_INITF, FLAG_MS);
    if (ready) {
        /* two writes, synchronous part first, as 26.6.5 asks */
        uint32_t prescaler = (RCC->BDCR & RCC_BDCR_RTCSEL) == RCC_BDCR_RTCSEL_LSE ? PRER_LSE : PRER_LSI;
        RTC->PRER = prescaler & 0x7FFFu;
        RTC->PRER = prescaler;
        RTC->TR = bcd(rest / 3600u) << 16 | bcd(rest / 60u % 60u) << 8 | bcd(rest % 60u);
        RTC->DR = bcd(year) << 16 | weekday << 13 | bcd(month) << 8 | bcd(days + 1u);
    }
    RTC->ISR &= ~(RTC_ISR_INIT | RTC_ISR_RSF); /* RSF: the next reading waits for the new time */
    RTC->WPR = 0xFF;
    return ready;
}

uint32_t rtc_backup_get(unsigned index)
{
    return running && index < RTC_BACKUP_REGISTERS ? RTC->BKPR[index] : 0;
}

void rtc_backup_set(unsigned index, uint32_t value)
{
    if (running && index < RTC_BACKUP_REGISTERS)
        RTC->BKPR[index] = value;
}
