/* SPDX-License-Identifier: Apache-2.0 */
/* Reader of what an ESP-AT module says (ESP-AT User Guide, "AT messages"): bytes in, one event per call out, no waiting.
 * Unsolicited messages and +IPD data may arrive anywhere, even inside another line. */
#ifndef AT_PARSER_H
#define AT_PARSER_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { AT_LINE_MAX = 128 };

enum at_event {
    AT_NOTHING, /* in the middle of something */
    AT_PAYLOAD, /* the byte just pushed is a byte of the TCP stream */
    AT_OK,
    AT_ERROR,
    AT_BUSY,   /* "busy p..." or "busy s...": the command was not taken */
    AT_PROMPT, /* '>': send the bytes now */
    AT_SEND_OK,
    AT_SEND_FAIL,
    AT_CONNECTED,
    AT_ALREADY_CONNECTED,
    AT_CLOSED,
    AT_WIFI_DISCONNECT,
    AT_READY, /* the module has (re)started and forgotten everything */
    AT_TEXT   /* any other line; at_parser.line holds it until the next push */
};

struct at_parser {
    char line[AT_LINE_MAX + 1];
    size_t length;
    bool complete;         /* `line` holds an event already reported */
    bool too_long;         /* dropping the rest of a line that did not fit */
    uint32_t payload_left; /* bytes of the stream still to come */
};

void at_parser_init(struct at_parser *parser);
enum at_event at_parser_push(struct at_parser *parser, uint8_t byte);

/* Reads "Thu Nov 23 18:27:16 2026", UTC, years 2000..2099. false: malformed. */
bool at_parse_time(const char *text, uint32_t *unix_time);

/* Writes `text` as a quoted AT argument (quote, comma and backslash escaped). false: does not fit in `size`. */
bool at_quote(char *to, size_t size, const char *text);
#endif
