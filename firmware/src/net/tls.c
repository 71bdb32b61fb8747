/* SPDX-License-Identifier: Apache-2.0 */
#include "net/tls.h"
#include <stdbool.h>
#include "mbedtls/psa_util.h"
#include "mbedtls/ssl.h"
#include "mbedtls/ssl_ciphersuites.h"
#include "board/clock.h"
#include "net/modem.h"
#include "net/tls_platform.h"
#include "vault/config.h"

enum { HANDSHAKE_MS = 30000, ALERT_MS = 200 };

static struct {
    mbedtls_ssl_context ssl;
    mbedtls_ssl_config config;
    deadline_t deadline;    /* of the call that runs */
    enum modem_result line; /* why the connection below failed */
    bool established;
} tls;

/* Offered in this order: what AWS IoT recommends first, AES-128 before AES-256 for speed. */
static const int SUITES[] = { MBEDTLS_TLS1_3_AES_128_GCM_SHA256,
                              MBEDTLS_TLS1_3_AES_256_GCM_SHA384,
                              MBEDTLS_TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
                              MBEDTLS_TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
                              MBEDTLS_TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
                              MBEDTLS_TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
                              0 };
static const char *const SUITE_WORDS[] = {
    "TLS_AES_128_GCM_SHA256",
    "TLS_AES_256_GCM_SHA384",
    "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256",
    "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256",
    "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384",
    "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384",
};

/* RFC 8446 section 6 and RFC 5246 section 7.2 */
static const struct {
    uint8_t number;
    const char *word;
} ALERTS[] = {
    { 0, "close_notify" },
    { 10, "unexpected_message" },
    { 20, "bad_record_mac" },
    { 21, "decryption_failed" },
    { 22, "record_overflow" },
    { 30, "decompression_failure" },
    { 40, "handshake_failure" },
    { 42, "bad_certificate" },
    { 43, "unsupported_certificate" },
    { 44, "certificate_revoked" },
    { 45, "certificate_expired" },
    { 46, "certificate_unknown" },
    { 47, "illegal_parameter" },
    { 48, "unknown_ca" },
    { 49, "access_denied" },
    { 50, "decode_error" },
    { 51, "decrypt_error" },
    { 70, "protocol_version" },
    { 71, "insufficient_security" },
    { 80, "internal_error" },
    { 86, "inappropriate_fallback" },
    { 90, "user_canceled" },
    { 100, "no_renegotiation" },
    { 109, "missing_extension" },
    { 110, "unsupported_extension" },
    { 112, "unrecognized_name" },
    { 113, "bad_certificate_status_response" },
    { 115, "unknown_psk_identity" },
    { 116, "certificate_required" },
    { 120, "no_application_protocol" },
};

static const struct tls_status SUCCESS = { TLS_OK, "ok", 0 };

/* During the handshake a closed connection swallows what we send, as a TCP socket does: the server's reason to hang up,
 * an alert, may still lie unread, and only the next reading state of Mbed TLS can make sense of it. */
static int line_send(void *context, const unsigned char *data, size_t length)
{
    (void)context;
    tls.line = modem_send(data, length);
    if (tls.line == MODEM_CLOSED && !tls.established) {
        return (int)length;
    }
    return tls.line == MODEM_OK ? (int)length : MBEDTLS_ERR_SSL_CONN_EOF;
}

static int line_receive(void *context, unsigned char *to, size_t capacity)
{
    (void)context;
    int32_t left = (int32_t)(tls.deadline - time_ms());
    size_t length;
    tls.line = modem_receive(to, capacity, left > 0 ? (uint32_t)left : 0, &length);
    if (tls.line != MODEM_OK) {
        return MBEDTLS_ERR_SSL_CONN_EOF;
    }
    return length > 0 ? (int)length : MBEDTLS_ERR_SSL_TIMEOUT;
}

static const char *alert_word(uint8_t number)
{
    for (size_t i = 0; i < sizeof ALERTS / sizeof ALERTS[0]; i++) {
        if (ALERTS[i].number == number) {
            return ALERTS[i].word;
        }
    }
    return "unknown";
}

/* Several flags may be set; a chain that leads nowhere makes every other statement in it worthless, so it comes first. */
static const char *certificate_word(uint32_t flags)
{
    if (flags & MBEDTLS_X509_BADCERT_NOT_TRUSTED) {
        return "untrusted-ca";
    }
    if (flags & MBEDTLS_X509_BADCERT_EXPIRED) {
        return "expired";
    }
    if (flags & MBEDTLS_X509_BADCERT_FUTURE) {
        return "not-yet-valid";
    }
    return flags & MBEDTLS_X509_BADCERT_CN_MISMATCH ? "host-name" : "bad-certificate";
}

static bool is_certificate_error(int code) /* of the X.509 and public key modules (mbedtls/error.h) */
{
    return (code <= -0x2000 && code >= -0x2FFF) || (code <= -0x3B00 && code >= -0x3FFF);
}

