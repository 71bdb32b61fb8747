/* SPDX-License-Identifier: Apache-2.0 */
#include "net/at_parser.h"
#include <string.h>

enum { PAYLOAD_MAX = 65535, DATA_MARK_LENGTH = 5 };
static const char DATA_MARK[] = "+IPD,";

static const struct {
    const char *text;
    enum at_event event;
} LINES[] = {
    { "OK", AT_OK },
    { "ERROR", AT_ERROR },
    { "FAIL", AT_ERROR },
    { "SEND OK", AT_SEND_OK },
    { "SEND FAIL", AT_SEND_FAIL },
    { "CONNECT", AT_CONNECTED },
    { "ALREADY CONNECTED", AT_ALREADY_CONNECTED },
    { "CLOSED", AT_CLOSED },
    { "WIFI DISCONNECT", AT_WIFI_DISCONNECT },
    { "ready", AT_READY },
};

void at_parser_init(struct at_parser *parser)
{
    memset(parser, 0, sizeof *parser);
}

static enum at_event classify(const char *line)
{
    for (size_t i = 0; i < sizeof LINES / sizeof LINES[0]; i++) {
        if (strcmp(line, LINES[i].text) == 0) {
            return LINES[i].event;
        }
    }
    return strncmp(line, "busy ", 5) == 0 ? AT_BUSY : AT_TEXT;
}

static size_t digits(const char *at, size_t length)
{
    size_t count = 0;
    while (count < length && at[count] >= '0' && at[count] <= '9') {
        count++;
    }
    return count;
}

/* ,"<address>",<port>: what AT+CIPDINFO=1 puts behind the length. */
static bool is_peer(const char *text, size_t length)
{
    const char *quote = length > 2 && text[0] == ',' && text[1] == '"' ? memchr(text + 2, '"', length - 2) : NULL;
    if (quote == NULL) {
        return false;
    }
    size_t left = length - (size_t)(quote + 1 - text);
    return left > 1 && quote[1] == ',' && digits(quote + 2, left - 1) == left - 1;
}

/* At a ':' the line may end in "+IPD,<length>". Takes that off the line: what stood before it goes on behind the data. */
static bool take_data_head(struct at_parser *parser)
{
    size_t start = parser->length;
    while (start + DATA_MARK_LENGTH > parser->length ||
           memcmp(parser->line + start, DATA_MARK, DATA_MARK_LENGTH) != 0) {
        if (start-- == 0) {
            return false;
        }
    }
    const char *number = parser->line + start + DATA_MARK_LENGTH;
    size_t behind = parser->length - start - DATA_MARK_LENGTH, count = digits(number, behind);
    uint32_t length = 0;
    for (size_t i = 0; i < count && length <= PAYLOAD_MAX; i++) {
        length = length * 10 + (uint32_t)(number[i] - '0');
    }
    if (length == 0 || length > PAYLOAD_MAX || (count < behind && !is_peer(number + count, behind - count))) {
        return false;
    }
    parser->length = start;
    parser->payload_left = length;
    return true;
}

enum at_event at_parser_push(struct at_parser *parser, uint8_t byte)
{
    if (parser->payload_left > 0) {
        parser->payload_left--;
        return AT_PAYLOAD;
    }
    if (parser->complete) {
        parser->complete = false;
        parser->length = 0;
    }
    if (byte == '\n') {
        enum at_event event = AT_NOTHING;
        if (parser->length > 0 && !parser->too_long) {
            parser->line[parser->length] = '\0';
            event = classify(parser->line);
        }
        parser->too_long = false;
        parser->complete = true;
        return event;
    }
    if (byte == '\r' || byte == '\0') {
        return AT_NOTHING;
    }
    if (parser->length == 0 && (byte == ' ' || byte == '>')) {
        return byte == '>' ? AT_PROMPT : AT_NOTHING;
    }
    if (byte == ':' && take_data_head(parser)) {
        return AT_NOTHING;
    }
    if (parser->length == AT_LINE_MAX) {
        /* keep the tail: data may announce itself at the end of a line nobody wants */
        memmove(parser->line, parser->line + AT_LINE_MAX / 2, AT_LINE_MAX / 2);
        parser->length = AT_LINE_MAX / 2;
        parser->too_long = true;
    }
    parser->line[parser->length++] = (char)byte;
    return AT_NOTHING;
}

static bool read_number(const char **text, unsigned digits_max, uint32_t *value)
{
    unsigned digits = 0;
    *value = 0;
    while (digits < digits_max && **text >= '0' && **text <= '9') {
        *value = *value * 10 + (uint32_t)(*(*text)++ - '0');
        digits++;
    }
    return digits > 0;
}

static bool skip(const char **text, char wanted)
{
    if (**text != wanted) {
        return false;
    }
    (*text)++;
    return true;
}

/* Days since 1970-01-01 of a date in 2000..2099, where every fourth year is a leap year. */
static uint32_t days_since_epoch(uint32_t year, uint32_t month, uint32_t day)
{
    static const uint16_t before[12] = { 0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334 };
    uint32_t years = year - 2000;
    uint32_t leap_days = (years + 3) / 4 + (years % 4 == 0 && month > 1 ? 1 : 0);
    return 10957u + years * 365u + leap_days + before[month] + day - 1;
}

bool at_parse_time(const char *text, uint32_t *unix_time)
{
    static const char MONTHS[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    static const uint8_t DAYS[12] = { 31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
    if (strlen(text) < 8 || text[3] != ' ') {
        return false;
    }
    uint32_t month = 0;
    while (month < 12 && memcmp(MONTHS + 3 * month, text + 4, 3) != 0) {
        month++;
    }
    text += 7;
    uint32_t day, hour, minute, second, year;
    if (month == 12 || !skip(&text, ' ')) {
        return false;
    }
    (void)skip(&text, ' '); /* asctime pads the day with a space */
    if (!read_number(&text, 2, &day) || !skip(&text, ' ') || !read_number(&text, 2, &hour) || !skip(&text, ':') ||
        !read_number(&text, 2, &minute) || !skip(&text, ':') || !read_number(&text, 2, &second) || !skip(&text, ' ') ||
        !read_number(&text, 4, &year) || *text != '\0') {
        return false;
    }
    if (year < 2000 || year > 2099 || day < 1 || day > DAYS[month] || (month == 1 && day == 29 && year % 4 != 0) ||
        hour > 23 || minute > 59 || second > 60) {
        return false;
    }
    *unix_time = ((days_since_epoch(year, month, day) * 24 + hour) * 60 + minute) * 60 + second;
    return true;
}

bool at_quote(char *to, size_t size, const char *text)
{
    size_t used = 0;
    if (size < 3) {
        return false;
    }
    to[used++] = '"';
    for (; *text != '\0'; text++) {
        if (used + 4 > size) {
            return false;
        }
        if (*text == '"' || *text == ',' || *text == '\\') {
            to[used++] = '\\';
        }
        to[used++] = *text;
    }
    to[used++] = '"';
    to[used] = '\0';
    return true;
}
