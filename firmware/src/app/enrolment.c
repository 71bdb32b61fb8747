/* SPDX-License-Identifier: Apache-2.0 */
/* AWS IoT developer guide, "Device provisioning MQTT API": two topics with /accepted and /rejected. Rotation has topics of
 * its own, because RegisterThing would take the old certificate out of use before the new one is in safety. */
#include "app/enrolment.h"
#include <string.h>
#include "mbedtls/base64.h"
#include "mbedtls/platform.h"
#include "mbedtls/psa_util.h"
#include "mbedtls/x509_crt.h"
#include "board/format.h"
#include "net/json.h"
#include "net/key_request.h"
#include "storage/wipe.h"

#define CREATE   "$aws/certificates/create-from-csr/json"
#define REGISTER "$aws/provisioning-templates/offchip/provision/json"
#define ROTATE   "offchip/things/%s/rotate"

/* Issuing takes the server a moment; what it does not answer in this time it will not. */
enum { ANSWER_MS = 20000, PEM_LINE = 48, REQUEST_SIZE = 1536, HEX_SIZE = 65, THING_ESCAPED_SIZE = 2 * 128 + 1 };

/* Too much for the stack; there while a request runs. */
struct work {
    mbedtls_pk_context key;
    unsigned char der[KEY_REQUEST_SIZE];
    const char *thing;
    char request[REQUEST_SIZE], pem[2048], token[1024];
    char topic[ENROLMENT_TOPIC_SIZE], accepted[ENROLMENT_TOPIC_SIZE], rejected[ENROLMENT_TOPIC_SIZE];
};

/* A text of the answer, by its name. */
struct member {
    const char *name;
    char *to;
    size_t size;
};

/* The answer that is waited for. */
static struct {
    const char *accepted, *rejected; /* topics */
    const struct member *members;
    size_t count;
    enum enrolment_result result; /* ENROLMENT_NO_ANSWER: not yet */
} awaited;

const char *enrolment_result_word(enum enrolment_result result)
{
    static const char *const words[] = {
        [ENROLMENT_OK] = "ok",
        [ENROLMENT_RNG] = "rng",
        [ENROLMENT_MEMORY] = "memory",
        [ENROLMENT_MQTT] = "mqtt",
        [ENROLMENT_NO_ANSWER] = "no-answer",
        [ENROLMENT_REJECTED] = "rejected",
        [ENROLMENT_BAD_ANSWER] = "bad-answer",
    };
    return words[result];
}

bool enrolment_is_on(const struct mqtt_publish *message, const char *topic)
{
    return message->topic_length == strlen(topic) && memcmp(message->topic, topic, message->topic_length) == 0;
}

void enrolment_message(struct mqtt_session *session, const struct mqtt_publish *message)
{
    if (awaited.result != ENROLMENT_NO_ANSWER) {
        return;
    }
    if (enrolment_is_on(message, awaited.rejected)) {
        awaited.result = ENROLMENT_REJECTED;
    } else if (enrolment_is_on(message, awaited.accepted)) {
        bool good = message->payload_at_hand == message->payload_length;
        for (size_t i = 0; i < awaited.count && good; i++) {
            const struct member *member = &awaited.members[i];
            good = json_text(message->payload, message->payload_length, member->name, member->to, member->size);
        }
        awaited.result = good ? ENROLMENT_OK : ENROLMENT_BAD_ANSWER;
    } else {
        return;
    }
    session->leave = true;
}

