/* past.py's `Past.symbols` and `Past._chosen`, for one miner after the other: the same numbers. */
#include <stdbool.h>
#include <stdint.h>

/* The finaliser of SplitMix64. */
static uint64_t mixed(uint64_t word) {
    word = (word ^ (word >> 30)) * 0xBF58476D1CE4E5B9u;
    word = (word ^ (word >> 27)) * 0x94D049BB133111EBu;
    return word ^ (word >> 31);
}

void symbols(int64_t n, const uint64_t *numbers, const bool *present, uint8_t *told) {
    for (int64_t m = 0; m < n; m++) told[m] = present[m] ? mixed(numbers[m]) % 255 + 1 : 0;
}

/* Whether no symbol is missing from the gram. */
static bool whole(uint64_t gram) { return !((gram - 0x0101010101010101u) & ~gram & 0x8080808080808080u); }

/* How many symbols differ from the one before. */
static int changes(uint64_t gram) {
    int differ = 0;
    for (uint64_t pairs = gram ^ (gram >> 8), left = 7; left > 0; left--, pairs >>= 8) differ += (pairs & 0xFF) != 0;
    return differ;
}

/* Take `now` into the grams; the rows whose gram is chosen and lively, and its hash; returns how many. */
int64_t chosen(int64_t n, const uint8_t *now, uint64_t *grams, int64_t *rows, uint64_t *hashes) {
    int64_t count = 0;
    for (int64_t m = 0; m < n; m++) {
        grams[m] = grams[m] << 8 | now[m];
        const uint64_t hash = mixed(grams[m]);
        if (hash % SAMPLED || !whole(grams[m]) || changes(grams[m]) < LEAST_LIVELY) continue;
        rows[count] = m;
        hashes[count++] = hash;
    }
    return count;
}
