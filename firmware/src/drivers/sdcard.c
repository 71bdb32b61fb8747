/* SPDX-License-Identifier: Apache-2.0 */
/* SD card in SPI mode. SD Physical Layer Simplified Spec ("SD"): 4.3.7 lock, 4.5 CRC, 5.3 CSD, 7.2 protocol, 7.3 formats. */
#include "drivers/sdcard.h"
#include <string.h>
#include "board/clock.h"
#include "drivers/spi.h"

enum {
    GO_IDLE_STATE = 0,
    SEND_IF_COND = 8,
    SEND_CSD = 9,
    SEND_STATUS = 13,
    SET_BLOCKLEN = 16,
    READ_SINGLE_BLOCK = 17,
    WRITE_BLOCK = 24,
    LOCK_UNLOCK = 42,
    APP_CMD = 55,
    READ_OCR = 58,
    CRC_ON_OFF = 59,
    SD_SEND_OP_COND = 41
};
enum { R1_IDLE = 0x01, R1_ILLEGAL = 0x04, R1_CRC = 0x08, R1_START = 0x80, NO_ANSWER = 0xFF };
enum { R2_LOCKED = 0x01 };
enum { TOKEN_START = 0xFE, DATA_RESPONSE_MASK = 0x1F, DATA_ACCEPTED = 0x05 };
enum { CHECK_PATTERN = 0xA5, VOLTAGE_27_36 = 1 };
#define HCS (1u << 30)
enum { /* limits: SD 4.2.3 (1 s for ACMD41), 4.6.2 (100 ms read, 250 ms write, SDXC 500 ms) */
       POWER_UP_MS = 1000,
       READ_MS = 150,
       BUSY_MS = 600,
       IDLE_TRIES = 10,
       CRC_TRIES = 3,
       RESPONSE_BYTES = 9,
       QUICK_POLLS = 64
};
enum { INIT_HZ = 400000, DATA_HZ = 25000000 };

static struct sd_card card; /* blocks = 0: not initialised */
static bool without_crc;
static struct {
    const uint8_t *bytes;
    uint8_t length;
} password;

/* SD 4.5: polynomial x^7 + x^3 + 1, sent with a 1 behind */
static uint8_t crc7(const uint8_t *bytes, unsigned length)
{
    unsigned crc = 0;
    for (unsigned i = 0; i < length; i++)
        for (unsigned bit = 0x80; bit; bit >>= 1) {
            bool invert = !!(crc & 0x40) != !!(bytes[i] & bit);
            crc = (crc << 1 & 0x7F) ^ (invert ? 0x09u : 0u);
        }
    return (uint8_t)(crc << 1 | 1u);
}

/* SD 4.5: CCITT polynomial, start 0; by nibbles: a block is on the way to every credential */
static uint16_t crc16(const uint8_t *bytes, unsigned length)
{
    static const uint16_t table[16] = { 0x0000, 0x1021, 0x2042, 0x3063, 0x4084, 0x50A5, 0x60C6, 0x70E7,
                                        0x8108, 0x9129, 0xA14A, 0xB16B, 0xC18C, 0xD1AD, 0xE1CE, 0xF1EF };
    unsigned crc = 0;
    for (unsigned i = 0; i < length; i++) {
        crc = (crc << 4 ^ table[(crc >> 12 ^ bytes[i] >> 4) & 15u]) & 0xFFFFu;
        crc = (crc << 4 ^ table[(crc >> 12 ^ bytes[i]) & 15u]) & 0xFFFFu;
    }
    return (uint16_t)crc;
}

/* Every command ends with CS high and 8 clocks: the card needs them to let go of MISO (SD 7.2, 7.5). */
static void finish(void)
{
    spi_select(false);
    (void)spi_exchange(0xFF);
}

/* Clocks until MISO is FF (`idle`) or anything else (not `idle`): a few times at once, then once per millisecond. */
static bool await_byte(bool idle, uint32_t ms, uint8_t *seen)
{
    deadline_t end = deadline_in(ms);
    for (unsigned n = 0;; n++) {
        bool last = deadline_passed(end);
        *seen = spi_exchange(0xFF);
        if ((*seen == 0xFF) == idle)
            return true;
        if (last)
            return false;
        if (n >= QUICK_POLLS)
            cpu_idle();
    }
}

/* Sends a command with CS low and leaves CS low; the R1 answer, or NO_ANSWER. */
static uint8_t command(uint8_t index, uint32_t argument)
{
    uint8_t frame[6] = { (uint8_t)(0x40 | index),  (uint8_t)(argument >> 24), (uint8_t)(argument >> 16),
                         (uint8_t)(argument >> 8), (uint8_t)argument,         0 };
    frame[5] = crc7(frame, 5);
    spi_select(true);
    (void)spi_exchange(0xFF);
    for (unsigned i = 0; i < sizeof frame; i++)
        (void)spi_exchange(frame[i]);
    for (unsigned i = 0; i < RESPONSE_BYTES; i++) {
        uint8_t r1 = spi_exchange(0xFF);
        if (!(r1 & R1_START))
            return r1;
    }
    return NO_ANSWER;
}

