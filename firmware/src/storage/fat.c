/* SPDX-License-Identifier: Apache-2.0 */
/* FAT16/FAT32 reader. FAT spec: "Boot Sector and BPB", "FAT Type Determination", "FAT Data Structure", "Directory
 * Structure". Blocks and sectors are both 512 bytes here; volumes with larger sectors do not occur on SD cards. */
#include "storage/fat.h"
#include <stdbool.h>
#include <string.h>

enum {
    BLOCK = 512,
    ENTRY = 32,
    NAME = 11,
    PARTITIONS = 4,
    PARTITION_TABLE = 446,
    PARTITION_ENTRY = 16,
    SIGNATURE = 510
};
enum { ATTRIBUTE_VOLUME = 0x08, ATTRIBUTE_DIRECTORY = 0x10, FREE_LAST = 0x00, FREE = 0xE5 };
enum {
    FAT16_CLUSTERS_MIN = 4085,
    FAT16_CLUSTERS_MAX = 65524,
    FAT32_CLUSTERS_MAX = 0x0FFFFFF5,
    FAT32_MASK = 0x0FFFFFFF,
    CLUSTER_FIRST = 2
};
/* 16384 entries; keeps a directory chain that bites its tail from being read for minutes */
enum { DIRECTORY_BLOCKS_MAX = 1024 };

static uint32_t u16(const uint8_t *at)
{
    return (uint32_t)at[0] | (uint32_t)at[1] << 8;
}
static uint32_t u32(const uint8_t *at)
{
    return u16(at) | u16(at + 2) << 16;
}

/* Reads a block, unless it is in `to` already, whose number is *cached. */
static enum storage_error load_to(struct fat_volume *volume, uint32_t lba, uint32_t *cached, uint8_t to[BLOCK])
{
    if (*cached == lba)
        return STORAGE_OK;
    *cached = UINT32_MAX;
    enum storage_error error = volume->read_block(volume->medium, lba, to);
    if (!error)
        *cached = lba;
    return error;
}

static enum storage_error load(struct fat_volume *volume, uint32_t lba)
{
    return load_to(volume, lba, &volume->cached_lba, volume->block);
}

static bool is_fat32(const struct fat_volume *volume)
{
    return volume->root_entries == 0;
}

/* Fills in the layout from the boot sector in `volume->block`; false: not a volume this code can read. Sums are 64 bits
 * wide, so that no field can wrap them. */
static bool take_layout(struct fat_volume *volume, uint32_t start, uint32_t available)
{
    const uint8_t *boot = volume->block;
    uint32_t cluster_blocks = boot[13], reserved = u16(boot + 14), copies = boot[16], root_entries = u16(boot + 17);
    uint32_t total = u16(boot + 19) ? u16(boot + 19) : u32(boot + 32);
    uint32_t small = u16(boot + 22), fat_blocks = small ? small : u32(boot + 36);
    if (u16(boot + SIGNATURE) != 0xAA55 || (boot[0] != 0xEB && boot[0] != 0xE9) || u16(boot + 11) != BLOCK)
        return false;
    if (cluster_blocks == 0 || (cluster_blocks & (cluster_blocks - 1)) || reserved == 0 || copies < 1 || copies > 2)
        return false;
    /* the FAT spec decides by cluster count alone; formatters also make small FAT32 volumes, with BPB_FATSz16 = 0 */
    bool fat32 = small == 0;
    if (fat32 != (root_entries == 0) || fat_blocks == 0)
        return false;
    uint32_t root_blocks = (root_entries * ENTRY + BLOCK - 1) / BLOCK;
    uint64_t before_data = (uint64_t)reserved + (uint64_t)copies * fat_blocks + root_blocks;
    if (total > available || before_data >= total)
        return false;
    uint32_t clusters = (total - (uint32_t)before_data) / cluster_blocks;
    uint32_t active = 0;
    if (fat32) {
        if (clusters == 0 || clusters > FAT32_CLUSTERS_MAX || u16(boot + 42) != 0)
            return false;
        volume->root_cluster = u32(boot + 44);
        if (volume->root_cluster < CLUSTER_FIRST || volume->root_cluster - CLUSTER_FIRST >= clusters)
            return false;
        if (boot[40] & 0x80) /* BPB_ExtFlags: no mirroring, one FAT is the current one */
            active = boot[40] & 0x0F;
        if (active >= copies)
            return false;
    } else if (clusters < FAT16_CLUSTERS_MIN || clusters > FAT16_CLUSTERS_MAX) {
        return false; /* below is FAT12 */
    }
    if ((uint64_t)fat_blocks * BLOCK / (fat32 ? 4u : 2u) < (uint64_t)clusters + CLUSTER_FIRST)
        return false;
    volume->fat_start = start + reserved + active * fat_blocks;
    volume->fat_blocks = fat_blocks;
    volume->root_start = start + (uint32_t)before_data - root_blocks;
    volume->root_entries = root_entries;
    volume->data_start = start + (uint32_t)before_data;
    volume->clusters = clusters;
    volume->cluster_blocks = cluster_blocks;
    return true;
}

