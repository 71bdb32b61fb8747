/* SPDX-License-Identifier: Apache-2.0 */
/* One TCP connection through the ESP-AT module on USART2 (ESP-AT User Guide: basic, Wi-Fi and TCP/IP commands). Every
 * call is bounded in time and sleeps (idle.h) while it waits. */
#ifndef MODEM_H
#define MODEM_H
#include <stddef.h>
#include <stdint.h>

enum modem_result {
    MODEM_OK,
    MODEM_NO_ANSWER, /* nothing came in time */
    MODEM_REJECTED,  /* the module said ERROR to something it should know */
    MODEM_WIFI_PASSWORD,
    MODEM_WIFI_NOT_FOUND,
    MODEM_WIFI_FAILED,
    MODEM_UNREACHABLE, /* no such host, nobody listens there, or no network */
    MODEM_CLOSED,      /* the peer or the network ended the connection */
    MODEM_LOST_BYTES,  /* the stream is damaged: a buffer overflowed or the line is bad */
    MODEM_NO_TIME      /* no time server answered */
};

const char *modem_result_word(enum modem_result result);

/* Wakes the module and joins the access point; quick if both is already so. ssid "": no joining. */
enum modem_result modem_start(const char *ssid, const char *passphrase);

/* UTC in seconds from the time server `host`. */
enum modem_result modem_sntp(const char *host, uint32_t *unix_time);

/* Opens the connection; an older one is closed first. */
enum modem_result modem_open(const char *host, uint16_t port);

enum modem_result modem_send(const uint8_t *data, size_t length);

/* Takes 1..capacity bytes of the stream; *length 0 with MODEM_OK: nothing in `timeout_ms`. What came before an end of
 * the connection can still be read after it. */
enum modem_result modem_receive(uint8_t *to, size_t capacity, uint32_t timeout_ms, size_t *length);

void modem_close(void);
#endif
