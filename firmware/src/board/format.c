/* SPDX-License-Identifier: Apache-2.0 */
/* A printf subset: small, reentrant, usable in fault handlers. */
#include "board/format.h"
#include <stdbool.h>
#include <stdint.h>

struct sink {
    char *to;
    size_t size, length;
};

static void put(struct sink *sink, char c)
{
    if (sink->length + 1 < sink->size)
        sink->to[sink->length] = c;
    sink->length++;
}

static void put_field(struct sink *sink, const char *text, size_t length, size_t width, bool left, char fill)
{
    size_t padding = width > length ? width - length : 0;
    if (!left)
        for (size_t i = 0; i < padding; i++)
            put(sink, fill);
    for (size_t i = 0; i < length; i++)
        put(sink, text[i]);
    if (left)
        for (size_t i = 0; i < padding; i++)
            put(sink, ' ');
}

static void put_number(struct sink *sink, uint64_t value, bool negative, unsigned base, bool upper, size_t width,
                       bool left, bool zeros)
{
    char digits[24];
    size_t first = sizeof digits;
    do {
        unsigned digit = (unsigned)(value % base);
        digits[--first] = (char)(digit < 10 ? '0' + digit : (upper ? 'A' : 'a') + digit - 10);
        value /= base;
    } while (value);
    if (negative && zeros && !left) { /* the sign goes before the zeros */
        put(sink, '-');
        width = width ? width - 1 : 0;
    } else if (negative) {
        digits[--first] = '-';
    }
    put_field(sink, digits + first, sizeof digits - first, width, left, zeros ? '0' : ' ');
}

size_t format_text(char *to, size_t size, const char *format, va_list arguments)
{
    struct sink sink = { to, size, 0 };
    for (; *format; format++) {
        if (*format != '%') {
            put(&sink, *format);
            continue;
        }
        bool left = false, zeros = false, bounded = false;
        size_t width = 0, precision = 0;
        int longs = 0;
        for (format++; *format == '-' || *format == '0'; format++)
            *format == '-' ? (left = true) : (zeros = true);
        if (*format == '*') {
            int given = va_arg(arguments, int);
            left |= given < 0;
            width = (size_t)(given < 0 ? -given : given);
            format++;
        }
        for (; *format >= '0' && *format <= '9'; format++)
            width = width * 10 + (size_t)(*format - '0');
        if (*format == '.') {
            bounded = true;
            if (*++format == '*') {
                int given = va_arg(arguments, int);
                bounded = given >= 0;
                precision = (size_t)(given < 0 ? 0 : given);
                format++;
            }
            for (; *format >= '0' && *format <= '9'; format++)
                precision = precision * 10 + (size_t)(*format - '0');
        }
        for (; *format == 'l' || *format == 'z' || *format == 'h'; format++)
            longs += *format == 'l';
        switch (*format) {
        case 's': {
            const char *text = va_arg(arguments, const char *);
            size_t length = 0;
            if (!text)
                text = "(null)";
            while ((!bounded || length < precision) && text[length])
                length++;
            put_field(&sink, text, length, width, left, ' ');
            break;
        }
        case 'c': {
            char c = (char)va_arg(arguments, int);
            put_field(&sink, &c, 1, width, left, ' ');
            break;
        }
        case 'd':
        case 'i': {
            int64_t value = longs > 1 ? va_arg(arguments, long long)
                          : longs     ? va_arg(arguments, long)
                                      : va_arg(arguments, int);
            uint64_t magnitude = value < 0 ? 0 - (uint64_t)value : (uint64_t)value;
            put_number(&sink, magnitude, value < 0, 10, false, width, left, zeros);
            break;
        }
        case 'u':
        case 'x':
        case 'X': {
            uint64_t value = longs > 1 ? va_arg(arguments, unsigned long long)
                           : longs     ? va_arg(arguments, unsigned long)
                                       : va_arg(arguments, unsigned);
            put_number(&sink, value, false, *format == 'u' ? 10 : 16, *format == 'X', width, left, zeros);
            break;
        }
        case 'p':
            put_number(&sink, (uintptr_t)va_arg(arguments, void *), false, 16, false, 8, false, true);
            break;
        case '%':
            put(&sink, '%');
            break;
        default: /* unknown or cut: stop here, the arguments can no longer be told apart */
            goto done;
        }
    }
done:
    if (size)
        to[sink.length < size ? sink.length : size - 1] = 0;
    return sink.length;
}

size_t format_to(char *to, size_t size, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    size_t length = format_text(to, size, format, arguments);
    va_end(arguments);
    return length;
}
