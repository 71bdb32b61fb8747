/* SPDX-License-Identifier: Apache-2.0 */
/* Runs the pure logic of the firmware on the host, under the sanitizers: media are files, the console is stdout.
 *   read IMAGE PATH CAPACITY      the file's bytes as hex, or the error word
 *   fuzz IMAGE PATH SEED COUNT    damages metadata COUNT times; prints how often each result came
 *   write IMAGE PATH OFFSET HEX   changes bytes of a file in place, in IMAGE itself
 *   config PAGE                   what config_parse makes of a page
 *   config-fuzz PAGE SEED COUNT   damages the TLV area, repairs the CRC
 *   credentials PAGE MEDIUM       console lines of credentials_load and what it found
 *   format                        compares format_text with the C library */
#include <inttypes.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include "board/chip_map.h"
#include "board/clock.h"
#include "board/reset.h"
#include "vault/config.h"
#include "drivers/console.h"
#include "storage/crc32.h"
#include "vault/vault.h"
#include "drivers/eeprom.h"
#include "drivers/flash.h"
#include "drivers/hall.h"
#include "drivers/rng.h"
#include "drivers/rtc.h"
#include "storage/fat.h"
#include "board/format.h"
#include "drivers/sdcard.h"
#include "drivers/watchdog.h"

static uint8_t *medium;
static size_t medium_size;
static unsigned long blocks_read;
static bool medium_absent;

static void fail(const char *what)
{
    fprintf(stderr, "harness: %s\n", what);
    abort();
}

static uint8_t *slurp(const char *path, size_t *size)
{
    FILE *file = fopen(path, "rb");
    if (!file)
        fail("cannot open file");
    fseek(file, 0, SEEK_END);
    *size = (size_t)ftell(file);
    rewind(file);
    uint8_t *bytes = malloc(*size ? *size : 1);     /* exact size: the sanitizer sees one byte beyond */
    if (fread(bytes, 1, *size, file) != *size)
        fail("short read");
    fclose(file);
    return bytes;
}

static enum storage_error read_block(void *context, uint32_t lba, uint8_t to[512])
{
    (void)context;
    if (lba >= medium_size / 512)
        fail("block beyond the medium asked for");
    blocks_read++;
    memcpy(to, medium + (size_t)lba * 512, 512);
    return STORAGE_OK;
}

static enum storage_error write_block(void *context, uint32_t lba, const uint8_t from[512])
{
    (void)context;
    if (lba >= medium_size / 512)
        fail("block beyond the medium written");
    memcpy(medium + (size_t)lba * 512, from, 512);
    return STORAGE_OK;
}

/* fakes of the drivers below the media */
enum storage_error sd_init(struct sd_card *card)
{
    *card = (struct sd_card){ false, (uint32_t)(medium_size / 512) };
    return medium_absent ? STORAGE_NO_CARD : STORAGE_OK;
}
enum storage_error sd_read_block(uint32_t lba, uint8_t to[SD_BLOCK_SIZE]) { return read_block(NULL, lba, to); }
enum storage_error sd_write_block(uint32_t lba, const uint8_t from[SD_BLOCK_SIZE])
{
    return write_block(NULL, lba, from);
}
enum storage_error eeprom_write(uint32_t offset, const uint8_t *from, uint32_t length)
{
    if (offset > EEPROM_SIZE || length > EEPROM_SIZE - offset || offset + length > medium_size)
        return STORAGE_EEPROM_TIMEOUT;
    memcpy(medium + offset, from, length);
    return STORAGE_OK;
}
enum storage_error eeprom_init(void) { return medium_absent ? STORAGE_EEPROM_ABSENT : STORAGE_OK; }
enum storage_error eeprom_read(uint32_t offset, uint8_t *to, uint32_t length)
{
    if (offset > EEPROM_SIZE || length > EEPROM_SIZE - offset)
        return STORAGE_EEPROM_TIMEOUT;
    for (uint32_t i = 0; i < length; i++)
        to[i] = offset + i < medium_size ? medium[offset + i] : 0xFF;
    return STORAGE_OK;
}
/* nobody here has a device secret */
enum flash_result flash_unlock(void) { return FLASH_ERROR_LOCKED; }
void flash_lock(void) { }
enum flash_result flash_erase_sector(unsigned sector) { (void)sector; return FLASH_ERROR_LOCKED; }
enum flash_result flash_program_words(uint32_t address, const uint32_t *words, size_t count)
{
    (void)address, (void)words, (void)count;
    return FLASH_ERROR_LOCKED;
}
void flash_burn(uint32_t address, size_t count) { (void)address, (void)count; }
void flash_burn_word(uint32_t address) { (void)address; }
bool flash_busy(void) { return false; }
uint32_t time_ms(void) { return 0; }
bool hall_closed(void) { return true; }
void hall_set_alarm(void (*act)(void)) { (void)act; }
void rtc_backup_set(unsigned index, uint32_t value) { (void)index, (void)value; }
_Noreturn void reset_without_memory(void) { abort(); }
enum rng_result rng_fill(void *to, size_t length) { memset(to, 0, length); return RNG_ERROR_SEED; }
/* asked for by Mbed TLS's own clean-up */
int mbedtls_hardware_poll(void *context, unsigned char *output, size_t length, size_t *filled)
{
    (void)context, (void)output, (void)length;
    *filled = 0;
    return -1;
}
long mbedtls_ms_time(void) { return 0; }
void watchdog_kick(void) { }
void console_line(const char *tag, const char *format, ...)
{
    char text[400];
    va_list arguments;
    va_start(arguments, format);
    format_text(text, sizeof text, format, arguments);
    va_end(arguments);
    printf("%s: %s\n", tag, text);
}

