/* SPDX-License-Identifier: Apache-2.0 */
/* The configuration page of the device, SPEC sections 1 and 2, and the marks in the tail of its sector. */
#ifndef CONFIG_H
#define CONFIG_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "storage/tlv.h"
#include "vault/medium.h"
#include "vault/scheme.h"

enum { CONFIG_TOPICS_MAX = 8, CONFIG_ANCHORS_MAX = 8, CONFIG_TOPIC_LENGTH = 256 };

enum { CONFIG_TLS12 = 1, CONFIG_TLS13 = 2 }; /* bits of tls_versions */

/* Bits of enrolment: the factory gives no credentials, the device gets them by its claim identity; those that are lost
 * are given up and got anew by it; the owner may ask for new ones. */
enum { CONFIG_ENROL_FIRST = 1, CONFIG_ENROL_LOST = 2, CONFIG_ROTATE = 4 };

/* `length` bytes at `data`; PEM texts are NUL-terminated and count the NUL, as the parsers of Mbed TLS expect. */
struct blob {
    const uint8_t *data;
    size_t length;
};

/* Texts are NUL-terminated and hold no control characters. Blobs point into the page. */
struct device_config {
    const struct scheme *scheme;
    const struct medium *medium; /* one with functions if the scheme uses one */
    char thing[129];
    char client_id[129]; /* the thing name if the page has none */
    char host[254];
    uint16_t port;
    size_t publish_count;                                     /* at least 1 */
    char publish[CONFIG_TOPICS_MAX][CONFIG_TOPIC_LENGTH + 1]; /* [0] with QoS 1, the others with QoS 0 */
    size_t subscribe_count;                                   /* may be 0 */
    char subscribe[CONFIG_TOPICS_MAX][CONFIG_TOPIC_LENGTH + 1];
    char sntp_host[254]; /* "" if absent */
    uint32_t interval_ms;
    uint16_t keep_alive_s;
    uint8_t tls_versions;      /* CONFIG_TLS12 | CONFIG_TLS13, never 0 */
    char ssid[33];             /* "" if absent */
    char passphrase[65];       /* "" if absent */
    bool tamper_erases;        /* an open lid destroys secret and keys; otherwise it is only reported */
    bool secret_injected;      /* the factory gave the device secret: a reset cannot make another one */
    struct blob card_password; /* length 0 if absent */
    size_t anchor_count;       /* scheme internal only, else 0 */
    struct blob anchors[CONFIG_ANCHORS_MAX];
    struct blob certificate;
    struct blob key;   /* also where it has been erased since: bytes 0 */
    uint8_t enrolment; /* CONFIG_ENROL_FIRST ... */
    struct blob claim_certificate, claim_key;
    size_t claim_anchor_count;
    struct blob claim_anchors[CONFIG_ANCHORS_MAX];
};

enum config_error { CONFIG_OK, CONFIG_MISSING, CONFIG_VERSION, CONFIG_CRC, CONFIG_FIELD };

/* Reads a page in memory. With CONFIG_FIELD, *field is the tag that is missing, repeated or malformed. */
enum config_error config_parse(struct device_config *config, const uint8_t *page, size_t capacity, uint16_t *field);

/* config_parse of the page in flash sector 1, whose private key may have been erased. After tamper its CRC is not asked. */
enum config_error config_load(struct device_config *config, uint16_t *field);

/* Erases the private key of the credentials from the page, which stays good: a newer key is elsewhere, or none is wanted.
 * After a cut to be called again. false: the flash refuses. */
bool config_erase_key(void);

/* The mark of a tamper event, and what it does to the page: every private key in it becomes zeros, without care for its
 * CRC. Also in an interrupt. */
bool config_tampered(void);
void config_mark_tampered(void);
void config_burn_keys(void);
#endif
