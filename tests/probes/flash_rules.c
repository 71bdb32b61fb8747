/* SPDX-License-Identifier: Apache-2.0
 * Flash rules, bit-banding, SysTick, CRC unit, DWT, CCM (RM0090 3.5 to 3.6, 2.3.3, 4.4; ARMv7-M ARM B3.3, C1.8).
 *
 * truth: locked_write=00000080     CR behind the lock: PGSERR for a store without PG
 * truth: pgperr=00000040           PSIZE x8 and a word: PGPERR, 3.6.3
 * truth: pgperr_kept=ffffffff
 * truth: pg_off=00000080           PGSERR: a store without PG
 * truth: byte_program=ffffff12
 * truth: half_program=1234ff12
 * truth: one_to_zero=00000000      12 over FF over 12: bits only fall
 * truth: zero_to_one=00000000
 * truth: eop=00000001              EOP with EOPIE, 3.8.4
 * truth: erase=ffffffff
 * truth: neighbour=55aa55aa        the next sector stays
 * truth: relock=80000000
 * truth: wrperr=00000010           a sector whose nWRP is 0, 3.6.4
 * truth: optlock=00000001
 * truth: optcr_open=00000000
 * truth: optcr_relock=00000001
 * truth: bb_ram_set=00000010
 * truth: bb_ram_read=00000001
 * truth: bb_ram_clear=00000000
 * truth: bb_periph=00000020        ODR bit 5 of port D by the alias
 * truth: st_val=00000064           the value after a write is RELOAD, with the next tick
 * truth: st_countflag=00010000
 * truth: st_countflag_gone=00000000 reading clears
 * truth: st_cvr_write=00000000     any write clears
 * truth: st_stop=00000001          it stands when ENABLE is 0
 * truth: st_one_shot=00000001      RELOAD 0 behind: counts down once
 * truth: crc=df8a8a2b              CRC of one word 0x12345678, ISO-HDLC polynomial 0x4C11DB7, init FFFFFFFF, 4.2
 * truth: crc_reset=ffffffff
 * truth: crc_idr=000000a5          IDR outlives the reset bit
 * truth: cyccnt_write=00000001
 * truth: cyccnt_off=00000001       CYCCNTENA 0: it stands
 * truth: ccm_dma=00000008
 */
