/* The search for nonces: equation 1 over one block_data, from nonce to nonce.
 *
 * All full blocks before the nonce are hashed once (the midstate). Where the nonce lies in the last block as it does in
 * a header of the chain (block_data of 24 bytes modulo 64), many nonces are tried at once, in one of the ways of
 * sha256.h; any other block_data is hashed plainly.
 */
#ifndef MINT_SEARCH_H
#define MINT_SEARCH_H

#include "sha256.h"

/* block_data with a hole for the nonce: all full leading blocks are in `midstate`, what follows is in `last`. */
struct job {
    uint32_t midstate[8];
    uint8_t last[128];   /* the rest of block_data, the nonce, the padding */
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
    size_t full = size - size % 64, end = size % 64 + 8;
    for (size_t at = 0; at < full; at += 64) compress(job.midstate, data + at);
    memcpy(job.last, data + full, size % 64);
    job.last[end] = 0x80;
    job.blocks = end + 1 + 8 <= 64 ? 1 : 2;
    store_be64(job.last + 64 * job.blocks - 8, 8 * ((uint64_t)size + 8));
    return job;
}

/* D(h) as 32 bytes big-endian; 2^256, which does not fit, as 2^256 - 1, which all hashes meet as well. */
static void make_target(uint8_t target[32], int difficulty) {
    memset(target, difficulty == 0 ? 0xff : 0, 32);
    int bit = 256 - difficulty;
    if (difficulty > 0) target[31 - bit / 8] = (uint8_t)(1 << (bit % 8));
}

/* Whether one nonce meets the target; its hash is in `solution` then. */
static bool meets(const struct job *job, uint64_t nonce, const uint8_t target[32], struct solution *solution) {
    uint8_t last[sizeof job->last];
    uint32_t state[8];
    memcpy(last, job->last, sizeof last);
    memcpy(state, job->midstate, sizeof state);
    store_be64(last + job->nonce_at, nonce);
    for (int block = 0; block < job->blocks; block++) compress(state, last + 64 * block);
    for (int i = 0; i < 8; i++) store_be32(solution->hash + 4 * i, state[i]);
    solution->nonce = nonce;
    return memcmp(solution->hash, target, 32) <= 0;
}

/* Try `count` nonces upwards from `from`; true if one meets the target (the smallest is taken). */
static bool search(const struct path *path, const struct job *job, const uint8_t target[32], uint64_t from,
                   uint64_t count, struct solution *solution) {
    const bool fast = job->blocks == 1 && job->nonce_at == 4 * NONCE_WORD;
    uint32_t words[16];
    for (int i = 0; i < 16; i++) words[i] = load_be32(job->last + 4 * i);
    for (uint64_t done = 0; done < count;) {
        uint64_t nonce = from + done, group = 1;
        if (fast) {
            words[NONCE_WORD] = (uint32_t)(nonce >> 32), words[NONCE_WORD + 1] = (uint32_t)nonce;
            uint64_t run = (UINT64_C(1) << 32) - words[NONCE_WORD + 1]; /* before the low word runs over */
            if (run > count - done) run = count - done;
            uint64_t passed = path->scan(job->midstate, words, run, load_be32(target));
            if (passed >= run) {
                done += run;
                continue;
            }
            done += passed;
            group = run - passed < (uint64_t)path->lanes ? run - passed : (uint64_t)path->lanes;
        }
        for (; group > 0; group--, done++)
            if (meets(job, from + done, target, solution)) return true;
    }
    return false;
}

#endif