static uint64_t random_state;
static uint32_t random32(void)
{
    random_state = random_state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(random_state >> 32);
}

static enum storage_error read_file(const char *path, uint8_t *to, size_t capacity, size_t *length)
{
    struct fat_volume volume;
    blocks_read = 0;
    enum storage_error error = fat_mount(&volume, read_block, write_block, NULL, (uint32_t)(medium_size / 512));
    struct fat_file file = { 0 };
    *length = 0;
    if (!error)
        error = fat_open(&volume, path, &file);
    if (!error && file.size > capacity)
        error = STORAGE_FILE_TOO_LARGE;
    if (!error)
        error = fat_read(&volume, &file, 0, to, file.size);
    if (!error)
        *length = file.size;
    return error;
}

static void print_read(const char *path, size_t capacity)
{
    uint8_t *to = malloc(capacity ? capacity : 1);
    size_t length = 0;
    enum storage_error error = read_file(path, to, capacity, &length);
    printf("%s ", storage_error_word(error));
    for (size_t i = 0; i < length; i++)
        printf("%02x", to[i]);
    printf("\n");
    free(to);
}

static void print_write(const char *image, const char *path, uint32_t offset, const char *hex)
{
    struct fat_volume volume;
    struct fat_file file;
    uint32_t length = (uint32_t)strlen(hex) / 2;
    uint8_t *bytes = malloc(length ? length : 1);
    for (uint32_t i = 0; i < length; i++)
        sscanf(hex + 2 * i, "%2hhx", &bytes[i]);
    enum storage_error error = fat_mount(&volume, read_block, write_block, NULL, (uint32_t)(medium_size / 512));
    if (!error)
        error = fat_open(&volume, path, &file);
    if (!error)
        error = fat_write(&volume, &file, offset, bytes, length);
    printf("%s\n", storage_error_word(error));
    free(bytes);
    FILE *to = fopen(image, "wb");
    if (!to || fwrite(medium, 1, medium_size, to) != medium_size || fclose(to))
        fail("cannot write the image");
}

/* Where the numbers are: blocks that are neither empty nor file text; the whole image would mostly hit nothing. */
static size_t metadata_blocks(uint32_t *list, size_t capacity)
{
    size_t count = 0;
    for (size_t lba = 0; lba < medium_size / 512 && count < capacity; lba++) {
        size_t used = 0;
        for (size_t i = 0; i < 512; i++)
            used += medium[lba * 512 + i] != 0;
        if (used)
            list[count++] = (uint32_t)lba;
    }
    return count;
}

