/* SPDX-License-Identifier: Apache-2.0 */
#include "net/modem.h"
#include <stdarg.h>
#include <stdbool.h>
#include <string.h>
#include "board/clock.h"
#include "board/idle.h"
#include "drivers/modem_uart.h"
#include "net/at_parser.h"

enum {
    COMMAND_MS = 5000, /* 24 KB of the stream may stand before the answer on the line */
    SYNC_MS = 500,
    SYNC_TRIES = 12, /* together longer than the module takes to start */
    SYNC_PADDING_TRY = 3,
    QUIET_MS = 50,
    JOIN_MS = 20000,
    OPEN_MS = 15000,
    SEND_MS = 10000,
    SNTP_MS = 10000,
    SNTP_POLL_MS = 300,
    SEND_MAX = 2048,      /* AT+CIPSEND takes no more on older modules */
    RING_SIZE = 24 * 1024 /* stream bytes that arrive while a command waits for its answer */
};

static struct {
    struct at_parser parser;
    uint8_t input[64];
    size_t input_length, input_used;
    char reply[AT_LINE_MAX + 1]; /* the last line that began with '+' */
    bool usable, joined, open, damaged;
    struct modem_uart_counters counters;
    uint8_t ring[RING_SIZE];
    size_t ring_first, ring_count;
} modem;

const char *modem_result_word(enum modem_result result)
{
    static const char *const words[] = {
        [MODEM_OK] = "ok",
        [MODEM_NO_ANSWER] = "no-answer",
        [MODEM_REJECTED] = "rejected",
        [MODEM_WIFI_PASSWORD] = "wifi-password",
        [MODEM_WIFI_NOT_FOUND] = "wifi-not-found",
        [MODEM_WIFI_FAILED] = "wifi-failed",
        [MODEM_UNREACHABLE] = "unreachable",
        [MODEM_CLOSED] = "closed",
        [MODEM_LOST_BYTES] = "lost-bytes",
        [MODEM_NO_TIME] = "no-time",
    };
    return words[result];
}

static void ring_put(uint8_t byte)
{
    if (modem.ring_count == RING_SIZE) {
        modem.damaged = true;
        return;
    }
    modem.ring[(modem.ring_first + modem.ring_count++) % RING_SIZE] = byte;
}

static size_t ring_take(uint8_t *to, size_t capacity)
{
    size_t taken = 0;
    while (taken < capacity && modem.ring_count > 0) {
        to[taken++] = modem.ring[modem.ring_first];
        modem.ring_first = (modem.ring_first + 1) % RING_SIZE;
        modem.ring_count--;
    }
    return taken;
}

/* The line has no flow control: a byte lost in the receiver leaves a hole in the stream, and the parser out of step. */
static void check_receiver(void)
{
    struct modem_uart_counters now = modem_uart_counters();
    if (now.ring_full != modem.counters.ring_full || now.overrun != modem.counters.overrun ||
        now.line != modem.counters.line) {
        modem.damaged = true;
        modem.usable = false;
    }
    modem.counters = now;
}

/* The next event among the bytes received so far, stream bytes put aside; AT_NOTHING: all read. */
static enum at_event next_event(void)
{
    for (;;) {
        if (modem.input_used == modem.input_length) {
            modem.input_used = 0;
            modem.input_length = modem_uart_read(modem.input, sizeof modem.input);
            if (modem.input_length == 0) {
                check_receiver();
                return AT_NOTHING;
            }
        }
        uint8_t byte = modem.input[modem.input_used++];
        enum at_event event = at_parser_push(&modem.parser, byte);
        switch (event) {
        case AT_NOTHING:
            break;
        case AT_PAYLOAD:
            ring_put(byte);
            break;
        case AT_CONNECTED:
            modem.open = true;
            modem.damaged = false;
            modem.ring_count = 0; /* what an older connection left */
            return event;
        case AT_CLOSED:
            modem.open = false;
            return event;
        case AT_WIFI_DISCONNECT:
            modem.open = modem.joined = false;
            return event;
        case AT_READY:
            modem.open = modem.joined = modem.usable = false;
            return event;
        case AT_TEXT:
            if (modem.parser.line[0] == '+') {
                memcpy(modem.reply, modem.parser.line, sizeof modem.reply);
            }
            return event;
        default:
            return event;
        }
    }
}

