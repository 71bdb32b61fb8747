/* SPDX-License-Identifier: Apache-2.0 */
#include "net/identity.h"
#include <stdbool.h>
#include <string.h>
#include "mbedtls/error.h"
#include "mbedtls/pem.h"
#include "mbedtls/platform_util.h"
#include "mbedtls/psa_util.h"
#include "psa/crypto.h"

enum { P256_BITS = 256, P384_BITS = 384, RSA_BITS = 2048 };

const char *identity_result_word(enum identity_result result)
{
    static const char *const words[] = {
        [IDENTITY_OK] = "ok",
        [IDENTITY_CERTIFICATE_MALFORMED] = "certificate-malformed",
        [IDENTITY_KEY_MALFORMED] = "key-malformed",
        [IDENTITY_ANCHOR_MALFORMED] = "anchor-malformed",
        [IDENTITY_KEY_MISMATCH] = "key-mismatch",
    };
    return words[result];
}

/* The kinds that fit the places of SPEC section 9. */
static bool supported(const mbedtls_pk_context *key)
{
    size_t bits = mbedtls_pk_get_bitlen(key);
    switch (mbedtls_pk_get_type(key)) {
    case MBEDTLS_PK_ECKEY:
        return bits == P256_BITS || bits == P384_BITS;
    case MBEDTLS_PK_RSA:
        return bits == RSA_BITS;
    default:
        return false;
    }
}

/* The certificate is well formed as far as it was read, and of a kind this build does not have. */
static bool unsupported(int error)
{
    switch (-(-error & 0xFF80)) {
    case MBEDTLS_ERR_X509_UNKNOWN_SIG_ALG:
    case MBEDTLS_ERR_X509_FEATURE_UNAVAILABLE:
    case MBEDTLS_ERR_PK_UNKNOWN_PK_ALG:
    case MBEDTLS_ERR_PK_UNKNOWN_NAMED_CURVE:
    case MBEDTLS_ERR_PK_FEATURE_UNAVAILABLE:
        return true;
    default:
        return false;
    }
}

/* An authority of an unsupported kind could vouch for nobody: it does not take the others down. */
static bool add_anchor(struct identity *identity, const uint8_t *der, size_t length)
{
    size_t hash_length;
    int error = mbedtls_x509_crt_parse_der(&identity->anchors, der, length);
    if (error == 0)
        return true;
    if (!unsupported(error))
        return false;
    if (identity->skipped_count < CONFIG_ANCHORS_MAX &&
        psa_hash_compute(PSA_ALG_SHA_256, der, length, identity->skipped[identity->skipped_count], 32, &hash_length) !=
            PSA_SUCCESS)
        return false;
    identity->skipped_count++;
    return true;
}

/* One certificate in DER, or a NUL-terminated text with any number in PEM; no trust in half a file. */
static bool add_anchors(struct identity *identity, const struct blob *blob)
{
    static const char begin[] = "-----BEGIN CERTIFICATE-----", end[] = "-----END CERTIFICATE-----";
    const uint8_t *text = blob->data;
    if (blob->length == 0 || text[blob->length - 1] != 0 || strstr((const char *)text, begin) == NULL)
        return add_anchor(identity, blob->data, blob->length);
    bool good = true;
    while (good && strstr((const char *)text, begin) != NULL) {
        mbedtls_pem_context pem;
        size_t used;
        mbedtls_pem_init(&pem);
        good = mbedtls_pem_read_buffer(&pem, begin, end, text, NULL, 0, &used) == 0;
        if (good) {
            size_t length;
            const unsigned char *der = mbedtls_pem_get_buffer(&pem, &length);
            good = add_anchor(identity, der, length);
            text += used;
        }
        mbedtls_pem_free(&pem);
    }
    return good;
}

enum identity_result identity_parse(struct identity *identity, const struct credentials *credentials)
{
    size_t fingerprint_length;
    mbedtls_x509_crt_init(&identity->anchors);
    mbedtls_x509_crt_init(&identity->certificate);
    mbedtls_pk_init(&identity->key);

    identity->skipped_count = 0;
    for (size_t i = 0; i < credentials->anchor_count; i++) {
        if (!add_anchors(identity, &credentials->anchors[i])) {
            return IDENTITY_ANCHOR_MALFORMED;
        }
    }
    if (identity->anchors.version == 0) { /* none is left */
        return IDENTITY_ANCHOR_MALFORMED;
    }
    if (mbedtls_x509_crt_parse(&identity->certificate, credentials->certificate.data,
                               credentials->certificate.length) != 0 ||
        psa_hash_compute(PSA_ALG_SHA_256, identity->certificate.raw.p, identity->certificate.raw.len,
                         identity->fingerprint, sizeof identity->fingerprint, &fingerprint_length) != PSA_SUCCESS) {
        return IDENTITY_CERTIFICATE_MALFORMED;
    }
    if (mbedtls_pk_parse_key(&identity->key, credentials->key.data, credentials->key.length, NULL, 0,
                             mbedtls_psa_get_random, MBEDTLS_PSA_RANDOM_STATE) != 0 ||
        !supported(&identity->key)) {
        return IDENTITY_KEY_MALFORMED;
    }
    if (mbedtls_pk_check_pair(&identity->certificate.pk, &identity->key, mbedtls_psa_get_random,
                              MBEDTLS_PSA_RANDOM_STATE) != 0) {
        return IDENTITY_KEY_MISMATCH;
    }
    return IDENTITY_OK;
}

/* The number stays where it is: whoever is computing with it goes on, with zero. */
static void erase(mbedtls_mpi *number)
{
    mbedtls_platform_zeroize(number->MBEDTLS_PRIVATE(p),
                             number->MBEDTLS_PRIVATE(n) * sizeof *number->MBEDTLS_PRIVATE(p));
}

static void erase_rsa(mbedtls_rsa_context *rsa)
{
    erase(&rsa->MBEDTLS_PRIVATE(D));
    erase(&rsa->MBEDTLS_PRIVATE(P));
    erase(&rsa->MBEDTLS_PRIVATE(Q));
    erase(&rsa->MBEDTLS_PRIVATE(DP));
    erase(&rsa->MBEDTLS_PRIVATE(DQ));
    erase(&rsa->MBEDTLS_PRIVATE(QP));
    erase(&rsa->MBEDTLS_PRIVATE(RP)); /* R^2 mod P is as good as P */
    erase(&rsa->MBEDTLS_PRIVATE(RQ));
    erase(&rsa->MBEDTLS_PRIVATE(Vi));
    erase(&rsa->MBEDTLS_PRIVATE(Vf));
}

void identity_erase_key(struct identity *identity)
{
    switch (mbedtls_pk_get_type(&identity->key)) {
    case MBEDTLS_PK_ECKEY:
        erase(&mbedtls_pk_ec(identity->key)->MBEDTLS_PRIVATE(d));
        break;
    case MBEDTLS_PK_RSA:
        erase_rsa(mbedtls_pk_rsa(identity->key));
        break;
    default:
        break;
    }
}

void identity_free(struct identity *identity)
{
    mbedtls_pk_free(&identity->key);
    mbedtls_x509_crt_free(&identity->certificate);
    mbedtls_x509_crt_free(&identity->anchors);
}
