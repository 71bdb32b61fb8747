/* SPDX-License-Identifier: Apache-2.0 */
#include "net/mqtt.h"
#include <string.h>

enum { ANSWER_MS = 10000, TRIES = 3, PING_MARGIN_DIVISOR = 4 };

const char *mqtt_result_word(enum mqtt_result result)
{
    static const char *const words[] = {
        [MQTT_OK] = "ok",
        [MQTT_REFUSED] = "refused",
        [MQTT_STREAM_FAILED] = "closed",
        [MQTT_NO_CONNACK] = "no-connack",
        [MQTT_NO_SUBACK] = "no-suback",
        [MQTT_NO_PUBACK] = "no-puback",
        [MQTT_NO_PINGRESP] = "no-pingresp",
        [MQTT_SUBSCRIBE_REFUSED] = "subscribe-refused",
        [MQTT_BAD_PACKET] = "bad-packet",
        [MQTT_TOO_LARGE] = "too-large",
    };
    return words[result];
}

static uint32_t left_of(deadline_t deadline)
{
    int32_t left = (int32_t)(deadline - time_ms());
    return left > 0 ? (uint32_t)left : 0;
}

/* Whichever of the two comes first. */
static deadline_t earlier(deadline_t a, deadline_t b)
{
    return (int32_t)(a - b) < 0 ? a : b;
}

static enum mqtt_result send_packet(struct mqtt_session *session, size_t length)
{
    if (length == 0) {
        return MQTT_TOO_LARGE;
    }
    if (!session->stream.send(session->stream.context, session->output, length)) {
        return MQTT_STREAM_FAILED;
    }
    /* keep-alive counts from the last packet we sent (MQTT-3.1.2-23); ping well before it runs out */
    uint32_t period_ms = session->keep_alive_s * 1000u;
    session->ping_due = deadline_in(period_ms - period_ms / PING_MARGIN_DIVISOR);
    return MQTT_OK;
}

static enum mqtt_result on_publish(struct mqtt_session *session, const struct mqtt_publish *publish)
{
    if (publish->qos > 1) {
        return MQTT_BAD_PACKET; /* nobody subscribed with QoS 2 */
    }
    session->on_message(publish);
    if (publish->qos == 0) {
        return MQTT_OK;
    }
    uint8_t puback[4];
    size_t length = mqtt_encode_puback(puback, sizeof puback, publish->packet_id);
    return session->stream.send(session->stream.context, puback, length) ? MQTT_OK : MQTT_STREAM_FAILED;
}

static enum mqtt_result on_packet(struct mqtt_session *session, const struct mqtt_packet *packet)
{
    enum mqtt_type type = packet->header.type;
    if (type != MQTT_CONNACK && !session->connected) {
        return MQTT_BAD_PACKET;
    }
    if (type == MQTT_PUBLISH) {
        return on_publish(session, &packet->publish);
    }
    if (type == MQTT_PINGRESP) {
        session->ping_waiting = false;
        return MQTT_OK;
    }
    if (type == session->awaited && packet->packet_id == session->awaited_id) {
        session->answer = *packet;
        session->awaited = 0;
        return MQTT_OK;
    }
    /* a second PUBACK or SUBACK answers a packet we sent twice */
    return type == MQTT_CONNACK ? MQTT_BAD_PACKET : MQTT_OK;
}

static void drop_input(struct mqtt_session *session, size_t length)
{
    memmove(session->input, session->input + length, session->input_length - length);
    session->input_length -= length;
}

/* Handles the packets in the input buffer. */
static enum mqtt_result take_packets(struct mqtt_session *session)
{
    for (;;) {
        if (session->skip > 0) {
            size_t part = session->skip < session->input_length ? session->skip : session->input_length;
            drop_input(session, part);
            session->skip -= (uint32_t)part;
        }
        struct mqtt_header header;
        enum mqtt_decoding decoding = mqtt_decode_header(session->input, session->input_length, &header);
        if (decoding != MQTT_DECODED) {
            return decoding == MQTT_INCOMPLETE ? MQTT_OK : MQTT_BAD_PACKET;
        }
        size_t available = session->input_length - header.length;
        bool whole = available >= header.remaining;
        if (!whole && session->input_length < sizeof session->input) {
            return MQTT_OK;
        }
        struct mqtt_packet packet;
        if (mqtt_decode_body(&header, session->input + header.length, available, &packet) != MQTT_DECODED) {
            return MQTT_BAD_PACKET; /* INCOMPLETE too: the buffer is full and cannot hold it */
        }
        enum mqtt_result result = on_packet(session, &packet);
        if (result != MQTT_OK) {
            return result;
        }
        size_t taken = whole ? header.length + header.remaining : session->input_length;
        session->skip = whole ? 0 : header.remaining - (uint32_t)available;
        drop_input(session, taken);
    }
}

static enum mqtt_result keep_alive(struct mqtt_session *session)
{
    if (session->ping_waiting && deadline_passed(session->ping_answer_due)) {
        return MQTT_NO_PINGRESP;
    }
    if (session->connected && session->keep_alive_s > 0 && !session->ping_waiting &&
        deadline_passed(session->ping_due)) {
        session->ping_waiting = true;
        session->ping_answer_due = deadline_in(ANSWER_MS);
        return send_packet(session, mqtt_encode_empty(session->output, sizeof session->output, MQTT_PINGREQ));
    }
    return MQTT_OK;
}