/* Publishes the request and waits for the answer on one of the topics. */
static enum enrolment_result ask(struct mqtt_session *session, const struct work *work, const struct member *members,
                                 size_t count, enum mqtt_result *failure)
{
    const char *topics[] = { work->accepted, work->rejected };
    uint8_t granted;
    *failure = MQTT_OK;
    for (size_t i = 0; i < 2 && *failure == MQTT_OK; i++) {
        *failure = mqtt_subscribe(session, topics[i], 1, &granted);
    }
    awaited.accepted = work->accepted;
    awaited.rejected = work->rejected;
    awaited.members = members;
    awaited.count = count;
    awaited.result = ENROLMENT_NO_ANSWER;
    session->leave = false;
    if (*failure == MQTT_OK) {
        *failure = mqtt_publish(session, work->topic, work->request, 1);
    }
    if (*failure == MQTT_OK) {
        *failure = mqtt_serve(session, deadline_in(ANSWER_MS));
    }
    enum enrolment_result result = *failure == MQTT_OK ? awaited.result : ENROLMENT_MQTT;
    session->leave = false;
    awaited.result = ENROLMENT_MQTT; /* nothing is waited for */
    return result;
}

/* {"certificateSigningRequest":"<PEM>"} with the line ends of PEM as JSON escapes. */
static bool write_request(struct work *work)
{
    size_t length = key_request_write(&work->key, work->der), written;
    char *to = work->request, *end = work->request + sizeof work->request;
    to +=
        format_to(to, (size_t)(end - to), "%s", "{\"certificateSigningRequest\":\"-----BEGIN CERTIFICATE REQUEST-----");
    for (size_t at = 0; at < length; at += PEM_LINE) {
        size_t n = length - at < PEM_LINE ? length - at : PEM_LINE;
        to += format_to(to, (size_t)(end - to), "\\n");
        if (mbedtls_base64_encode((unsigned char *)to, (size_t)(end - to), &written, work->der + at, n) != 0) {
            return false;
        }
        to += written;
    }
    const char *last = "\\n-----END CERTIFICATE REQUEST-----\\n\"}";
    return length > 0 && format_to(to, (size_t)(end - to), "%s", last) < (size_t)(end - to);
}

/* The certificate must be one, and for the key. */
static enum enrolment_result take_certificate(struct work *work, struct issued *out)
{
    mbedtls_x509_crt certificate;
    mbedtls_x509_crt_init(&certificate);
    enum enrolment_result result = ENROLMENT_BAD_ANSWER;
    if (mbedtls_x509_crt_parse(&certificate, (const unsigned char *)work->pem, strlen(work->pem) + 1) == 0 &&
        mbedtls_pk_check_pair(&certificate.pk, &work->key, mbedtls_psa_get_random, MBEDTLS_PSA_RANDOM_STATE) == 0) {
        int length = mbedtls_pk_write_key_der(&work->key, out->key, sizeof out->key);
        result = length > 0 && certificate.raw.len <= sizeof out->certificate ? ENROLMENT_OK : ENROLMENT_MEMORY;
        if (result == ENROLMENT_OK) {
            /* it is written from the end of the buffer */
            memmove(out->key, out->key + sizeof out->key - (size_t)length, (size_t)length);
            out->key_length = (size_t)length;
            memcpy(out->certificate, certificate.raw.p, certificate.raw.len);
            out->certificate_length = certificate.raw.len;
        }
    }
    mbedtls_x509_crt_free(&certificate);
    return result;
}

typedef enum enrolment_result dialogue_fn(struct mqtt_session *session, struct work *work, enum mqtt_result *failure);

/* A key, its request, what `dialogue` makes of it, the certificate. */
static enum enrolment_result obtain(struct mqtt_session *session, const char *thing, struct issued *out,
                                    enum mqtt_result *failure, dialogue_fn *dialogue)
{
    struct work *work = mbedtls_calloc(1, sizeof *work);
    enrolment_forget(out);
    *failure = MQTT_OK;
    if (work == NULL) {
        return ENROLMENT_MEMORY;
    }
    work->thing = thing;
    enum enrolment_result result = key_request_make_key(&work->key) ? ENROLMENT_OK : ENROLMENT_RNG;
    if (result == ENROLMENT_OK) {
        result = write_request(work) ? dialogue(session, work, failure) : ENROLMENT_MEMORY;
    }
    if (result == ENROLMENT_OK) {
        result = take_certificate(work, out);
    }
    mbedtls_pk_free(&work->key);
    wipe(work, sizeof *work);
    mbedtls_free(work);
    if (result != ENROLMENT_OK) {
        enrolment_forget(out);
    }
    return result;
}

