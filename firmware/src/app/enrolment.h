/* SPDX-License-Identifier: Apache-2.0 */
/* How a device gets an identity of its own, and a new one in place of it: SPEC section 11. The key pair is made on the
 * chip and never leaves it; over MQTT goes a request to certify it. */
#ifndef ENROLMENT_H
#define ENROLMENT_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "net/mqtt.h"

/* What was got, in DER, until the vault has it. key_length 0: nothing. */
struct issued {
    uint8_t key[160];
    size_t key_length;
    uint8_t certificate[1984];
    size_t certificate_length;
};

enum enrolment_result {
    ENROLMENT_OK,
    ENROLMENT_RNG,       /* no good random numbers: no key */
    ENROLMENT_MEMORY,    /* none left, or something does not fit */
    ENROLMENT_MQTT,      /* the session failed: *failure */
    ENROLMENT_NO_ANSWER, /* in time */
    ENROLMENT_REJECTED,  /* the server says no */
    ENROLMENT_BAD_ANSWER /* no certificate, or not one for the key */
};

enum { ENROLMENT_TOPIC_SIZE = 192 };

const char *enrolment_result_word(enum enrolment_result result);

/* With the claim identity connected: CreateCertificateFromCsr, then RegisterThing for `thing`. The session's on_message
 * must hand on to enrolment_message. *failure: of MQTT. */
enum enrolment_result enrolment_register(struct mqtt_session *session, const char *thing, struct issued *out,
                                         enum mqtt_result *failure);

/* Connected as itself, when asked to: a new certificate for a new key. */
enum enrolment_result enrolment_renew(struct mqtt_session *session, const char *thing, struct issued *out,
                                      enum mqtt_result *failure);

/* Tells the owner which certificate is in use from now on. */
enum mqtt_result enrolment_confirm(struct mqtt_session *session, const char *thing, const uint8_t fingerprint[32]);

/* The owner's request, to be subscribed to. */
void enrolment_rotate_topic(char to[ENROLMENT_TOPIC_SIZE], const char *thing);

/* Takes a message that may be the answer waited for; it makes the session leave. */
void enrolment_message(struct mqtt_session *session, const struct mqtt_publish *message);

/* The message is on this topic. */
bool enrolment_is_on(const struct mqtt_publish *message, const char *topic);

/* A request to replace the certificate with this fingerprint; if not, one to replace another. */
bool enrolment_is_about(const struct mqtt_publish *request, const uint8_t fingerprint[32]);

void enrolment_forget(struct issued *issued); /* the key is overwritten */
#endif