#include <stdint.h>
#include "probe.h"
#define KEYR REG(0x40023C04)
#define OPTKEYR REG(0x40023C08)
#define FSR REG(0x40023C0C)
#define FCRR REG(0x40023C10)
#define OPTCR REG(0x40023C14)
#define AT 0x08020000u      /* sector 5 */
static void open(void) { KEYR = 0x45670123; KEYR = 0xCDEF89AB; }
static void idle(void) { while (FSR & 0x10000) { } }
static uint32_t errors(void) { uint32_t v = FSR & 0xF2; FSR = 0xF3; return v; }
int main(void)
{
    REG(AT) = 0; idle(); fact("locked_write", errors());
    open();
    FCRR = 0x001; REG(AT) = 0; idle(); fact("pgperr", errors()); FCRR = 0; fact("pgperr_kept", REG(AT));
    REG8(AT) = 0; idle(); fact("pg_off", errors());
    FCRR = 0x001; REG8(AT) = 0x12; idle(); fact("byte_program", REG(AT));
    FCRR = 0x101; REG16(AT + 2) = 0x1234; idle(); fact("half_program", REG(AT));
    FCRR = 0x201; REG(AT) = 0; idle(); fact("one_to_zero", REG(AT)); REG(AT) = 0xFFFFFFFF; idle(); fact("zero_to_one", REG(AT)); FSR = 0xF3;
    FCRR = 0x201 | 1u << 24; REG(AT + 4) = 1; idle(); fact("eop", FSR & 1); FSR = 0xF3;
    FCRR = 0x201; REG(0x08040000) = 0x55AA55AA; idle(); FCRR = 0x202 | 5 << 3; FCRR |= 0x10000; idle(); fact("erase", REG(AT)); fact("neighbour", REG(0x08040000));
    FCRR = 1u << 31; fact("relock", FCRR);
    fact("optlock", OPTCR & 1); OPTKEYR = 0x08192A3B; OPTKEYR = 0x4C5D6E7F; fact("optcr_open", OPTCR & 1);
    OPTCR = (OPTCR & ~(1u << 21)); OPTCR |= 2; while (FSR & 0x10000) { }
    OPTCR |= 1; fact("optcr_relock", OPTCR & 1);
    open(); errors(); FCRR = 0x201; REG(AT + 8) = 0; idle(); uint32_t e = errors(); FCRR = 0;
    fact("wrperr", e);
    static volatile uint32_t cell; cell = 0;
    volatile uint32_t *alias = (volatile uint32_t *)(0x22000000 + ((uint32_t)&cell - 0x20000000) * 32 + 4 * 4);
    *alias = 3; fact("bb_ram_set", cell); fact("bb_ram_read", *alias); *alias = 2; fact("bb_ram_clear", cell);
    *(volatile uint32_t *)(0x42000000 + 0x20C14 * 32 + 5 * 4) = 1; fact("bb_periph", REG(0x40020C14)); 
    REG(0xE000E014) = 100; REG(0xE000E018) = 7; REG(0xE000E010) = 5; for (volatile int i = 0; i < 2; i++) { } uint32_t v = REG(0xE000E018); fact("st_val", v <= 100 && v >= 60 ? 100 : v);
    for (volatile int i = 0; i < 200; i++) { }
    fact("st_countflag", REG(0xE000E010) & 0x10000); 
    REG(0xE000E014) = 0xFFFFFF; REG(0xE000E018) = 0; (void)REG(0xE000E010); fact("st_countflag_gone", REG(0xE000E010) & 0x10000);
    REG(0xE000E010) = 4; REG(0xE000E018) = 5; fact("st_cvr_write", REG(0xE000E018));
    REG(0xE000E010) = 5; for (volatile int i = 0; i < 50; i++) { }
    REG(0xE000E010) = 4; v = REG(0xE000E018); for (volatile int i = 0; i < 50; i++) { }
    fact("st_stop", v == REG(0xE000E018) && v);
    REG(0xE000E014) = 50; REG(0xE000E018) = 0; REG(0xE000E010) = 5; for (volatile int i = 0; i < 2; i++) { } REG(0xE000E014) = 0;
    for (volatile int i = 0; i < 100; i++) { }
    (void)REG(0xE000E010); for (volatile int i = 0; i < 100; i++) { } fact("st_one_shot", !(REG(0xE000E010) >> 16 & 1) && !REG(0xE000E018)); REG(0xE000E010) = 0;
    REG(0x40023830) |= 1u << 12; REG(0x40023008) = 1; REG(0x40023004) = 0xA5; REG(0x40023000) = 0x12345678; fact("crc", REG(0x40023000));
    REG(0x40023008) = 1; fact("crc_reset", REG(0x40023000)); fact("crc_idr", REG(0x40023004));
    REG(0xE000EDFC) |= 1u << 24; REG(0xE0001000) |= 1; REG(0xE0001004) = 0x1000; v = REG(0xE0001004); fact("cyccnt_write", v >= 0x1000 && v < 0x1020);
    REG(0xE0001000) &= ~1u; v = REG(0xE0001004); for (volatile int i = 0; i < 20; i++) { } fact("cyccnt_off", v == REG(0xE0001004));
    REG(0x40023830) |= 1u << 22; REG(0x40026418) = 0x08000000; REG(0x4002641C) = 0x10000000; REG(0x40026414) = 4; REG(0x40026424) = 7;
    REG(0x40026410) = 2u << 13 | 2u << 11 | 3u << 9 | 2u << 6 | 1; for (volatile int i = 0; i < 50; i++) { }
    fact("ccm_dma", REG(0x40026400) & 8);
    return 0;
}
