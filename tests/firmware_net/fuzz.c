/* SPDX-License-Identifier: Apache-2.0 */
/* Feeds hostile bytes to everything that reads from the network, under AddressSanitizer. Input: u32 length, bytes, again
 * and again. Each case lies in a block of exactly its size. Prints the number of cases. */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "net/at_parser.h"
#include "board/clock.h"
#include "net/mqtt.h"

struct script { const uint8_t *next; size_t left, step; };

static uint32_t now_ms;
uint32_t time_ms(void) { return now_ms; }
uint64_t time_us(void) { return now_ms * 1000ull; }

static bool script_send(void *context, const uint8_t *data, size_t length)
{
    (void)context;
    assert(length > 0 && (data[0] >> 4) != 0);
    return true;
}

static bool script_receive(void *context, uint8_t *to, size_t capacity, uint32_t timeout_ms, size_t *length)
{
    struct script *script = context;
    assert(capacity > 0);
    size_t part = script->step < script->left ? script->step : script->left;
    part = part < capacity ? part : capacity;
    memcpy(to, script->next, part);
    script->next += part;
    script->left -= part;
    *length = part;
    now_ms += part == 0 ? timeout_ms : 1;
    return script->left > 0 || part > 0;
}

static void check_message(const struct mqtt_publish *message)
{
    static volatile uint8_t sum;
    assert(message->topic_length > 0);
    for (size_t i = 0; i < message->topic_length; i++) {
        sum += (uint8_t)message->topic[i];
    }
}

static void decode(const uint8_t *data, size_t length)
{
    struct mqtt_header header;
    struct mqtt_packet packet;
    if (mqtt_decode_header(data, length, &header) != MQTT_DECODED) {
        return;
    }
    assert(header.length <= length && header.length <= MQTT_FIXED_HEADER_MAX);
    const uint8_t *body = data + header.length;
    size_t available = length - header.length;
    if (mqtt_decode_body(&header, body, available, &packet) == MQTT_DECODED && header.type == MQTT_PUBLISH) {
        const uint8_t *topic_end = (const uint8_t *)packet.publish.topic + packet.publish.topic_length;
        assert(topic_end <= body + available && packet.publish.payload <= body + available);
        assert((size_t)(packet.publish.payload - body) + packet.publish.payload_length == header.remaining);
    }
}

static void converse(const uint8_t *data, size_t length, size_t step, bool connected)
{
    static const uint8_t accepted[] = { 0x20, 2, 0, 0 };
    struct mqtt_session *session = calloc(1, sizeof *session);
    uint8_t *all = malloc(sizeof accepted + length);
    size_t head = connected ? sizeof accepted : 0;
    memcpy(all, accepted, head);
    memcpy(all + head, data, length);
    struct script script = { all, head + length, step };
    session->stream = (struct mqtt_stream){ &script, script_send, script_receive };
    session->on_message = check_message;
    if (mqtt_open(session, "thing", 60) == MQTT_OK) {
        uint8_t granted;
        (void)mqtt_subscribe(session, "a/#", 1, &granted);
        (void)mqtt_publish(session, "a", "{}", 1);
        (void)mqtt_serve(session, deadline_in(1000));
    }
    free(all);
    free(session);
}

static void listen(const uint8_t *data, size_t length)
{
    struct at_parser *parser = malloc(sizeof *parser);
    uint32_t unix_time;
    at_parser_init(parser);
    for (size_t i = 0; i < length; i++) {
        if (at_parser_push(parser, data[i]) == AT_TEXT) {
            assert(strlen(parser->line) <= AT_LINE_MAX);
            (void)at_parse_time(parser->line, &unix_time);
        }
    }
    free(parser);
}

int main(void)
{
    uint32_t length;
    unsigned long cases = 0;
    while (fread(&length, sizeof length, 1, stdin) == 1) {
        uint8_t *data = malloc(length);
        assert(fread(data, 1, length, stdin) == length);
        decode(data, length);
        converse(data, length, 1, true);
        converse(data, length, 4096, true);
        converse(data, length, 7, false);
        listen(data, length);
        free(data);
        cases++;
    }
    printf("%lu\n", cases);
    return 0;
}
