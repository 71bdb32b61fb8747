/* SPDX-License-Identifier: Apache-2.0 */
#include "net/json.h"
#include <string.h>

enum { NAME_SIZE = 64, FIRST_PRINTABLE = 0x20, LAST_ASCII = 0x7E };

struct scan {
    const uint8_t *at, *end;
};

/* The next byte that is not white space; 0 at the end. It stays. */
static uint8_t peek(struct scan *scan)
{
    while (scan->at < scan->end && *scan->at != '\0' && strchr(" \t\r\n", *scan->at) != NULL) {
        scan->at++;
    }
    return scan->at < scan->end ? *scan->at : 0;
}

static bool take(struct scan *scan, uint8_t wanted)
{
    bool there = peek(scan) == wanted;
    scan->at += there;
    return there;
}

static int hex_digit(uint8_t c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    c |= 0x20u;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* The character behind a backslash; 0: none that may be here, or none of ASCII. */
static uint8_t take_escape(struct scan *scan)
{
    static const char from[] = "\"\\/nrtbf", to[] = "\"\\/\n\r\t\b\f";
    if (scan->at == scan->end) {
        return 0;
    }
    uint8_t c = *scan->at++;
    if (c != 'u') {
        const char *found = c != '\0' ? strchr(from, c) : NULL;
        return found != NULL ? (uint8_t)to[found - from] : 0;
    }
    int code = 0;
    for (int i = 0; i < 4; i++) {
        int digit = scan->at < scan->end ? hex_digit(*scan->at++) : -1;
        if (digit < 0) {
            return 0;
        }
        code = code << 4 | digit;
    }
    return code <= LAST_ASCII ? (uint8_t)code : 0;
}

/* The character at hand, without its escape; 0: not one that may stand in a text. */
static uint8_t take_character(struct scan *scan)
{
    uint8_t c = *scan->at++;
    if (c == '\\') {
        return take_escape(scan);
    }
    return c >= FIRST_PRINTABLE && c <= LAST_ASCII ? c : 0;
}

/* A text into `to`; false: it is none, or does not fit. */
static bool take_text(struct scan *scan, char *to, size_t size)
{
    if (!take(scan, '"')) {
        return false;
    }
    for (size_t used = 0; used < size && scan->at < scan->end; used++) {
        if (*scan->at == '"') {
            scan->at++;
            to[used] = '\0';
            return true;
        }
        uint8_t c = take_character(scan);
        if (c == 0) {
            return false;
        }
        to[used] = (char)c;
    }
    return false;
}

static bool skip_text(struct scan *scan)
{
    if (!take(scan, '"')) {
        return false;
    }
    while (scan->at < scan->end) {
        uint8_t c = *scan->at++;
        if (c == '"') {
            return true;
        }
        if (c == '\\' && scan->at < scan->end) {
            scan->at++;
        }
    }
    return false;
}

/* A member's value, whatever it is. Brackets are counted, not matched: it only has to be got over. */
static bool skip_value(struct scan *scan)
{
    size_t depth = 0;
    do {
        uint8_t c = peek(scan);
        if (c == 0) {
            return false;
        }
        if (c == '"') {
            if (!skip_text(scan)) {
                return false;
            }
            continue;
        }
        if (depth == 0 && (c == ',' || c == '}' || c == ']')) {
            return true;
        }
        depth += c == '{' || c == '[';
        depth -= c == '}' || c == ']';
        scan->at++;
    } while (depth > 0 || (peek(scan) != ',' && peek(scan) != '}'));
    return true;
}

bool json_text(const uint8_t *json, size_t length, const char *name, char *to, size_t size)
{
    struct scan scan = { json, json + length };
    if (!take(&scan, '{')) {
        return false;
    }
    do {
        char member[NAME_SIZE];
        struct scan begin = scan;
        bool known = take_text(&scan, member, sizeof member);
        if (!known) {
            scan = begin;
            if (!skip_text(&scan)) {
                return false;
            }
        }
        if (!take(&scan, ':')) {
            return false;
        }
        if (known && strcmp(member, name) == 0) {
            return take_text(&scan, to, size);
        }
        if (!skip_value(&scan)) {
            return false;
        }
    } while (take(&scan, ','));
    return false;
}

void json_escape(char *to, size_t size, const char *text)
{
    size_t used = 0;
    for (; *text != '\0' && used + 3 <= size; text++) {
        if (*text == '"' || *text == '\\') {
            to[used++] = '\\';
        }
        if ((uint8_t)*text >= FIRST_PRINTABLE) {
            to[used++] = *text;
        }
    }
    to[used] = '\0';
}
