/* SPDX-License-Identifier: Apache-2.0 */
#include "net/mqtt_packet.h"
#include <string.h>

enum {
    STRING_MAX = 65535,
    REMAINING_MAX = 268435455, /* four bytes of seven bits, section 2.2.3 */
    PROTOCOL_LEVEL = 4,
    CONNECT_CLEAN_SESSION = 0x02,
    FLAG_RETAIN = 0x01,
    FLAG_QOS1 = 0x02,
    FLAG_DUPLICATE = 0x08,
    FLAGS_SUBSCRIBE = 0x02
};

/* Writes nothing beyond `size`; `ok` tells in the end whether everything fitted. */
struct writer {
    uint8_t *to;
    size_t size, used;
    bool ok;
};

static void put_bytes(struct writer *writer, const void *from, size_t length)
{
    if (!writer->ok || length > writer->size - writer->used) {
        writer->ok = false;
        return;
    }
    if (length > 0) {
        memcpy(writer->to + writer->used, from, length);
    }
    writer->used += length;
}

static void put_u8(struct writer *writer, unsigned value)
{
    uint8_t byte = (uint8_t)value;
    put_bytes(writer, &byte, 1);
}

static void put_u16(struct writer *writer, unsigned value)
{
    put_u8(writer, value >> 8);
    put_u8(writer, value & 0xFFu);
}

static void put_string(struct writer *writer, const char *text, size_t length)
{
    if (length > STRING_MAX) {
        writer->ok = false;
        return;
    }
    put_u16(writer, (unsigned)length);
    put_bytes(writer, text, length);
}

static struct writer begin(uint8_t *to, size_t size, enum mqtt_type type, unsigned flags, size_t remaining)
{
    struct writer writer = { to, size, 0, remaining <= REMAINING_MAX };
    put_u8(&writer, (unsigned)type << 4 | flags);
    do {
        unsigned part = remaining & 0x7Fu;
        remaining >>= 7;
        put_u8(&writer, remaining > 0 ? part | 0x80u : part);
    } while (remaining > 0);
    return writer;
}

static size_t finish(const struct writer *writer)
{
    return writer->ok ? writer->used : 0;
}

size_t mqtt_encode_connect(uint8_t *to, size_t size, const char *client_id, uint16_t keep_alive_s)
{
    size_t id_length = strlen(client_id);
    struct writer writer = begin(to, size, MQTT_CONNECT, 0, 10 + 2 + id_length);
    put_string(&writer, "MQTT", 4);
    put_u8(&writer, PROTOCOL_LEVEL);
    put_u8(&writer, CONNECT_CLEAN_SESSION);
    put_u16(&writer, keep_alive_s);
    put_string(&writer, client_id, id_length);
    return finish(&writer);
}

size_t mqtt_encode_publish(uint8_t *to, size_t size, const struct mqtt_publish *publish)
{
    if (publish->qos > 1 || publish->topic_length == 0 || (publish->qos == 1 && publish->packet_id == 0)) {
        return 0;
    }
    unsigned flags = (publish->qos == 1 ? FLAG_QOS1 : 0u) | (publish->duplicate ? FLAG_DUPLICATE : 0u) |
                     (publish->retain ? FLAG_RETAIN : 0u);
    size_t remaining = 2 + publish->topic_length + (publish->qos == 1 ? 2 : 0) + publish->payload_length;
    struct writer writer = begin(to, size, MQTT_PUBLISH, flags, remaining);
    put_string(&writer, publish->topic, publish->topic_length);
    if (publish->qos == 1) {
        put_u16(&writer, publish->packet_id);
    }
    put_bytes(&writer, publish->payload, publish->payload_length);
    return finish(&writer);
}

size_t mqtt_encode_subscribe(uint8_t *to, size_t size, uint16_t packet_id, const char *filter, uint8_t qos)
{
    size_t filter_length = strlen(filter);
    if (packet_id == 0 || filter_length == 0 || qos > 2) {
        return 0;
    }
    struct writer writer = begin(to, size, MQTT_SUBSCRIBE, FLAGS_SUBSCRIBE, 2 + 2 + filter_length + 1);
    put_u16(&writer, packet_id);
    put_string(&writer, filter, filter_length);
    put_u8(&writer, qos);
    return finish(&writer);
}

size_t mqtt_encode_puback(uint8_t *to, size_t size, uint16_t packet_id)
{
    struct writer writer = begin(to, size, MQTT_PUBACK, 0, 2);
    put_u16(&writer, packet_id);
    return finish(&writer);
}