static void fuzz(const char *path, unsigned long count)
{
    static const uint32_t special[] = {
        0, 1, 2, 0x7F, 0x80, 0xFF, 0xFFF7, 0xFFF8, 0xFFFF, 0x0FFFFFF7, 0x0FFFFFFF, 0xFFFFFFFF
    };
    uint32_t list[4096];
    size_t blocks = metadata_blocks(list, 4096);
    unsigned long results[16] = { 0 }, most = 0;
    uint8_t *pristine = malloc(medium_size), *to = malloc(4096);
    memcpy(pristine, medium, medium_size);
    for (unsigned long n = 0; n < count; n++) {
        size_t touched[8], changes = 1 + random32() % 8, length = 0;
        for (size_t i = 0; i < changes; i++) {
            /* half of the changes go to the first block of the volume, where one byte matters most */
            size_t lba = list[random32() % 2 ? random32() % blocks : random32() % (blocks < 3 ? blocks : 3)];
            size_t at = touched[i] = lba * 512 + random32() % 128 * 4;
            uint32_t pick = random32() % (sizeof special / sizeof *special);
            uint32_t value = random32() % 2 ? special[pick] : random32() % 64;
            size_t width = (size_t)1 << random32() % 3;
            memcpy(medium + at + random32() % (5 - width), &value, width);
        }
        enum storage_error error = read_file(path, to, 4096, &length);
        results[error]++;
        if (!error && length > 4096)
            fail("length beyond capacity");
        if (blocks_read > most)
            most = blocks_read;
        for (size_t i = 0; i < changes; i++)
            memcpy(medium + touched[i], pristine + touched[i], 4);
    }
    for (unsigned i = 0; i < 16; i++)
        if (results[i])
            printf("%s=%lu ", storage_error_word((enum storage_error)i), results[i]);
    printf("most-blocks=%lu\n", most);
    free(pristine);
    free(to);
}

static void print_blob(const char *name, const struct blob *blob)
{
    printf("%s=%zu:%08" PRIx32 "\n", name, blob->length, blob->length ? crc32(blob->data, blob->length) : 0);
}

static void print_config(const uint8_t *page, size_t size)
{
    static const char *const words[] = { "ok", "missing", "version", "crc", "field" };
    struct device_config config;
    uint16_t field;
    enum config_error error = config_parse(&config, page, size, &field);
    printf("result=%s field=%u\n", words[error], field);
    if (error)
        return;
    printf("scheme=%s medium=%s\n", config.scheme->name, config.medium->name);
    printf("thing=%s client=%s host=%s port=%u sntp=%s\n", config.thing, config.client_id, config.host,
        config.port, config.sntp_host);
    for (size_t i = 0; i < config.publish_count; i++)
        printf("publish=%s\n", config.publish[i]);
    for (size_t i = 0; i < config.subscribe_count; i++)
        printf("subscribe=%s\n", config.subscribe[i]);
    printf("interval=%" PRIu32 " keepalive=%u tls=%u ssid=%s pass=%s\n", config.interval_ms, config.keep_alive_s,
        config.tls_versions, config.ssid, config.passphrase);
    for (size_t i = 0; i < config.anchor_count; i++)
        print_blob("anchor", &config.anchors[i]);
    print_blob("certificate", &config.certificate);
    print_blob("key", &config.key);
}

static void config_fuzz(const uint8_t *page, size_t size, unsigned long count)
{
    unsigned long results[5] = { 0 };
    uint8_t *copy = malloc(size);
    struct device_config config;
    for (unsigned long n = 0; n < count; n++) {
        memcpy(copy, page, size);
        for (unsigned i = 1 + random32() % 6; i; i--)
            copy[8 + random32() % (size - 12)] = (uint8_t)(random32() % 3 ? random32() % 32 : random32());
        uint32_t crc = crc32(copy, size - 4);
        memcpy(copy + size - 4, &crc, 4);
        uint16_t field = 0;
        enum config_error error = config_parse(&config, copy, size, &field);
        results[error]++;
        for (size_t i = 0; !error && i < config.anchor_count; i++)
            (void)crc32(config.anchors[i].data, config.anchors[i].length);      /* readable to its end? */
    }
    printf("ok=%lu field=%lu other=%lu\n", results[CONFIG_OK], results[CONFIG_FIELD],
        results[CONFIG_MISSING] + results[CONFIG_VERSION] + results[CONFIG_CRC]);
    free(copy);
}

