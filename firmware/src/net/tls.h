/* SPDX-License-Identifier: Apache-2.0 */
/* One TLS client session over the modem's connection: mutual authentication, host name and validity checked. */
#ifndef TLS_H
#define TLS_H
#include <stddef.h>
#include <stdint.h>
#include "net/identity.h"

enum tls_outcome {
    TLS_OK,
    TLS_REFUSED, /* we refuse the server; `word` says why (SPEC section 6) */
    TLS_ALERT,   /* the server refused us; `alert` and `word` are the alert's number and name */
    TLS_ERROR    /* neither: closed, timed out, unreachable ... */
};

struct tls_status {
    enum tls_outcome outcome;
    const char *word;
    uint8_t alert;
};

/* Connects and shakes hands; `versions` as in the configuration. `identity` must live until tls_close. */
struct tls_status tls_open(const char *host, uint16_t port, uint8_t versions, struct identity *identity);

const char *tls_version_word(void); /* TLSv1.2, TLSv1.3 */
const char *tls_suite_word(void);   /* IANA name */

struct tls_status tls_send(const uint8_t *data, size_t length);

/* Takes 1..capacity bytes; *length 0 with TLS_OK: nothing in `timeout_ms`. */
struct tls_status tls_receive(uint8_t *to, size_t capacity, uint32_t timeout_ms, size_t *length);

void tls_close(void); /* says good-bye if it can; session secrets are overwritten */
#endif