enum storage_error fat_mount(struct fat_volume *volume, fat_read_block *read_block, fat_write_block *write_block,
                             void *medium, uint32_t blocks)
{
    uint8_t table[PARTITIONS * PARTITION_ENTRY];
    memset(volume, 0, sizeof *volume);
    volume->read_block = read_block;
    volume->write_block = write_block;
    volume->medium = medium;
    volume->cached_lba = volume->fat_lba = UINT32_MAX;
    if (blocks == 0)
        return STORAGE_NO_FILESYSTEM;
    enum storage_error error = load(volume, 0);
    if (error)
        return error;
    if (take_layout(volume, 0, blocks))
        return STORAGE_OK;
    if (u16(volume->block + SIGNATURE) != 0xAA55)
        return STORAGE_NO_FILESYSTEM;
    memcpy(table, volume->block + PARTITION_TABLE, sizeof table);
    for (unsigned i = 0; i < PARTITIONS; i++) { /* what a volume is its boot sector says; types are often wrong */
        const uint8_t *entry = table + i * PARTITION_ENTRY;
        uint32_t start = u32(entry + 8), length = u32(entry + 12);
        if (entry[4] == 0 || start == 0 || start >= blocks || length > blocks - start)
            continue;
        if ((error = load(volume, start)))
            return error;
        if (take_layout(volume, start, length))
            return STORAGE_OK;
    }
    return STORAGE_NO_FILESYSTEM;
}

static bool valid(const struct fat_volume *volume, uint32_t cluster)
{
    return cluster >= CLUSTER_FIRST && cluster - CLUSTER_FIRST < volume->clusters;
}

static uint32_t first_block(const struct fat_volume *volume, uint32_t cluster)
{
    return volume->data_start + (cluster - CLUSTER_FIRST) * volume->cluster_blocks;
}

/* The entry of a valid cluster; what it says need not be valid: end of chain, bad, free or damaged. */
static enum storage_error follow(struct fat_volume *volume, uint32_t *cluster)
{
    uint32_t size = is_fat32(volume) ? 4 : 2, per_block = BLOCK / size;
    enum storage_error error = load_to(volume, volume->fat_start + *cluster / per_block, &volume->fat_lba, volume->fat);
    if (error)
        return error;
    const uint8_t *entry = volume->fat + *cluster % per_block * size;
    *cluster = is_fat32(volume) ? u32(entry) & FAT32_MASK : u16(entry);
    return STORAGE_OK;
}

struct found {
    bool directory;
    uint32_t cluster, size;
};

enum scan { SCAN_ON, SCAN_FOUND, SCAN_END };

static enum scan scan_block(const struct fat_volume *volume, const uint8_t name[NAME], unsigned entries,
                            struct found *found)
{
    for (unsigned i = 0; i < entries; i++) {
        const uint8_t *entry = volume->block + i * ENTRY;
        if (entry[0] == FREE_LAST)
            return SCAN_END;
        if (entry[0] == FREE || (entry[11] & ATTRIBUTE_VOLUME) || memcmp(entry, name, NAME) != 0)
            continue; /* long names carry the volume attribute, too */
        found->directory = entry[11] & ATTRIBUTE_DIRECTORY;
        found->cluster = u16(entry + 26) | (is_fat32(volume) ? u16(entry + 20) << 16 : 0);
        found->size = u32(entry + 28);
        return SCAN_FOUND;
    }
    return SCAN_ON;
}

static enum storage_error search_fixed_root(struct fat_volume *volume, const uint8_t name[NAME], struct found *found)
{
    for (uint32_t done = 0; done < volume->root_entries; done += BLOCK / ENTRY) {
        uint32_t left = volume->root_entries - done;
        enum storage_error error = load(volume, volume->root_start + done / (BLOCK / ENTRY));
        if (error)
            return error;
        switch (scan_block(volume, name, left < BLOCK / ENTRY ? left : BLOCK / ENTRY, found)) {
        case SCAN_FOUND:
            return STORAGE_OK;
        case SCAN_END:
            return STORAGE_FILE_MISSING;
        case SCAN_ON:
            break;
        }
    }
    return STORAGE_FILE_MISSING;
}

static enum storage_error search_chain(struct fat_volume *volume, uint32_t cluster, const uint8_t name[NAME],
                                       struct found *found)
{
    uint32_t end_mark = is_fat32(volume) ? 0x0FFFFFF8u : 0xFFF8u;
    uint32_t blocks = 0;
    enum storage_error error;
    while (valid(volume, cluster)) {
        for (uint32_t i = 0; i < volume->cluster_blocks; i++) {
            if (++blocks > DIRECTORY_BLOCKS_MAX)
                return STORAGE_NO_FILESYSTEM;
            if ((error = load(volume, first_block(volume, cluster) + i)))
                return error;
            switch (scan_block(volume, name, BLOCK / ENTRY, found)) {
            case SCAN_FOUND:
                return STORAGE_OK;
            case SCAN_END:
                return STORAGE_FILE_MISSING;
            case SCAN_ON:
                break;
            }
        }
        if ((error = follow(volume, &cluster)))
            return error;
    }
    return cluster >= end_mark ? STORAGE_FILE_MISSING : STORAGE_NO_FILESYSTEM;
}