static void print_credentials(const uint8_t *page, size_t size)
{
    static struct device_config config;
    struct credentials found;
    uint16_t field;
    if (config_parse(&config, page, size, &field))
        fail("the page must be good");
    /* the data sectors, blank, and the unique id */
    const uintptr_t places[] = { DATA_START, UID_START & ~4095u };
    for (size_t i = 0; i < 2; i++)
        if (mmap((void *)places[i], DATA_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE,
                 -1, 0) != (void *)places[i])
            fail("no memory where the flash is");
    memset((void *)(uintptr_t)DATA_START, 0xFF, DATA_SIZE);
    enum storage_error error = credentials_load(&config, &found);
    printf("result=%s\n", storage_error_word(error));
    if (error)
        return;
    printf("source=%s\n", found.source);
    for (size_t i = 0; i < found.anchor_count; i++)
        print_blob("anchor", &found.anchors[i]);
    print_blob("certificate", &found.certificate);
    print_blob("key", &found.key);
    const uint8_t *key = found.key.data;
    size_t length = found.key.length;
    bool copied = config.scheme->uses_medium;
    credentials_wipe(&config, &found);
    for (size_t i = 0; copied && i < length; i++)
        if (key[i])
            fail("key still in memory after credentials_wipe");
}

static unsigned differences;
static void same(size_t size, const char *format, ...)
{
    char mine[64], library[64];
    va_list arguments;
    va_start(arguments, format);
    size_t a = format_text(mine, size, format, arguments);
    va_end(arguments);
    va_start(arguments, format);
    int b = vsnprintf(library, size, format, arguments);
    va_end(arguments);
    if (a != (size_t)b || strcmp(mine, library) != 0) {
        printf("%s: [%s] %zu, library [%s] %d\n", format, mine, a, library, b);
        differences++;
    }
}

static void compare_formats(void)
{
    same(64, "%s|%5s|%-5s|%.2s|%.*s|%%", "abc", "ab", "ab", "abc", 1, "xyz");
    same(64, "%d %i %5d %-5d| %05d", 0, -7, -42, -42, -42);
    same(64, "%u %x %X %08x %lu %lx", 4294967295u, 48879u, 48879u, 255u, 123456789ul, 0xDEADul);
    same(64, "%lld %llu %zu %c%*d", -9000000000ll, 18446744073709551615ull, (size_t)12, 'x', 6, 3);
    same(64, "%d %ld", -2147483647 - 1, 2147483647l);
    same(8, "%s", "longer than the buffer");
    same(1, "%d", 12345);
    printf("differences=%u\n", differences);
}

int main(int argc, char **argv)
{
    const char *mode = argc > 1 ? argv[1] : "";
    size_t size = 0;
    uint8_t *first = argc > 2 ? slurp(argv[2], &size) : NULL;
    if (!strcmp(mode, "format")) {
        compare_formats();
    } else if (!strcmp(mode, "config") && argc == 3) {
        print_config(first, size);
    } else if (!strcmp(mode, "config-fuzz") && argc == 5) {
        random_state = strtoull(argv[3], NULL, 0);
        config_fuzz(first, size, strtoul(argv[4], NULL, 0));
    } else if (!strcmp(mode, "credentials") && argc == 4) {
        medium_absent = !strcmp(argv[3], "absent");
        if (!medium_absent)
            medium = slurp(argv[3], &medium_size);
        print_credentials(first, size);
    } else if (argc == 5 && !strcmp(mode, "read")) {
        medium = first;
        medium_size = size;
        print_read(argv[3], strtoul(argv[4], NULL, 0));
    } else if (argc == 6 && !strcmp(mode, "write")) {
        medium = first;
        medium_size = size;
        print_write(argv[2], argv[3], (uint32_t)strtoul(argv[4], NULL, 0), argv[5]);
    } else if (argc == 6 && !strcmp(mode, "fuzz")) {
        medium = first;
        medium_size = size;
        random_state = strtoull(argv[4], NULL, 0);
        fuzz(argv[3], strtoul(argv[5], NULL, 0));
    } else {
        fail("unknown command line");
    }
    if (medium != first)
        free(medium);
    free(first);
    return 0;
}
