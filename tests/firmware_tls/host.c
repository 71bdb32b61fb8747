/* SPDX-License-Identifier: Apache-2.0 */
/* The device's TLS, identity and platform code over Mbed TLS as a shared library: the test plays modem, clock and
 * random number generator. */
#include <string.h>
#include "board/clock.h"
#include "drivers/rng.h"
#include "drivers/rtc.h"
#include "net/identity.h"
#include "net/modem.h"
#include "net/tls.h"
#include "net/tls_platform.h"
#include "net/wall_clock.h"

static struct {
    int (*open)(const char *host, unsigned port);
    int (*send)(const uint8_t *data, size_t length);
    int (*receive)(uint8_t *to, size_t capacity, uint32_t timeout_ms); /* bytes, 0: none in time, -1: closed */
    void (*close)(void);
} calls;

static struct identity identity;
static uint64_t now_us = 1000000;
static bool rng_broken;
static uint64_t random_state = 88172645463325252u;

void host_set_calls(void *open, void *send, void *receive, void *close)
{
    calls.open = (int (*)(const char *, unsigned))open;
    calls.send = (int (*)(const uint8_t *, size_t))send;
    calls.receive = (int (*)(uint8_t *, size_t, uint32_t))receive;
    calls.close = (void (*)(void))close;
}
void host_break_rng(bool broken) { rng_broken = broken; }
void host_pass_time(uint64_t us) { now_us += us; }
uint64_t time_us(void) { return now_us; }
uint32_t time_ms(void) { return (uint32_t)(now_us / 1000); }
uint32_t rtc_backup_get(unsigned index) { (void)index; return 0; }
void rtc_backup_set(unsigned index, uint32_t value) { (void)index, (void)value; }

enum rng_result rng_fill(void *to, size_t length)
{
    uint8_t *bytes = to;
    for (size_t i = 0; i < length; i++) {
        random_state ^= random_state << 13;
        random_state ^= random_state >> 7;
        random_state ^= random_state << 17;
        bytes[i] = rng_broken ? 0 : (uint8_t)random_state;
    }
    return rng_broken ? RNG_ERROR_SEED : RNG_OK;
}

const char *modem_result_word(enum modem_result result)
{
    return result == MODEM_UNREACHABLE ? "unreachable" : result == MODEM_CLOSED ? "closed" : "ok";
}
enum modem_result modem_open(const char *host, uint16_t port)
{
    return calls.open(host, port) ? MODEM_OK : MODEM_UNREACHABLE;
}
enum modem_result modem_send(const uint8_t *data, size_t length)
{
    return calls.send(data, length) ? MODEM_OK : MODEM_CLOSED;
}
enum modem_result modem_receive(uint8_t *to, size_t capacity, uint32_t timeout_ms, size_t *length)
{
    int count = calls.receive(to, capacity, timeout_ms);
    *length = count > 0 ? (size_t)count : 0;
    if (count == 0)
        now_us += (uint64_t)timeout_ms * 1000 + 1000;
    return count < 0 ? MODEM_CLOSED : MODEM_OK;
}
void modem_close(void) { calls.close(); }

/* flat arguments for the test; texts of PEM must carry their NUL in the length */
int host_identity_parse(const uint8_t *anchors, size_t anchors_length, const uint8_t *certificate,
                        size_t certificate_length, const uint8_t *key, size_t key_length)
{
    struct credentials credentials = { .source = "test", .anchor_count = anchors_length ? 1 : 0 };
    credentials.anchors[0] = (struct blob){ anchors, anchors_length };
    credentials.certificate = (struct blob){ certificate, certificate_length };
    credentials.key = (struct blob){ key, key_length };
    return identity_parse(&identity, &credentials);
}
void host_identity_free(void) { identity_free(&identity); }
void host_identity_erase_key(void) { identity_erase_key(&identity); }
const uint8_t *host_fingerprint(void) { return identity.fingerprint; }
size_t host_skipped_count(void) { return identity.skipped_count; }
const uint8_t *host_skipped(size_t number) { return identity.skipped[number]; }

int host_tls_open(const char *host, uint16_t port, uint8_t versions, char word[64], uint8_t *alert)
{
    struct tls_status status = tls_open(host, port, versions, &identity);
    strncpy(word, status.word, 63);
    *alert = status.alert;
    return status.outcome;
}
int host_tls_send(const uint8_t *data, size_t length, char word[64], uint8_t *alert)
{
    struct tls_status status = tls_send(data, length);
    strncpy(word, status.word, 63);
    *alert = status.alert;
    return status.outcome;
}
int host_tls_receive(uint8_t *to, size_t capacity, uint32_t timeout_ms, size_t *length, char word[64])
{
    struct tls_status status = tls_receive(to, capacity, timeout_ms, length);
    strncpy(word, status.word, 63);
    return status.outcome;
}