static void set_answers(struct work *work, const char *topic)
{
    format_to(work->accepted, sizeof work->accepted, "%s/accepted", topic);
    format_to(work->rejected, sizeof work->rejected, "%s/rejected", topic);
}

static enum enrolment_result provision(struct mqtt_session *session, struct work *work, enum mqtt_result *failure)
{
    const struct member created[] = { { "certificatePem", work->pem, sizeof work->pem },
                                      { "certificateOwnershipToken", work->token, sizeof work->token } };
    char thing[THING_ESCAPED_SIZE];
    format_to(work->topic, sizeof work->topic, "%s", CREATE);
    set_answers(work, CREATE);
    enum enrolment_result result = ask(session, work, created, 2, failure);
    if (result != ENROLMENT_OK) {
        return result;
    }
    json_escape(thing, sizeof thing, work->thing);
    format_to(work->topic, sizeof work->topic, "%s", REGISTER);
    set_answers(work, REGISTER);
    size_t length =
        format_to(work->request, sizeof work->request,
                  "{\"certificateOwnershipToken\":\"%s\",\"parameters\":{\"ThingName\":\"%s\"}}", work->token, thing);
    return length < sizeof work->request ? ask(session, work, NULL, 0, failure) : ENROLMENT_MEMORY;
}

static enum enrolment_result renew(struct mqtt_session *session, struct work *work, enum mqtt_result *failure)
{
    const struct member renewed[] = { { "certificatePem", work->pem, sizeof work->pem } };
    char topic[ENROLMENT_TOPIC_SIZE];
    enrolment_rotate_topic(topic, work->thing);
    format_to(work->topic, sizeof work->topic, "%s/csr", topic);
    set_answers(work, topic);
    return ask(session, work, renewed, 1, failure);
}

enum enrolment_result enrolment_register(struct mqtt_session *session, const char *thing, struct issued *out,
                                         enum mqtt_result *failure)
{
    return obtain(session, thing, out, failure, provision);
}

enum enrolment_result enrolment_renew(struct mqtt_session *session, const char *thing, struct issued *out,
                                      enum mqtt_result *failure)
{
    return obtain(session, thing, out, failure, renew);
}

void enrolment_rotate_topic(char to[ENROLMENT_TOPIC_SIZE], const char *thing)
{
    format_to(to, ENROLMENT_TOPIC_SIZE, "offchip/things/%s/rotate", thing);
}

/* AWS IoT's certificateId: SHA-256 of the DER. */
static void write_id(char to[HEX_SIZE], const uint8_t fingerprint[32])
{
    for (size_t i = 0; i < 32; i++) {
        format_to(to + 2 * i, HEX_SIZE - 2 * i, "%02x", fingerprint[i]);
    }
}

bool enrolment_is_about(const struct mqtt_publish *request, const uint8_t fingerprint[32])
{
    char id[HEX_SIZE], own[HEX_SIZE];
    write_id(own, fingerprint);
    return json_text(request->payload, request->payload_at_hand, "certificateId", id, sizeof id) &&
           strcmp(id, own) == 0;
}

enum mqtt_result enrolment_confirm(struct mqtt_session *session, const char *thing, const uint8_t fingerprint[32])
{
    char rotate[ENROLMENT_TOPIC_SIZE], topic[ENROLMENT_TOPIC_SIZE + 8], payload[HEX_SIZE + 32], id[HEX_SIZE];
    write_id(id, fingerprint);
    enrolment_rotate_topic(rotate, thing);
    format_to(topic, sizeof topic, "%s/done", rotate);
    format_to(payload, sizeof payload, "{\"certificateId\":\"%s\"}", id);
    return mqtt_publish(session, topic, payload, 1);
}

void enrolment_forget(struct issued *issued)
{
    wipe(issued, sizeof *issued);
}