static uint8_t command_alone(uint8_t index, uint32_t argument)
{
    uint8_t r1 = command(index, argument);
    finish();
    return r1;
}

static void receive(uint8_t *to, unsigned length)
{
    for (unsigned i = 0; i < length; i++)
        to[i] = spi_exchange(0xFF);
}

/* The word for an R1 that is not 0. */
static enum storage_error r1_error(uint8_t r1)
{
    return r1 == NO_ANSWER ? STORAGE_TIMEOUT : STORAGE_CARD_ERROR;
}

/* A command answered by R1 and a data block (SD 7.2.3, 7.3.3.2, 7.3.3.3). */
static enum storage_error read_data(uint8_t index, uint32_t argument, uint8_t *to, unsigned length)
{
    uint8_t r1 = command(index, argument), token;
    enum storage_error error = r1 ? r1_error(r1) : STORAGE_OK;
    if (!error) {
        if (!await_byte(false, READ_MS, &token))
            error = STORAGE_TIMEOUT;
        else if (token != TOKEN_START)
            error = STORAGE_CARD_ERROR;
    }
    if (!error) {
        uint8_t crc[2];
        receive(to, length);
        receive(crc, sizeof crc);
        if (!without_crc && crc16(to, length) != (uint16_t)(crc[0] << 8 | crc[1]))
            error = STORAGE_READ_CRC;
    }
    finish();
    return error;
}

/* SD 5.3.2, 5.3.3. The OCR's CCS bit says the same, but the CSD also has the capacity. */
static enum storage_error read_capacity(void)
{
    uint8_t csd[16];
    enum storage_error error = read_data(SEND_CSD, 0, csd, sizeof csd);
    if (error)
        return error;
    if (csd[0] >> 6 == 1) {
        uint32_t size = (csd[7] & 0x3Fu) << 16 | (uint32_t)csd[8] << 8 | csd[9];
        uint64_t blocks = ((uint64_t)size + 1u) * 1024u;
        card.high_capacity = true;
        card.blocks = blocks > UINT32_MAX ? UINT32_MAX : (uint32_t)blocks;
    } else if (csd[0] >> 6 == 0) {
        uint32_t size = (csd[6] & 3u) << 10 | (uint32_t)csd[7] << 2 | csd[8] >> 6;
        uint32_t multiplier = (csd[9] & 3u) << 1 | csd[10] >> 7, length = csd[5] & 15u;
        if (length < 9 || length > 11) /* 512, 1024, 2048: all there are */
            return STORAGE_CARD_ERROR;
        card.high_capacity = false;
        card.blocks = (size + 1u) << (multiplier + 2u + length - 9u);
    } else {
        return STORAGE_CARD_ERROR; /* SDUC has no SPI mode */
    }
    return STORAGE_OK;
}

/* SD 7.2.1 and figure 7-2 */
static enum storage_error wake(void)
{
    uint8_t r1 = NO_ANSWER, reply[4];
    for (unsigned i = 0; i < 10; i++) /* 6.4.1: at least 74 clocks with CS high */
        (void)spi_exchange(0xFF);
    /* After a reset of ours the card may still be programming; CMD0 would tear that block. An empty bus reads FF. */
    spi_select(true);
    (void)await_byte(true, BUSY_MS, reply); /* some cards hold MISO low, or say 7F, until they have seen CMD0 */
    finish();
    for (unsigned i = 0; i < IDLE_TRIES && r1 != R1_IDLE; i++) /* a bus stuck at 0 reads R1 = 0: no card */
        r1 = command_alone(GO_IDLE_STATE, 0);
    if (r1 != R1_IDLE)
        return STORAGE_NO_CARD;

    r1 = command(SEND_IF_COND, VOLTAGE_27_36 << 8 | CHECK_PATTERN);
    bool version2 = !(r1 & R1_ILLEGAL);
    receive(reply, sizeof reply);
    finish();
    if (r1 == NO_ANSWER)
        return STORAGE_TIMEOUT;
    if (version2 && (r1 != R1_IDLE || (reply[2] & 15) != VOLTAGE_27_36 || reply[3] != CHECK_PATTERN))
        return STORAGE_CARD_ERROR;

    r1 = command_alone(CRC_ON_OFF, 1); /* before ACMD41: allowed in idle, so all that follows is protected */
    if (r1 & ~(R1_IDLE | R1_ILLEGAL))
        return r1_error(r1);
    without_crc = r1 & R1_ILLEGAL; /* some cards know no CMD59; what their CRC bytes hold is not said then */