size_t mqtt_encode_empty(uint8_t *to, size_t size, enum mqtt_type type)
{
    struct writer writer = begin(to, size, type, 0, 0);
    return finish(&writer);
}

/* Whether a server may send this, and how long it must be (section 2.2.2, and 3.2, 3.4, 3.9, 3.13). */
static bool header_allowed(const struct mqtt_header *header)
{
    switch (header->type) {
    case MQTT_PUBLISH:
        return (header->flags & 0x06u) != 0x06u && header->remaining >= 3;
    case MQTT_CONNACK:
    case MQTT_PUBACK:
        return header->flags == 0 && header->remaining == 2;
    case MQTT_SUBACK:
        return header->flags == 0 && header->remaining >= 3;
    case MQTT_PINGRESP:
        return header->flags == 0 && header->remaining == 0;
    default:
        return false;
    }
}

enum mqtt_decoding mqtt_decode_header(const uint8_t *from, size_t available, struct mqtt_header *header)
{
    if (available == 0) {
        return MQTT_INCOMPLETE;
    }
    header->type = (enum mqtt_type)(from[0] >> 4);
    header->flags = from[0] & 0x0Fu;
    header->remaining = 0;
    for (size_t i = 1; i < MQTT_FIXED_HEADER_MAX; i++) {
        if (i == available) {
            return MQTT_INCOMPLETE;
        }
        header->remaining |= (uint32_t)(from[i] & 0x7Fu) << (7 * (i - 1));
        if ((from[i] & 0x80u) == 0) {
            header->length = i + 1;
            return header_allowed(header) ? MQTT_DECODED : MQTT_MALFORMED;
        }
    }
    return MQTT_MALFORMED;
}

static unsigned get_u16(const uint8_t *from)
{
    return (unsigned)from[0] << 8 | from[1];
}

static enum mqtt_decoding decode_publish(const struct mqtt_header *header, const uint8_t *body, size_t available,
                                         struct mqtt_publish *publish)
{
    publish->qos = header->flags >> 1 & 3u;
    publish->duplicate = (header->flags & FLAG_DUPLICATE) != 0;
    publish->retain = (header->flags & FLAG_RETAIN) != 0;
    if (available < 2) {
        return MQTT_INCOMPLETE;
    }
    publish->topic_length = get_u16(body);
    size_t head = 2 + publish->topic_length + (publish->qos > 0 ? 2 : 0);
    /* MQTT-4.7.3-1: a topic has at least one character */
    if (publish->topic_length == 0 || head > header->remaining) {
        return MQTT_MALFORMED;
    }
    if (head > available) {
        return MQTT_INCOMPLETE;
    }
    publish->topic = (const char *)body + 2;
    publish->packet_id = publish->qos > 0 ? (uint16_t)get_u16(body + head - 2) : 0;
    publish->payload = body + head;
    publish->payload_length = header->remaining - head;
    publish->payload_at_hand = available - head;
    return publish->qos > 0 && publish->packet_id == 0 ? MQTT_MALFORMED : MQTT_DECODED;
}

enum mqtt_decoding mqtt_decode_body(const struct mqtt_header *header, const uint8_t *body, size_t available,
                                    struct mqtt_packet *packet)
{
    memset(packet, 0, sizeof *packet);
    packet->header = *header;
    if (!header_allowed(header)) {
        return MQTT_MALFORMED;
    }
    if (available > header->remaining) {
        available = header->remaining;
    }
    if (header->type == MQTT_PUBLISH) {
        return decode_publish(header, body, available, &packet->publish);
    }
    if (available < header->remaining) {
        return MQTT_INCOMPLETE;
    }
    switch (header->type) {
    case MQTT_CONNACK:
        packet->return_code = body[1];
        return body[0] > 1 ? MQTT_MALFORMED : MQTT_DECODED;
    case MQTT_PUBACK:
        packet->packet_id = (uint16_t)get_u16(body);
        return packet->packet_id == 0 ? MQTT_MALFORMED : MQTT_DECODED;
    case MQTT_SUBACK:
        packet->packet_id = (uint16_t)get_u16(body);
        packet->return_code = body[2];
        return packet->packet_id == 0 || (body[2] > 2 && body[2] != MQTT_SUBACK_FAILURE) ? MQTT_MALFORMED
                                                                                         : MQTT_DECODED;
    default:
        return MQTT_DECODED;
    }
}