/* The next component of *path as the 11 bytes of a directory entry; false: not an 8.3 name. */
static bool short_name(const char **path, uint8_t name[NAME])
{
    unsigned at = 0, end = 8;
    memset(name, ' ', NAME);
    for (; **path && **path != '/'; (*path)++) {
        char c = **path;
        if (c == '.' && end == 8 && at > 0) {
            at = 8;
            end = NAME;
        } else if (c == '.' || at == end) {
            return false;
        } else {
            name[at++] = (uint8_t)(c >= 'a' && c <= 'z' ? c - 'a' + 'A' : c);
        }
    }
    return name[0] != ' ';
}

static enum storage_error find(struct fat_volume *volume, const char *path, struct found *found)
{
    uint8_t name[NAME];
    *found = (struct found){ true, volume->root_cluster, 0 };
    for (bool root = true;; root = false) {
        while (*path == '/')
            path++;
        if (!*path)
            return found->directory ? STORAGE_FILE_MISSING : STORAGE_OK;
        if (!found->directory || !short_name(&path, name))
            return STORAGE_FILE_MISSING;
        enum storage_error error = root && !is_fat32(volume) ? search_fixed_root(volume, name, found)
                                                             : search_chain(volume, found->cluster, name, found);
        if (error)
            return error;
    }
}

enum storage_error fat_open(struct fat_volume *volume, const char *path, struct fat_file *file)
{
    struct found found;
    enum storage_error error = find(volume, path, &found);
    /* no file is larger than its volume: whatever the entry says, its chain is followed no further */
    if (!error && found.size > (uint64_t)volume->clusters * volume->cluster_blocks * BLOCK)
        error = STORAGE_NO_FILESYSTEM;
    *file = (struct fat_file){ error ? 0 : found.cluster, error ? 0 : found.size };
    return error;
}

/* What is done with `length` bytes at `at` of the block `lba`. */
typedef enum storage_error fat_visit(struct fat_volume *volume, uint32_t lba, uint32_t at, uint32_t length,
                                     void *bytes);

/* A chain is followed for as many blocks as the range needs, and the range is bounded by the size: loops end, too. */
static enum storage_error walk(struct fat_volume *volume, const struct fat_file *file, uint32_t offset, uint8_t *bytes,
                               uint32_t length, fat_visit *visit)
{
    if (offset > file->size || length > file->size - offset)
        return STORAGE_FILE_TOO_LARGE;
    enum storage_error error = STORAGE_OK;
    uint32_t cluster = file->cluster, cluster_bytes = volume->cluster_blocks * BLOCK;
    for (; length && !error; offset -= cluster_bytes) {
        if (!valid(volume, cluster))
            return STORAGE_NO_FILESYSTEM;
        while (offset < cluster_bytes && length && !error) {
            uint32_t at = offset % BLOCK, n = length < BLOCK - at ? length : BLOCK - at;
            error = visit(volume, first_block(volume, cluster) + offset / BLOCK, at, n, bytes);
            bytes += n;
            offset += n;
            length -= n;
        }
        if (length && !error)
            error = follow(volume, &cluster);
    }
    return error;
}

static enum storage_error visit_read(struct fat_volume *volume, uint32_t lba, uint32_t at, uint32_t length, void *bytes)
{
    enum storage_error error = load(volume, lba);
    if (!error)
        memcpy(bytes, volume->block + at, length);
    return error;
}

static enum storage_error visit_write(struct fat_volume *volume, uint32_t lba, uint32_t at, uint32_t length,
                                      void *bytes)
{
    enum storage_error error = length < BLOCK ? load(volume, lba) : STORAGE_OK;
    if (error)
        return error;
    volume->cached_lba = UINT32_MAX; /* until the medium has it */
    memcpy(volume->block + at, bytes, length);
    error = volume->write_block(volume->medium, lba, volume->block);
    if (!error)
        volume->cached_lba = lba;
    return error;
}

enum storage_error fat_read(struct fat_volume *volume, const struct fat_file *file, uint32_t offset, uint8_t *to,
                            uint32_t length)
{
    return walk(volume, file, offset, to, length, visit_read);
}

enum storage_error fat_write(struct fat_volume *volume, const struct fat_file *file, uint32_t offset,
                             const uint8_t *from, uint32_t length)
{
    return walk(volume, file, offset, (uint8_t *)from, length, visit_write);
}
