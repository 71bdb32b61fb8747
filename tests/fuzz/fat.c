/* SPDX-License-Identifier: Apache-2.0 */
/* A card as whoever holds it may have written it: pieces of 514 bytes, u16 block and its content; all others are zeros. */
#include "drivers.h"
#include "storage/fat.h"

/* a chain goes through the volume once at most, with a block of the FAT for each of its data */
enum { PIECE = 514, BLOCK = 512, BLOCKS = 65536, READS_MAX = 2 * BLOCKS };

static const uint8_t *pieces;
static size_t count, reads;

static enum storage_error read_block(void *medium, uint32_t lba, uint8_t to[512])
{
    (void)medium;
    if (lba >= BLOCKS || ++reads > READS_MAX)
        abort(); /* beyond the card, or for ever */
    memset(to, 0, BLOCK);
    for (size_t i = 0; i < count; i++)
        if ((pieces[i * PIECE] | (uint32_t)pieces[i * PIECE + 1] << 8) == lba)
            memcpy(to, pieces + i * PIECE + 2, BLOCK);
    return STORAGE_OK;
}

static enum storage_error write_block(void *medium, uint32_t lba, const uint8_t from[512])
{
    (void)medium, (void)from;
    if (lba >= BLOCKS)
        abort();
    return STORAGE_OK;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const paths[] = { "/CREDS/DEVICE.KEY", "/CREDS/VAULT.BIN", "/ROOT.TXT" };
    struct fat_volume volume;
    pieces = data;
    count = size / PIECE;
    if (count == 0 || count > 64)
        return 0;
    reads = 0;
    if (fat_mount(&volume, read_block, write_block, NULL, BLOCKS) != STORAGE_OK)
        return 0;
    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++) {
        struct fat_file file;
        reads = 0;
        if (fat_open(&volume, paths[i], &file) != STORAGE_OK)
            continue;
        uint8_t *bytes = malloc(4096);
        uint32_t n = file.size < 4096 ? file.size : 4096;
        (void)fat_read(&volume, &file, file.size - n, bytes, n);
        reads = 0;
        (void)fat_read(&volume, &file, 0, bytes, n);
        reads = 0;
        (void)fat_write(&volume, &file, n / 2, bytes, n - n / 2);
        free(bytes);
    }
    return 0;
}
