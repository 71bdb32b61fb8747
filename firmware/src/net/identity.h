/* SPDX-License-Identifier: Apache-2.0 */
/* The credentials as Mbed TLS objects, checked for fitting together. */
#ifndef IDENTITY_H
#define IDENTITY_H
#include <stddef.h>
#include <stdint.h>
#include "mbedtls/pk.h"
#include "mbedtls/x509_crt.h"
#include "vault/credentials.h"

enum identity_result {
    IDENTITY_OK,
    IDENTITY_CERTIFICATE_MALFORMED,
    IDENTITY_KEY_MALFORMED, /* not a private key for P-256, P-384 or RSA-2048 */
    IDENTITY_ANCHOR_MALFORMED,
    IDENTITY_KEY_MISMATCH /* the key is not that of the certificate */
};

struct identity {
    mbedtls_x509_crt anchors;
    mbedtls_x509_crt certificate;
    mbedtls_pk_context key;
    uint8_t fingerprint[32]; /* SHA-256 of the device certificate's DER */
    size_t skipped_count;    /* anchors of a kind we do not have: signed with SHA-1, of another curve ... */
    uint8_t skipped[CONFIG_ANCHORS_MAX][32]; /* SHA-256 of the first of them */
};

const char *identity_result_word(enum identity_result result);

/* Copies what it needs, so the credentials may be wiped afterwards. Whatever the result, identity_free must follow. */
enum identity_result identity_parse(struct identity *identity, const struct credentials *credentials);

/* For tamper, also in an interrupt: overwrites the private key; the identity can do nothing any more but be freed. */
void identity_erase_key(struct identity *identity);

void identity_free(struct identity *identity); /* the private key is overwritten */
#endif
