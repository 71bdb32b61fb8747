/* SPDX-License-Identifier: Apache-2.0 */
/* MQTT 3.1.1 client session (OASIS standard, section 4) over any byte stream: clean session, QoS 0 and 1. Every call is
 * bounded in time; what the server sends meanwhile is served inside it. */
#ifndef MQTT_H
#define MQTT_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "board/clock.h"
#include "net/mqtt_packet.h"

/* Received is what the largest message takes that is not only counted: a certificate in PEM with its ownership token. */
enum { MQTT_INPUT_SIZE = 3072, MQTT_OUTPUT_SIZE = 2048 };

enum mqtt_result {
    MQTT_OK,
    MQTT_REFUSED,       /* CONNACK with `return_code` */
    MQTT_STREAM_FAILED, /* the stream below knows why */
    MQTT_NO_CONNACK,
    MQTT_NO_SUBACK,
    MQTT_NO_PUBACK,
    MQTT_NO_PINGRESP,
    MQTT_SUBSCRIBE_REFUSED,
    MQTT_BAD_PACKET, /* malformed, or not allowed now */
    MQTT_TOO_LARGE   /* a packet of ours does not fit the buffer */
};

struct mqtt_stream {
    void *context;
    bool (*send)(void *context, const uint8_t *data, size_t length);
    /* Takes 1..capacity bytes; *length 0: nothing in `timeout_ms`. Both: false when the stream has failed. */
    bool (*receive)(void *context, uint8_t *to, size_t capacity, uint32_t timeout_ms, size_t *length);
};

struct mqtt_session {
    struct mqtt_stream stream;
    void (*on_message)(const struct mqtt_publish *message); /* payload: as much as fitted the buffer */
    bool leave;                                             /* on_message sets it: mqtt_serve returns at once */
    uint16_t keep_alive_s;
    uint8_t return_code; /* of the last CONNACK */
    bool connected;
    uint16_t last_packet_id;
    deadline_t ping_due, ping_answer_due;
    bool ping_waiting;
    uint8_t input[MQTT_INPUT_SIZE], output[MQTT_OUTPUT_SIZE];
    size_t input_length;
    uint32_t skip;          /* bytes of a large payload still to be dropped */
    enum mqtt_type awaited; /* 0: nothing */
    uint16_t awaited_id;
    struct mqtt_packet answer;
};

const char *mqtt_result_word(enum mqtt_result result);

/* Sends CONNECT and waits for CONNACK. The caller has set stream and on_message. */
enum mqtt_result mqtt_open(struct mqtt_session *session, const char *client_id, uint16_t keep_alive_s);

enum mqtt_result mqtt_subscribe(struct mqtt_session *session, const char *filter, uint8_t qos, uint8_t *granted);

/* QoS 1: returns when PUBACK has come; sends again with DUP if it does not. */
enum mqtt_result mqtt_publish(struct mqtt_session *session, const char *topic, const char *payload, uint8_t qos);

/* Serves the session (messages, keep-alive) until `until`, or until a message makes it leave. */
enum mqtt_result mqtt_serve(struct mqtt_session *session, deadline_t until);

void mqtt_close(struct mqtt_session *session); /* sends DISCONNECT if connected */
#endif