/* Serves until the awaited answer has come (if any is awaited), or `until`. */
static enum mqtt_result serve(struct mqtt_session *session, deadline_t until)
{
    bool waiting = session->awaited != 0;
    for (;;) {
        enum mqtt_result result = keep_alive(session);
        if (result != MQTT_OK) {
            return result;
        }
        deadline_t next = until;
        if (session->ping_waiting) {
            next = earlier(next, session->ping_answer_due);
        } else if (session->connected && session->keep_alive_s > 0) {
            next = earlier(next, session->ping_due);
        }
        if (session->input_length == sizeof session->input) {
            return MQTT_BAD_PACKET; /* what failed an earlier call still lies there */
        }
        size_t length;
        if (!session->stream.receive(session->stream.context, session->input + session->input_length,
                                     sizeof session->input - session->input_length, left_of(next), &length)) {
            return MQTT_STREAM_FAILED;
        }
        session->input_length += length;
        result = take_packets(session);
        if (result != MQTT_OK || (waiting && session->awaited == 0)) {
            return result;
        }
        if (deadline_passed(until) || (!waiting && session->leave)) {
            return MQTT_OK;
        }
    }
}

/* Waits for the answer to what has just been sent; `late` if it does not come in time. */
static enum mqtt_result await(struct mqtt_session *session, enum mqtt_type type, uint16_t packet_id,
                              enum mqtt_result late)
{
    session->awaited = type;
    session->awaited_id = packet_id;
    enum mqtt_result result = serve(session, deadline_in(ANSWER_MS));
    if (result == MQTT_OK && session->awaited != 0) {
        result = late;
    }
    session->awaited = 0;
    return result;
}

static uint16_t next_packet_id(struct mqtt_session *session)
{
    if (++session->last_packet_id == 0) {
        session->last_packet_id = 1;
    }
    return session->last_packet_id;
}

enum mqtt_result mqtt_open(struct mqtt_session *session, const char *client_id, uint16_t keep_alive_s)
{
    session->keep_alive_s = keep_alive_s;
    session->connected = session->ping_waiting = session->leave = false;
    session->input_length = 0;
    session->skip = 0;
    session->last_packet_id = 0;
    enum mqtt_result result =
        send_packet(session, mqtt_encode_connect(session->output, sizeof session->output, client_id, keep_alive_s));
    if (result == MQTT_OK) {
        result = await(session, MQTT_CONNACK, 0, MQTT_NO_CONNACK);
    }
    if (result == MQTT_OK) {
        session->return_code = session->answer.return_code;
        session->connected = session->return_code == 0;
        result = session->connected ? MQTT_OK : MQTT_REFUSED;
    }
    return result;
}

enum mqtt_result mqtt_subscribe(struct mqtt_session *session, const char *filter, uint8_t qos, uint8_t *granted)
{
    uint16_t packet_id = next_packet_id(session);
    enum mqtt_result result = MQTT_NO_SUBACK;
    for (unsigned attempt = 0; attempt < TRIES && result == MQTT_NO_SUBACK; attempt++) {
        result = send_packet(session,
                             mqtt_encode_subscribe(session->output, sizeof session->output, packet_id, filter, qos));
        if (result == MQTT_OK) {
            result = await(session, MQTT_SUBACK, packet_id, MQTT_NO_SUBACK);
        }
    }
    if (result == MQTT_OK) {
        *granted = session->answer.return_code;
        result = *granted == MQTT_SUBACK_FAILURE ? MQTT_SUBSCRIBE_REFUSED : MQTT_OK;
    }
    return result;
}

enum mqtt_result mqtt_publish(struct mqtt_session *session, const char *topic, const char *payload, uint8_t qos)
{
    struct mqtt_publish publish = {
        .topic = topic,
        .topic_length = strlen(topic),
        .payload = (const uint8_t *)payload,
        .payload_length = strlen(payload),
        .qos = qos,
        .packet_id = qos > 0 ? next_packet_id(session) : 0,
    };
    enum mqtt_result result = MQTT_NO_PUBACK;
    for (unsigned attempt = 0; attempt < TRIES && result == MQTT_NO_PUBACK; attempt++) {
        publish.duplicate = attempt > 0;
        result = send_packet(session, mqtt_encode_publish(session->output, sizeof session->output, &publish));
        if (result == MQTT_OK && qos > 0) {
            result = await(session, MQTT_PUBACK, publish.packet_id, MQTT_NO_PUBACK);
        }
    }
    return result;
}

enum mqtt_result mqtt_serve(struct mqtt_session *session, deadline_t until)
{
    session->awaited = 0;
    return session->leave ? MQTT_OK : serve(session, until);
}

void mqtt_close(struct mqtt_session *session)
{
    if (session->connected) {
        (void)send_packet(session, mqtt_encode_empty(session->output, sizeof session->output, MQTT_DISCONNECT));
        session->connected = false;
    }
}
