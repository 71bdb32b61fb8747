/* SPDX-License-Identifier: Apache-2.0
 * SPI and I2C by software on the pins of the card and the EEPROM (RM0090 8.3; SD simplified specification 7.2;
 * 24LC256 data sheet 5, 6, 8).
 * virtual seconds: 3
 *
 * truth: cmd0=00000001
 * truth: cmd8=000001aa
 * truth: ready=00000000           ACMD41 ends
 * truth: token=000000fe           CMD17 of block 0
 * truth: block_sum=00000000       an empty card
 * truth: written=00000005         data response of CMD24, at once behind the CRC
 * truth: read_back=0000005a
 * truth: nobody=00000001          address 0x51 is not acknowledged
 * truth: eeprom_ack=00000000
 * truth: polls=00000001           no acknowledge in the write cycle, later one
 * truth: eeprom_data=00c0ffee
 * truth: sequential=0000eeff      the address goes on
 * truth: erased=000000ff
 */
#include "probe.h"
static void pause(void) { for (volatile int i = 0; i < 4; i++) { } }
#define PIN(port, n, v) (REG((port) + 0x18) = (v) ? 1u << (n) : 1u << ((n) + 16))
static int xfer(int v)
{
    int r = 0;
    for (int i = 7; i >= 0; i--) {
        PIN(0x40020000, 7, v >> i & 1); pause();
        PIN(0x40020000, 5, 1); r = r << 1 | (REG(0x40020010) >> 6 & 1); PIN(0x40020000, 5, 0);
    }
    return r;
}
static int command(int n, uint32_t a, int crc)
{
    int r = 0xFF;
    xfer(0x40 | n); xfer(a >> 24); xfer(a >> 16 & 255); xfer(a >> 8 & 255); xfer(a & 255); xfer(crc);
    for (int i = 0; i < 8 && (r & 0x80); i++) r = xfer(0xFF);
    return r;
}
#define SCL(v) (PIN(0x40020400, 6, v), pause())
#define SDA(v) (PIN(0x40020400, 7, v), pause())
static int sda(void) { return REG(0x40020410) >> 7 & 1; }
static void begin(void) { SDA(1); SCL(1); SDA(0); SCL(0); }
static void stop(void) { SDA(0); SCL(1); SDA(1); }
static int send(int v)
{
    for (int i = 7; i >= 0; i--) { SDA(v >> i & 1); SCL(1); SCL(0); }
    SDA(1); SCL(1); int n = sda(); SCL(0); return n;
}
static int take(int ack)
{
    int v = 0; SDA(1);
    for (int i = 0; i < 8; i++) { SCL(1); v = v << 1 | sda(); SCL(0); }
    SDA(!ack); SCL(1); SCL(0); SDA(1); return v;
}
int main(void)
{
    REG(0x40020000) = (REG(0x40020000) & ~0xFF00u) | 0x4500; REG(0x4002000C) |= 1u << 12; /* PA4, 5, 7 out, 6 in */
    PIN(0x40020000, 4, 1); for (int i = 0; i < 10; i++) xfer(0xFF);
    PIN(0x40020000, 4, 0); fact("cmd0", command(0, 0, 0x95));
    command(8, 0x1AA, 0x87); uint32_t v = 0; for (int i = 0; i < 4; i++) v = v << 8 | xfer(0xFF); fact("cmd8", v);
    int r = 1; for (int i = 0; i < 100 && r; i++) { command(55, 0, 1); r = command(41, 1u << 30, 1); } fact("ready", r);
    command(17, 0, 1); for (int i = 0; i < 100 && (r = xfer(0xFF)) == 0xFF; i++) { } fact("token", r);
    v = 0; for (int i = 0; i < 512; i++) v += xfer(0xFF); xfer(0xFF); xfer(0xFF); fact("block_sum", v);
    command(24, 512, 1); xfer(0xFF); xfer(0xFE); for (int i = 0; i < 512; i++) xfer(0x5A); xfer(0); xfer(0);
    fact("written", xfer(0xFF) & 0x1F); for (int i = 0; i < 100000 && xfer(0xFF) != 0xFF; i++) { }
    command(17, 512, 1); for (int i = 0; i < 100 && (r = xfer(0xFF)) == 0xFF; i++) { }
    for (int i = 0; i < 514; i++) { int b = xfer(0xFF); if (i == 511) r = b; } fact("read_back", r);
    PIN(0x40020000, 4, 1);

    SCL(1); SDA(1); REG(0x40020404) |= 0xC0; REG(0x40020400) = (REG(0x40020400) & ~0xFC00u) | 0x5400; /* PB5..7 out */
    PIN(0x40020400, 5, 0);
    begin(); fact("nobody", send(0xA2)); stop();
    begin(); r = send(0xA0); r |= send(0); r |= send(0x10); r |= send(0xC0) | send(0xFF) | send(0xEE); stop();
    fact("eeprom_ack", r);
    begin(); r = send(0xA0); stop(); int late = 1;
    for (int i = 0; i < 100000 && late; i++) { begin(); late = send(0xA0); stop(); }
    fact("polls", r && !late);
    begin(); send(0xA0); send(0); send(0x10); begin(); send(0xA1); v = take(1) << 16; v |= take(1) << 8; v |= take(0); stop();
    fact("eeprom_data", v);
    begin(); send(0xA0); send(0); send(0x12); begin(); send(0xA1); v = take(1) << 8; v |= take(0); stop();
    fact("sequential", v);
    begin(); send(0xA1); v = take(0); stop(); fact("erased", v);
    return 0;
}