static struct tls_status explain(int code)
{
    uint32_t flags;
    switch (code) {
    case MBEDTLS_ERR_SSL_FATAL_ALERT_MESSAGE: {
        uint8_t alert = tls.ssl.MBEDTLS_PRIVATE(in_msg)[1];
        return (struct tls_status){ TLS_ALERT, alert_word(alert), alert };
    }
    case MBEDTLS_ERR_SSL_PEER_CLOSE_NOTIFY:
        return (struct tls_status){ TLS_ERROR, "closed", 0 };
    case MBEDTLS_ERR_SSL_CONN_EOF:
        return (struct tls_status){ TLS_ERROR, tls.line == MODEM_OK ? "closed" : modem_result_word(tls.line), 0 };
    case MBEDTLS_ERR_SSL_TIMEOUT:
        return (struct tls_status){ TLS_ERROR, "timeout", 0 };
    case MBEDTLS_ERR_SSL_ALLOC_FAILED:
    case MBEDTLS_ERR_X509_ALLOC_FAILED:
        return (struct tls_status){ TLS_ERROR, "memory", 0 };
    case MBEDTLS_ERR_X509_CERT_VERIFY_FAILED:
    case MBEDTLS_ERR_SSL_BAD_CERTIFICATE:
        flags = mbedtls_ssl_get_verify_result(&tls.ssl);
        return (struct tls_status){ TLS_REFUSED, flags == UINT32_MAX ? "bad-certificate" : certificate_word(flags), 0 };
    default:
        break;
    }
    if (tls_platform_random_failed()) {
        return (struct tls_status){ TLS_ERROR, "rng", 0 };
    }
    if (is_certificate_error(code)) {
        return (struct tls_status){ TLS_REFUSED, "bad-certificate", 0 };
    }
    return (struct tls_status){ TLS_REFUSED, "protocol", 0 };
}

static int prepare(const char *host, uint8_t versions, struct identity *identity)
{
    mbedtls_ssl_config *config = &tls.config;
    int code = mbedtls_ssl_config_defaults(config, MBEDTLS_SSL_IS_CLIENT, MBEDTLS_SSL_TRANSPORT_STREAM,
                                           MBEDTLS_SSL_PRESET_DEFAULT);
    if (code != 0) {
        return code;
    }
    mbedtls_ssl_conf_authmode(config, MBEDTLS_SSL_VERIFY_REQUIRED);
    mbedtls_ssl_conf_ca_chain(config, &identity->anchors, NULL);
    mbedtls_ssl_conf_rng(config, mbedtls_psa_get_random, MBEDTLS_PSA_RANDOM_STATE);
    mbedtls_ssl_conf_ciphersuites(config, SUITES);
    mbedtls_ssl_conf_min_tls_version(config,
                                     versions & CONFIG_TLS12 ? MBEDTLS_SSL_VERSION_TLS1_2 : MBEDTLS_SSL_VERSION_TLS1_3);
    mbedtls_ssl_conf_max_tls_version(config,
                                     versions & CONFIG_TLS13 ? MBEDTLS_SSL_VERSION_TLS1_3 : MBEDTLS_SSL_VERSION_TLS1_2);
    code = mbedtls_ssl_conf_own_cert(config, &identity->certificate, &identity->key);
    if (code == 0) {
        code = mbedtls_ssl_setup(&tls.ssl, config);
    }
    if (code == 0) {
        code = mbedtls_ssl_set_hostname(&tls.ssl, host);
    }
    mbedtls_ssl_set_bio(&tls.ssl, NULL, line_send, line_receive, NULL);
    return code;
}

struct tls_status tls_open(const char *host, uint16_t port, uint8_t versions, struct identity *identity)
{
    mbedtls_ssl_init(&tls.ssl);
    mbedtls_ssl_config_init(&tls.config);
    tls.established = false;
    tls.line = modem_open(host, port);
    if (tls.line != MODEM_OK) {
        return (struct tls_status){ TLS_ERROR, modem_result_word(tls.line), 0 };
    }
    tls.deadline = deadline_in(HANDSHAKE_MS);
    int code = prepare(host, versions, identity);
    if (code == 0) {
        code = mbedtls_ssl_handshake(&tls.ssl);
    }
    if (code != 0) {
        return explain(code);
    }
    tls.established = true;
    return SUCCESS;
}

const char *tls_version_word(void)
{
    return mbedtls_ssl_get_version(&tls.ssl);
}

const char *tls_suite_word(void)
{
    int suite = mbedtls_ssl_get_ciphersuite_id_from_ssl(&tls.ssl);
    for (size_t i = 0; SUITES[i] != 0; i++) {
        if (SUITES[i] == suite) {
            return SUITE_WORDS[i];
        }
    }
    return "unknown";
}

struct tls_status tls_send(const uint8_t *data, size_t length)
{
    while (length > 0) {
        int sent = mbedtls_ssl_write(&tls.ssl, data, length);
        if (sent <= 0) {
            struct tls_status failure = explain(sent);
            /* a server that refuses us says so and hangs up: its alert may lie unread before the end */
            uint8_t rest[64];
            size_t rest_length;
            struct tls_status last = tls_receive(rest, sizeof rest, ALERT_MS, &rest_length);
            tls.established = false;
            return last.outcome == TLS_ALERT ? last : failure;
        }
        data += sent;
        length -= (size_t)sent;
    }
    return SUCCESS;
}

struct tls_status tls_receive(uint8_t *to, size_t capacity, uint32_t timeout_ms, size_t *length)
{
    tls.deadline = deadline_in(timeout_ms);
    *length = 0;
    int code = mbedtls_ssl_read(&tls.ssl, to, capacity);
    if (code > 0) {
        *length = (size_t)code;
        return SUCCESS;
    }
    if (code == MBEDTLS_ERR_SSL_TIMEOUT || code == MBEDTLS_ERR_SSL_WANT_READ) {
        return SUCCESS;
    }
    tls.established = false;
    return explain(code == 0 ? MBEDTLS_ERR_SSL_CONN_EOF : code);
}

void tls_close(void)
{
    if (tls.established) {
        (void)mbedtls_ssl_close_notify(&tls.ssl);
        tls.established = false;
    }
    modem_close();
    mbedtls_ssl_free(&tls.ssl);
    mbedtls_ssl_config_free(&tls.config);
}