/* Waits for the word that ends a command; everything else is only taken note of. AT_NOTHING: none came in time. */
static enum at_event wait_answer(uint32_t timeout_ms)
{
    deadline_t deadline = deadline_in(timeout_ms);
    for (;;) {
        enum at_event event = next_event();
        switch (event) {
        case AT_NOTHING:
            if (deadline_passed(deadline)) {
                return AT_NOTHING;
            }
            idle();
            break;
        case AT_OK:
        case AT_ERROR:
        case AT_BUSY:
        case AT_PROMPT:
        case AT_SEND_OK:
        case AT_SEND_FAIL:
            return event;
        default:
            break;
        }
    }
}

static void write_texts(const char *first, ...)
{
    va_list texts;
    va_start(texts, first);
    for (const char *text = first; text != NULL; text = va_arg(texts, const char *)) {
        modem_uart_write(text, strlen(text));
    }
    va_end(texts);
    modem_uart_write("\r\n", 2);
}

static enum modem_result result_of(enum at_event answer)
{
    if (answer == AT_NOTHING) {
        modem.usable = false;
        return MODEM_NO_ANSWER;
    }
    return answer == AT_OK ? MODEM_OK : MODEM_REJECTED;
}

static enum modem_result command(const char *text)
{
    modem.reply[0] = '\0';
    write_texts(text, NULL);
    return result_of(wait_answer(COMMAND_MS));
}

static const char *decimal(uint32_t value, char text[11])
{
    char *digit = text + 10;
    *digit = '\0';
    do {
        *--digit = (char)('0' + value % 10);
        value /= 10;
    } while (value > 0);
    return digit;
}

/* Finds the module in whatever state an earlier life of ours left it. */
static enum modem_result synchronise(void)
{
    modem.usable = modem.joined = modem.open = false;
    modem_uart_discard();
    modem.input_length = modem.input_used = 0;
    at_parser_init(&modem.parser);
    for (unsigned attempt = 0; attempt < SYNC_TRIES; attempt++) {
        if (attempt == SYNC_PADDING_TRY) {
            /* perhaps it still waits for the bytes of an AT+CIPSEND: empty lines are no commands */
            for (unsigned sent = 0; sent < SEND_MAX; sent += 2) {
                modem_uart_write("\r\n", 2);
                idle();
            }
        }
        /* a module that is still busy says so at once, and needs the time all the same */
        deadline_t deadline = deadline_in(SYNC_MS);
        enum at_event answer;
        write_texts("AT", NULL);
        do {
            answer = wait_answer(QUIET_MS);
        } while (answer != AT_OK && !deadline_passed(deadline));
        if (answer == AT_OK) {
            while (wait_answer(QUIET_MS) != AT_NOTHING) {
            }
            check_receiver();
            modem.usable = true;
            return MODEM_OK;
        }
    }
    return MODEM_NO_ANSWER;
}

static enum modem_result join(const char *ssid, const char *passphrase)
{
    char quoted_ssid[70], quoted_passphrase[134];
    if (!at_quote(quoted_ssid, sizeof quoted_ssid, ssid) ||
        !at_quote(quoted_passphrase, sizeof quoted_passphrase, passphrase)) {
        return MODEM_REJECTED;
    }
    modem.reply[0] = '\0';
    write_texts("AT+CWJAP=", quoted_ssid, ",", quoted_passphrase, NULL);
    enum at_event answer = wait_answer(JOIN_MS);
    if (answer != AT_ERROR) {
        enum modem_result result = result_of(answer);
        modem.joined = result == MODEM_OK;
        return result;
    }
    if (strcmp(modem.reply, "+CWJAP:2") == 0) {
        return MODEM_WIFI_PASSWORD;
    }
    return strcmp(modem.reply, "+CWJAP:3") == 0 ? MODEM_WIFI_NOT_FOUND : MODEM_WIFI_FAILED;
}

enum modem_result modem_start(const char *ssid, const char *passphrase)
{
    enum modem_result result = MODEM_OK;
    while (next_event() != AT_NOTHING) {
    }
    if (!modem.usable || command("AT") != MODEM_OK) {
        static const char *const set_up[] = { "ATE0", "AT+CWMODE=1", "AT+CIPMUX=0" };
        result = synchronise();
        for (size_t i = 0; result == MODEM_OK && i < sizeof set_up / sizeof set_up[0]; i++) {
            result = command(set_up[i]);
        }
    }
    if (result == MODEM_OK && !modem.joined && ssid[0] != '\0') {
        result = join(ssid, passphrase);
    }
    if (result == MODEM_REJECTED) {
        modem.usable = false;
    }
    return result;
}