    deadline_t end = deadline_in(POWER_UP_MS);
    for (;;) {
        bool last = deadline_passed(end);
        r1 = command_alone(APP_CMD, 0);
        if (r1 & ~R1_IDLE)
            return r1_error(r1);
        r1 = command_alone(SD_SEND_OP_COND, version2 ? HCS : 0);
        if (r1 & ~R1_IDLE)
            return r1_error(r1);
        if (r1 == 0)
            break;
        if (last)
            return STORAGE_TIMEOUT;
        cpu_idle();
    }

    r1 = command(READ_OCR, 0); /* the order of figure 7-2; addressing is taken from the CSD */
    receive(reply, sizeof reply);
    finish();
    return r1 ? r1_error(r1) : STORAGE_OK;
}

/* SD 7.2.4: R1, one byte gap, token, data, CRC16, data response, busy. CS stays low. */
static enum storage_error write_data(uint8_t index, uint32_t argument, const uint8_t *from, unsigned length)
{
    uint16_t crc = crc16(from, length);
    uint8_t r1 = command(index, argument);
    if (r1)
        return r1_error(r1);
    (void)spi_exchange(0xFF);
    (void)spi_exchange(TOKEN_START);
    for (unsigned i = 0; i < length; i++)
        (void)spi_exchange(from[i]);
    (void)spi_exchange((uint8_t)(crc >> 8));
    (void)spi_exchange((uint8_t)crc);
    uint8_t response = spi_exchange(0xFF), seen;
    if ((response & DATA_RESPONSE_MASK) != DATA_ACCEPTED)
        return STORAGE_CARD_ERROR;
    return await_byte(true, BUSY_MS, &seen) ? STORAGE_OK : STORAGE_TIMEOUT;
}

/* CMD13 (SD 7.3.2.3) */
static enum storage_error read_status(uint8_t *second)
{
    uint8_t r1 = command(SEND_STATUS, 0);
    *second = spi_exchange(0xFF);
    finish();
    return r1 ? r1_error(r1) : STORAGE_OK;
}

static enum storage_error set_length(uint32_t length)
{
    uint8_t r1 = command_alone(SET_BLOCKLEN, length);
    return r1 ? r1_error(r1) : STORAGE_OK;
}

void sd_use_password(const uint8_t *bytes, uint8_t length)
{
    password.bytes = bytes;
    password.length = length;
}

/* CMD42 (SD 4.3.7). It keeps strangers without a probe from reading: the password crosses the bus in clear. */
static enum storage_error unlock(void)
{
    uint8_t block[2 + SD_PASSWORD_MAX] = { 0, password.length }, status;
    enum storage_error error = read_status(&status);
    if (error || !(status & R2_LOCKED))
        return error;
    memcpy(block + 2, password.bytes, password.length);
    error = set_length(2u + password.length);
    if (!error) {
        error = write_data(LOCK_UNLOCK, 0, block, 2u + password.length);
        finish();
    }
    if (!error)
        error = read_status(&status);
    if (!error && status)
        error = STORAGE_CARD_ERROR;
    return error ? error : set_length(SD_BLOCK_SIZE);
}

enum storage_error sd_init(struct sd_card *out)
{
    card.blocks = 0;
    spi_init(INIT_HZ);
    enum storage_error error = wake();
    if (error)
        return error;
    spi_speed(DATA_HZ);
    error = read_capacity();
    if (!error && !card.high_capacity)
        error = set_length(SD_BLOCK_SIZE);
    if (!error && password.length)
        error = unlock();
    if (error)
        card.blocks = 0;
    *out = card;
    return error;
}

/* SDSC counts bytes; its largest card, 2 GB, just fits 32 bits. */
static uint32_t address(uint32_t lba)
{
    return card.high_capacity ? lba : lba * SD_BLOCK_SIZE;
}

enum storage_error sd_read_block(uint32_t lba, uint8_t to[SD_BLOCK_SIZE])
{
    if (lba >= card.blocks)
        return STORAGE_CARD_ERROR;
    enum storage_error error = STORAGE_READ_CRC;
    for (unsigned i = 0; i < CRC_TRIES && error == STORAGE_READ_CRC; i++)
        error = read_data(READ_SINGLE_BLOCK, address(lba), to, SD_BLOCK_SIZE);
    return error;
}

enum storage_error sd_write_block(uint32_t lba, const uint8_t from[SD_BLOCK_SIZE])
{
    if (lba >= card.blocks)
        return STORAGE_CARD_ERROR;
    uint8_t status;
    enum storage_error error = write_data(WRITE_BLOCK, address(lba), from, SD_BLOCK_SIZE);
    finish();
    if (!error)
        error = read_status(&status); /* R2: errors found while programming (SD 7.2.4) */
    return !error && status ? STORAGE_CARD_ERROR : error;
}
