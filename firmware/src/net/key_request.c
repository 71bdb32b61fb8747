/* SPDX-License-Identifier: Apache-2.0 */
#include "net/key_request.h"
#include <string.h>
#include "mbedtls/ecp.h"
#include "mbedtls/psa_util.h"
#include "mbedtls/x509_csr.h"
#include "drivers/rng.h"

/* As f_rng of Mbed TLS. */
static int hardware_random(void *context, unsigned char *to, size_t length)
{
    (void)context;
    return rng_fill(to, length) == RNG_OK ? 0 : MBEDTLS_ERR_ECP_RANDOM_FAILED;
}

bool key_request_make_key(mbedtls_pk_context *key)
{
    mbedtls_pk_init(key);
    return mbedtls_pk_setup(key, mbedtls_pk_info_from_type(MBEDTLS_PK_ECKEY)) == 0 &&
           mbedtls_ecp_gen_key(MBEDTLS_ECP_DP_SECP256R1, mbedtls_pk_ec(*key), hardware_random, NULL) == 0;
}

size_t key_request_write(mbedtls_pk_context *key, unsigned char to[KEY_REQUEST_SIZE])
{
    mbedtls_x509write_csr request;
    mbedtls_x509write_csr_init(&request);
    mbedtls_x509write_csr_set_md_alg(&request, MBEDTLS_MD_SHA256);
    mbedtls_x509write_csr_set_key(&request, key);
    int length = mbedtls_x509write_csr_set_subject_name(&request, "CN=offchip device");
    if (length == 0) {
        length =
            mbedtls_x509write_csr_der(&request, to, KEY_REQUEST_SIZE, mbedtls_psa_get_random, MBEDTLS_PSA_RANDOM_STATE);
    }
    mbedtls_x509write_csr_free(&request);
    if (length <= 0) {
        return 0;
    }
    /* it is written from the end of the buffer */
    memmove(to, to + KEY_REQUEST_SIZE - (size_t)length, (size_t)length);
    return (size_t)length;
}
