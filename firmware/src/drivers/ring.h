/* SPDX-License-Identifier: Apache-2.0 */
/* Byte ring for one producer and one consumer (an interrupt and the main program) on one core. */
#ifndef RING_H
#define RING_H
#include <stdbool.h>
#include <stdint.h>

/* `mask` + 1 bytes of data, a power of two. Both counters run freely; the producer writes only head, the
 * consumer only tail. */
struct ring {
    uint8_t *data;
    uint32_t mask;
    volatile uint32_t head, tail;
};

static inline uint32_t ring_used(const struct ring *ring)
{
    return ring->head - ring->tail;
}

static inline bool ring_put(struct ring *ring, uint8_t byte)
{
    uint32_t head = ring->head;
    if (head - ring->tail > ring->mask)
        return false;
    ring->data[head & ring->mask] = byte;
    __asm volatile("" ::: "memory"); /* the byte must be there before the consumer may see it */
    ring->head = head + 1u;
    return true;
}

static inline bool ring_get(struct ring *ring, uint8_t *byte)
{
    uint32_t tail = ring->tail;
    if (tail == ring->head)
        return false;
    __asm volatile("" ::: "memory");
    *byte = ring->data[tail & ring->mask];
    __asm volatile("" ::: "memory"); /* taken before the producer may reuse the place */
    ring->tail = tail + 1u;
    return true;
}
#endif
