/* SPDX-License-Identifier: Apache-2.0 */
/* The firmware's vault on the host, over flash sectors and an EEPROM that are files, with a supply that can be cut.
 *   host FLASH EEPROM CUT TORN SEED
 * FLASH is the 48 KB of sectors 1..3. Loads the credentials as a boot does and prints the console. Event number CUT (1 ..;
 * 0: none) is the last one: a flash word, a sector erase or an EEPROM page; it happens not at all (TORN 0), by half (1) or,
 * for a page, leaves it erased (2). Both files hold what is left; exit code 9 tells that the supply was cut. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include "board/chip_map.h"
#include "board/format.h"
#include "drivers/console.h"
#include "drivers/eeprom.h"
#include "drivers/flash.h"
#include "drivers/rng.h"
#include "drivers/sdcard.h"
#include "drivers/watchdog.h"
#include "vault/credentials.h"

static uint8_t eeprom[EEPROM_SIZE];
static const char *flash_file, *eeprom_file;
static unsigned long events, cut;
static int torn;
static uint64_t random_state;

static void transfer(const char *path, void *memory, size_t size, bool writing)
{
    FILE *file = fopen(path, writing ? "wb" : "rb");
    size_t done = !file ? 0 : writing ? fwrite(memory, 1, size, file) : fread(memory, 1, size, file);
    if (done != size || fclose(file))
        abort();
}

static void leave(int code)
{
    transfer(flash_file, (void *)(uintptr_t)DATA_START, DATA_SIZE, true);
    transfer(eeprom_file, eeprom, sizeof eeprom, true);
    printf("events=%lu\n", events);
    fflush(stdout);
    _exit(code);
}

static bool last(void) { return ++events == cut; }

enum flash_result flash_unlock(void) { return FLASH_OK; }
void flash_lock(void) { }
enum flash_result flash_erase_sector(unsigned sector)
{
    uint8_t *start = (uint8_t *)(uintptr_t)(DATA_START + (sector - DATA_SECTOR_FIRST) * VAULT_A_SIZE);
    bool ends = last();
    if (!ends || torn)
        memset(start, 0xFF, ends ? VAULT_A_SIZE / 2 : VAULT_A_SIZE);
    if (ends)
        leave(9);
    return FLASH_OK;
}
enum flash_result flash_program_words(uint32_t address, const uint32_t *words, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        uint32_t *at = (uint32_t *)(uintptr_t)(address + 4 * i);
        bool ends = last();
        if (!ends || torn)
            *at &= ends ? words[i] | 0xFFFF0000u : words[i];
        if (ends)
            leave(9);
        if (*at != words[i])
            return FLASH_ERROR_VERIFY;
    }
    return FLASH_OK;
}

enum storage_error eeprom_init(void) { return STORAGE_OK; }
enum storage_error eeprom_read(uint32_t offset, uint8_t *to, uint32_t length)
{
    memcpy(to, eeprom + offset, length);
    return STORAGE_OK;
}
enum storage_error eeprom_write(uint32_t offset, const uint8_t *from, uint32_t length)
{
    while (length) {
        uint32_t rest = EEPROM_PAGE_SIZE - offset % EEPROM_PAGE_SIZE, n = length < rest ? length : rest;
        bool ends = last();
        if (ends && torn == 2)
            memset(eeprom + offset, 0xFF, n);
        else if (!ends || torn)
            memcpy(eeprom + offset, from, ends ? n / 2 : n);
        if (ends)
            leave(9);
        offset += n;
        from += n;
        length -= n;
    }
    return STORAGE_OK;
}
enum storage_error sd_init(struct sd_card *card) { (void)card; return STORAGE_NO_CARD; }
enum storage_error sd_read_block(uint32_t lba, uint8_t to[SD_BLOCK_SIZE]) { (void)lba, (void)to; return STORAGE_NO_CARD; }
enum storage_error sd_write_block(uint32_t lba, const uint8_t from[SD_BLOCK_SIZE])
{
    (void)lba, (void)from;
    return STORAGE_NO_CARD;
}
enum rng_result rng_fill(void *to, size_t length)
{
    uint8_t *bytes = to;
    for (size_t i = 0; i < length; i++) {
        random_state = random_state * 6364136223846793005u + 1442695040888963407u;
        bytes[i] = random_state == 0 ? 0 : (uint8_t)(random_state >> 56);
    }
    return random_state >> 63 && length == 1 ? RNG_ERROR_SEED : RNG_OK;
}
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

static void map(uintptr_t start, size_t size)
{
    void *at = mmap((void *)start, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
    if (at != (void *)start)
        abort();
}

static void print_blob(const char *name, const struct blob *blob)
{
    printf("%s=", name);
    for (size_t i = 0; i < blob->length; i++)
        printf("%02x", blob->data[i]);
    printf("\n");
}

int main(int argc, char **argv)
{
    static struct device_config config;
    struct credentials found;
    uint16_t field;
    if (argc != 6)
        abort();
    flash_file = argv[1];
    eeprom_file = argv[2];
    cut = strtoul(argv[3], NULL, 0);
    torn = atoi(argv[4]);
    random_state = strtoull(argv[5], NULL, 0);
    map(DATA_START, DATA_SIZE);
    map(UID_START & ~4095u, 4096);
    transfer(flash_file, (void *)(uintptr_t)DATA_START, DATA_SIZE, false);
    transfer(eeprom_file, eeprom, sizeof eeprom, false);
    if (config_load(&config, &field) != CONFIG_OK)
        abort();
    enum storage_error error = credentials_load(&config, &found);
    printf("result=%s\n", storage_error_word(error));
    if (!error) {
        for (size_t i = 0; i < found.anchor_count; i++)
            print_blob("anchor", &found.anchors[i]);
        print_blob("certificate", &found.certificate);
        print_blob("key", &found.key);
    }
    const uint8_t *key = found.key.data;
    size_t length = found.key.length;
    bool copied = !(config.scheme->on_chip & 1u << TLV_KEY);
    credentials_wipe(&config, &found);
    for (size_t i = 0; copied && i < length; i++)
        if (key[i])
            abort();
    leave(0);
}
