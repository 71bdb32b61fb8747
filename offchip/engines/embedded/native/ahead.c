// SPDX-License-Identifier: Apache-2.0
// Register accesses whose outcome a peripheral has told in advance, answered without a call into Python.
// The layouts are those of ahead.py; the callbacks are Unicorn's uc_cb_mmio_read_t and uc_cb_mmio_write_t.
#include <stdint.h>

enum { SR = 0x08, DR = 0x0C, RXNE = 1 }; // of the SPI, RM0090 28.5

struct ahead {
    uint64_t activity, patience;
    // looks at one register
    uint32_t look_address, look_width, look_value, look_left, looked;
    // frames of one SPI; port 0: none
    uint32_t port, status, receive, at, end;
    const uint8_t *miso;
    uint8_t *mosi; // takes what is sent; without it only 0xFF may be
    void (*settle)(void);
};

struct window {
    struct ahead *ahead;
    uint64_t (*read)(void *, uint64_t, unsigned, void *);
    void (*write)(void *, uint64_t, unsigned, uint64_t, void *);
    uint32_t start;
};

static void settle(struct ahead *ahead)
{
    if (ahead->port || ahead->look_address)
        ahead->settle();
}

uint64_t ahead_read(void *uc, uint64_t offset, unsigned width, void *data)
{
    struct window *window = data;
    struct ahead *ahead = window->ahead;
    uint32_t address = window->start + (uint32_t)offset;
    if (++ahead->activity < ahead->patience) {
        if (ahead->look_left && address == ahead->look_address && width == ahead->look_width) {
            ahead->look_left--;
            ahead->looked++;
            return ahead->look_value;
        }
        if (ahead->port && address == ahead->port + SR)
            return ahead->status;
        if (ahead->port && address == ahead->port + DR) {
            ahead->status &= ~(uint32_t)RXNE;
            return width > 1 ? ahead->receive : ahead->receive & 0xFF;
        }
    }
    settle(ahead);
    return window->read(uc, offset, width, 0);
}

void ahead_write(void *uc, uint64_t offset, unsigned width, uint64_t value, void *data)
{
    struct window *window = data;
    struct ahead *ahead = window->ahead;
    uint32_t address = window->start + (uint32_t)offset;
    ahead->activity++;
    if (ahead->port && address == ahead->port + DR && ahead->at < ahead->end && !(ahead->status & RXNE)
        && (ahead->mosi || (value & 0xFF) == 0xFF)) {
        if (ahead->mosi)
            ahead->mosi[ahead->at] = (uint8_t)value;
        ahead->receive = ahead->miso[ahead->at++];
        ahead->status |= RXNE;
        return;
    }
    settle(ahead);
    window->write(uc, offset, width, value, 0);
}
