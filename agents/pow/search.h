/* The search for nonces: equation 1 over one block_data, from nonce to nonce.
 *
 * All that stays the same from nonce to nonce is hashed once (the midstate), and several nonces are hashed at once, so
 * that one's waiting is another's working.
 */
#ifndef MINT_SEARCH_H
#define MINT_SEARCH_H

#include "sha256.h"

/* block_data with a hole for the nonce: all full leading blocks are in `midstate`, what follows is in `last`. */
struct job {
    uint32_t midstate[8];
    uint8_t last[2][64]; /* the rest of block_data, the nonce, the padding */
    int blocks;          /* how many of `last` there are */
    int nonce_at;        /* where in them the nonce begins */
};

struct solution {
    uint64_t nonce;
    uint8_t hash[32];
};

static struct job make_job(const uint8_t *data, size_t size) {
    struct job job = {.nonce_at = (int)(size % 64)};
    memcpy(job.midstate, INITIAL, sizeof INITIAL);
    size_t full = size - size % 64;
    for (size_t at = 0; at < full; at += 64) {
        uint8_t block[1][64];
        memcpy(block, data + at, 64);
        compress_portable(&job.midstate, (const uint8_t(*)[64])block);
    }
    uint8_t *last = &job.last[0][0];
    memcpy(last, data + full, size % 64);
    size_t end = size % 64 + 8;
    last[end] = 0x80;
    job.blocks = end + 1 + 8 <= 64 ? 1 : 2;
    store_be64(last + 64 * job.blocks - 8, 8 * ((uint64_t)size + 8));
    return job;
}

/* D(h) as 32 bytes big-endian; 2^256, which does not fit, as 2^256 - 1, which all hashes meet as well. */
static void make_target(uint8_t target[32], int difficulty) {
    memset(target, difficulty == 0 ? 0xff : 0, 32);
    int bit = 256 - difficulty;
    if (difficulty > 0) target[31 - bit / 8] = (uint8_t)(1 << (bit % 8));
}

/* Try `count` nonces upwards from `from`; true if one meets the target (the smallest is taken). */
static bool search(const struct path *path, const struct job *job, const uint8_t target[32], uint64_t from,
                   uint64_t count, struct solution *solution) {
    uint8_t blocks[2][MAX_LANES][64] __attribute__((aligned(64)));
    uint32_t state[MAX_LANES][8] __attribute__((aligned(64)));
    const uint32_t enough = load_be32(target);
    for (int block = 0; block < 2; block++)
        for (int lane = 0; lane < MAX_LANES; lane++) memcpy(blocks[block][lane], job->last[block], 64);

    for (uint64_t done = 0; done < count; done += (uint64_t)path->lanes) {
        for (int lane = 0; lane < path->lanes; lane++) {
            memcpy(state[lane], job->midstate, sizeof job->midstate);
            uint64_t nonce = from + done + (uint64_t)lane;
            if (job->nonce_at <= 64 - 8) {
                store_be64(blocks[0][lane] + job->nonce_at, nonce);
            } else { /* it lies across the end of the first block */
                uint8_t bytes[8];
                store_be64(bytes, nonce);
                int first = 64 - job->nonce_at;
                memcpy(blocks[0][lane] + job->nonce_at, bytes, (size_t)first);
                memcpy(blocks[1][lane], bytes + first, (size_t)(8 - first));
            }
        }
        for (int block = 0; block < job->blocks; block++)
            path->compress(state, (const uint8_t(*)[64])blocks[block]);
        for (int lane = 0; lane < path->lanes; lane++) {
            if (state[lane][0] > enough) continue;
            for (int i = 0; i < 8; i++) store_be32(solution->hash + 4 * i, state[lane][i]);
            if (memcmp(solution->hash, target, 32) > 0 || done + (uint64_t)lane >= count) continue;
            solution->nonce = from + done + (uint64_t)lane;
            return true;
        }
    }
    return false;
}

#endif