enum modem_result modem_sntp(const char *host, uint32_t *unix_time)
{
    static const char HEAD[] = "+CIPSNTPTIME:";
    char quoted[2 * 253 + 3];
    if (!at_quote(quoted, sizeof quoted, host)) {
        return MODEM_REJECTED;
    }
    write_texts("AT+CIPSNTPCFG=1,0,", quoted, NULL);
    enum modem_result result = result_of(wait_answer(COMMAND_MS));
    deadline_t deadline = deadline_in(SNTP_MS);
    while (result == MODEM_OK && !deadline_passed(deadline)) {
        deadline_t next = deadline_in(SNTP_POLL_MS);
        result = command("AT+CIPSNTPTIME?");
        /* before it is synchronised the module shows 1970, which at_parse_time refuses */
        if (result == MODEM_OK && strncmp(modem.reply, HEAD, sizeof HEAD - 1) == 0 &&
            at_parse_time(modem.reply + sizeof HEAD - 1, unix_time)) {
            return MODEM_OK;
        }
        while (!deadline_passed(next)) {
            idle();
        }
    }
    return result == MODEM_OK ? MODEM_NO_TIME : result;
}

static enum at_event connect_to(const char *quoted_host, uint16_t port)
{
    char digits[11];
    write_texts("AT+CIPSTART=\"TCP\",", quoted_host, ",", decimal(port, digits), NULL);
    return wait_answer(OPEN_MS);
}

enum modem_result modem_open(const char *host, uint16_t port)
{
    char quoted[2 * 253 + 3];
    if (!at_quote(quoted, sizeof quoted, host)) {
        return MODEM_UNREACHABLE;
    }
    modem_close();
    enum at_event answer = connect_to(quoted, port);
    if (answer == AT_ERROR) {
        /* a connection from before our own reset may still stand in the way */
        if (command("AT+CIPCLOSE") == MODEM_OK) {
            answer = connect_to(quoted, port);
        }
    }
    if (answer != AT_OK) {
        enum modem_result result = result_of(answer);
        return result == MODEM_REJECTED ? MODEM_UNREACHABLE : result;
    }
    return modem.open ? MODEM_OK : MODEM_CLOSED;
}

static enum modem_result send_part(const uint8_t *data, size_t length)
{
    char digits[11];
    write_texts("AT+CIPSEND=", decimal((uint32_t)length, digits), NULL);
    enum at_event answer = wait_answer(COMMAND_MS);
    if (answer == AT_OK) {
        answer = wait_answer(COMMAND_MS);
    }
    if (answer != AT_PROMPT) {
        return answer == AT_ERROR ? MODEM_CLOSED : result_of(answer);
    }
    modem_uart_write(data, length);
    answer = wait_answer(SEND_MS);
    if (answer == AT_SEND_OK) {
        return MODEM_OK;
    }
    return answer == AT_NOTHING ? result_of(answer) : MODEM_CLOSED;
}

enum modem_result modem_send(const uint8_t *data, size_t length)
{
    while (next_event() != AT_NOTHING) {
    }
    enum modem_result result = modem.open ? MODEM_OK : MODEM_CLOSED;
    while (result == MODEM_OK && length > 0) {
        size_t part = length < SEND_MAX ? length : SEND_MAX;
        result = send_part(data, part);
        data += part;
        length -= part;
    }
    return result;
}

enum modem_result modem_receive(uint8_t *to, size_t capacity, uint32_t timeout_ms, size_t *length)
{
    deadline_t deadline = deadline_in(timeout_ms);
    for (;;) {
        *length = ring_take(to, capacity);
        if (*length > 0) {
            return MODEM_OK;
        }
        bool any = next_event() != AT_NOTHING;
        if (modem.damaged) {
            return MODEM_LOST_BYTES;
        }
        if (any || modem.ring_count > 0) {
            continue;
        }
        if (!modem.open) {
            return MODEM_CLOSED;
        }
        if (deadline_passed(deadline)) {
            return MODEM_OK;
        }
        idle();
    }
}

void modem_close(void)
{
    if (modem.open) {
        (void)command("AT+CIPCLOSE");
        modem.open = false;
    }
    modem.ring_count = 0;
}
