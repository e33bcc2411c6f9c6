/* MinT's proof-of-work miner: equation 1 of the paper,
 *
 *     hash_block = SHA-256(block_data | nonce) <= D(h) = 2^(256-h)
 *
 * block_data is a byte string, nonce 8 bytes big-endian, h the difficulty in leading zero bits. equation.py is the
 * readable reference; the two are tested against each other.
 *
 * One thread, no network, no keys, no files, nothing but libc: what it takes is CPU. Speed matters, for whatever this
 * program leaves unused is a cheat's to gain.
 *
 * sha256.h holds the compression function, search.h the search over nonces, work.h the exchange of work with the
 * device's agent; here are the self-test, the modes and the options.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <time.h>

#include "search.h"
#include "work.h"

enum { USAGE_ERROR = 2, MACHINE_ERROR = 3 };

static void print_hex(FILE *out, const uint8_t *bytes, size_t size) {
    for (size_t i = 0; i < size; i++) fprintf(out, "%02x", bytes[i]);
}

static double cpu_seconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

/* ---- The self-test ---- */

/* FIPS 180-4's published vectors of one block ("abc") and of two, on the plain compression. */
static bool compression_is_right(void) {
    static const char TWO[] = "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq";
    static const uint32_t ABC_HASH[8] = {0xba7816bf, 0x8f01cfea, 0x414140de, 0x5dae2223,
                                         0xb00361a3, 0x96177a9c, 0xb410ff61, 0xf20015ad};
    static const uint32_t TWO_HASH[8] = {0x248d6a61, 0xd20638b8, 0xe5c02693, 0x0c3e6039,
                                         0xa33ce459, 0x64ff2167, 0xf6ecedd4, 0x19db06c1};
    uint32_t one[8], two[8];
    uint8_t blocks[3][64] = {"abc\x80"};
    memcpy(blocks[1], TWO, sizeof TWO - 1);
    blocks[1][sizeof TWO - 1] = 0x80;
    store_be64(blocks[0] + 56, 24);
    store_be64(blocks[2] + 56, 8 * (sizeof TWO - 1));
    memcpy(one, INITIAL, sizeof one);
    memcpy(two, INITIAL, sizeof two);
    compress(one, blocks[0]);
    compress(two, blocks[1]);
    compress(two, blocks[2]);
    return !memcmp(one, ABC_HASH, sizeof one) && !memcmp(two, TWO_HASH, sizeof two);
}

/* The path finds the nonces that the plain compression finds, all of them and no others: on templates of several
 * lengths, and over the end of the nonce's low word. */
static bool path_is_right(const struct path *path) {
    enum { TRIES = 2000 };
    uint8_t data[WORK_DATA], target[32];
    for (int i = 0; i < WORK_DATA; i++) data[i] = (uint8_t)(37 * i + 11);
    make_target(target, 7);
    for (size_t size = 24; size <= sizeof data; size += 64) {
        struct job job = make_job(data, size);
        struct solution ours = {0}, plain = {0};
        uint64_t from = 0xfffffc00 + size, end = from + TRIES;
        for (uint64_t nonce = from; nonce < end; nonce++) {
            if (!meets(&job, nonce, target, &plain)) continue;
            if (!search(path, &job, target, from, end - from, &ours)) return false;
            if (ours.nonce != nonce || memcmp(ours.hash, plain.hash, 32)) return false;
            if (!search(path, &job, plain.hash, nonce, 1, &ours)) return false; /* a target that is met just so */
            from = nonce + 1;
        }
        if (search(path, &job, target, from, end - from, &ours)) return false;
    }
    return compression_is_right();
}

static int selftest(void) {
    int failed = 0;
    for (int i = 0; i < PATH_COUNT; i++) {
        bool can = PATHS[i].supported(), right = can && path_is_right(&PATHS[i]);
        printf("{\"path\":\"%s\",\"lanes\":%d,\"supported\":%s,\"right\":%s}\n", PATHS[i].name, PATHS[i].lanes,
               can ? "true" : "false", right ? "true" : "false");
        failed |= can && !right;
    }
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

/* ---- The modes ---- */

enum { CHUNK = 1 << 20 }; /* nonces between two looks at the clock: some 50 ms */

/* Block headers of the chain, as `--work` has them, without ever a solution. */
static int bench(const struct path *path, double seconds) {
    uint8_t data[WORK_DATA] = {0}, never[32] = {0};
    struct job job = make_job(data, sizeof data);
    struct solution unused;
    uint64_t hashes = 0;
    double begin = cpu_seconds(), spent;
    do {
        search(path, &job, never, hashes, CHUNK / 16, &unused);
        hashes += CHUNK / 16;
        spent = cpu_seconds() - begin;
    } while (spent < seconds);
    printf("{\"path\":\"%s\",\"hashes_per_cpu_second\":%.0f,\"hashes\":%llu,\"cpu_seconds\":%.6f}\n", path->name,
           (double)hashes / spent, (unsigned long long)hashes, spent);
    return EXIT_SUCCESS;
}

static int solve(const struct path *path, const uint8_t *data, size_t size, int difficulty, uint64_t from,
                 uint64_t count) {
    uint8_t target[32];
    make_target(target, difficulty);
    struct job job = make_job(data, size);
    struct solution solution;
    if (!search(path, &job, target, from, count, &solution)) {
        printf("{\"path\":\"%s\",\"nonce\":null,\"hash\":null}\n", path->name);
        return EXIT_SUCCESS;
    }
    printf("{\"path\":\"%s\",\"nonce\":%llu,\"hash\":\"", path->name, (unsigned long long)solution.nonce);
    print_hex(stdout, solution.hash, 32);
    puts("\"}");
    return EXIT_SUCCESS;
}

/* Block after block, each on the one before: block_data is the previous block's hash (32 bytes, zeros before the first
 * block), the miner's name (32 bytes, zero-padded), 16 zeros and the height (8 bytes big-endian): one full block that
 * goes into the midstate, and one that holds the nonce where a header of the chain has it. */
static int mine(const struct path *path, const char *miner, int difficulty) {
    uint8_t data[88] = {0}, target[32];
    memcpy(data + 32, miner, strlen(miner));
    make_target(target, difficulty);
    uint64_t hashes = 0;
    for (uint64_t height = 1;; height++) {
        store_be64(data + 80, height);
        struct job job = make_job(data, sizeof data);
        struct solution solution;
        uint64_t from = 0;
        while (!search(path, &job, target, from, CHUNK, &solution)) from += CHUNK;
        hashes += solution.nonce + 1;
        printf("{\"miner\":\"%s\",\"height\":%llu,\"nonce\":%llu,\"hash\":\"", miner, (unsigned long long)height,
               (unsigned long long)solution.nonce);
        print_hex(stdout, solution.hash, 32);
        printf("\",\"hashes\":%llu,\"cpu_seconds\":%.6f}\n", (unsigned long long)hashes, cpu_seconds());
        if (fflush(stdout)) return EXIT_FAILURE; /* nobody listens any more */
        memcpy(data, solution.hash, 32);
    }
}

/* ---- The options ---- */

static const char HELP[] =
    "usage: miner [--miner NAME] [--difficulty H] [--path PATH] [--parent PID]   mine, one JSON line a block\n"
    "       miner --work SOCKET [--path PATH] [--parent PID]     what the agent at SOCKET gives\n"
    "       miner --solve HEXDATA [--difficulty H] [--from N] [--count K] [--path PATH]\n"
    "       miner --bench SECONDS [--path PATH]                  hashes per second of CPU time\n"
    "       miner --selftest\n"
    "H: leading zero bits, 0 to 256 (24).\n"
    "PATH: shani, avx512, avx2, armv8, neon or portable (else what is fastest here).\n"
    "PID: the process to end with.\n";

static void wrong(const char *what, const char *value, const char *mend) {
    fprintf(stderr, "miner: %s %s: %s\n", what, value, mend);
    exit(USAGE_ERROR);
}

static uint64_t number(const char *option, const char *text, uint64_t most) {
    char *end;
    errno = 0;
    unsigned long long value = strtoull(text, &end, 10);
    if (errno || end == text || *end || *text == '-' || value > most) wrong(option, text, "not a number in range");
    return value;
}

/* What hashes fastest here: that differs from processor to processor, so it is measured, in some 5 ms. The quickest of
 * a few short runs, for a longer one may have been disturbed. */
static const struct path *fastest_path(void) {
    enum { RUNS = 5, HASHES = 2048 };
    uint8_t data[WORK_DATA] = {0}, never[32] = {0};
    struct job job = make_job(data, sizeof data);
    struct solution unused;
    const struct path *fastest = PORTABLE;
    double least = 1e9;
    for (int i = 0; i < PATH_COUNT; i++)
        for (int run = 0; run < RUNS && PATHS[i].supported(); run++) {
            double begin = cpu_seconds();
            search(&PATHS[i], &job, never, 0, HASHES, &unused);
            double spent = cpu_seconds() - begin;
            if (spent < least) least = spent, fastest = &PATHS[i];
        }
    return fastest;
}

static const struct path *choose_path(const char *wanted) {
    if (!wanted) return fastest_path();
    for (int i = 0; i < PATH_COUNT; i++)
        if (!strcmp(wanted, PATHS[i].name) && PATHS[i].supported()) return &PATHS[i];
    wrong("--path", wanted, "this processor has no such path");
    return NULL;
}

static uint8_t *from_hex(const char *text, size_t *size) {
    *size = strlen(text) / 2;
    uint8_t *data = malloc(*size + 1);
    if (!data) exit(MACHINE_ERROR);
    for (size_t i = 0; i < *size; i++)
        if (strspn(text + 2 * i, "0123456789abcdefABCDEF") < 2 || sscanf(text + 2 * i, "%2hhx", &data[i]) != 1)
            wrong("--solve", text, "not hexadecimal");
    if (strlen(text) % 2) wrong("--solve", text, "an odd number of digits");
    return data;
}

static void check_name(const char *name) {
    size_t size = strlen(name);
    if (size < 1 || size > 32 || strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_") != size)
        wrong("--miner", name, "use 1 to 32 of a-z, 0-9 and _");
}

/* The first process of a container ignores signals that it has no handler for. */
static void end_now(int signal) {
    (void)signal;
    _exit(EXIT_SUCCESS);
}

int main(int argc, char **argv) {
    static const struct option OPTIONS[] = {
        {"miner", required_argument, 0, 'm'}, {"difficulty", required_argument, 0, 'd'},
        {"path", required_argument, 0, 'p'},  {"parent", required_argument, 0, 'P'},
        {"solve", required_argument, 0, 's'}, {"from", required_argument, 0, 'f'},
        {"count", required_argument, 0, 'c'}, {"bench", required_argument, 0, 'b'},
        {"work", required_argument, 0, 'w'},  {"selftest", no_argument, 0, 't'},
        {"help", no_argument, 0, 'h'},
        {0, 0, 0, 0}};
    const char *miner = "miner", *wanted = NULL, *hex = NULL, *at = NULL;
    int difficulty = 24, mode = 'm', option;
    uint64_t from = 0, count = UINT64_MAX, seconds = 0, parent = 0;
    opterr = 0;
    while ((option = getopt_long(argc, argv, "", OPTIONS, NULL)) != -1) switch (option) {
            case 'm': check_name(miner = optarg); break;
            case 'd': difficulty = (int)number("--difficulty", optarg, 256); break;
            case 'p': wanted = optarg; break;
            case 'P': parent = number("--parent", optarg, INT32_MAX); break;
            case 'f': from = number("--from", optarg, UINT64_MAX); break;
            case 'c': count = number("--count", optarg, UINT64_MAX); break;
            case 's': mode = 's', hex = optarg; break;
            case 'b': mode = 'b', seconds = number("--bench", optarg, 3600); break;
            case 'w': mode = 'w', at = optarg; break;
            case 't': mode = 't'; break;
            case 'h': return fputs(HELP, stdout) < 0;
            default: wrong("option", argv[optind - 1], "unknown or without its value; see --help");
        }
    if (optind < argc) wrong("argument", argv[optind], "not expected; see --help");

    struct sigaction action = {.sa_handler = end_now};
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGINT, &action, NULL);
    if (parent) { /* whoever started it may have ended before the request below was in force */
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if ((uint64_t)getppid() != parent) return EXIT_SUCCESS;
    }

    const struct path *path = choose_path(wanted);
    if (mode == 't') return selftest();
    if (mode == 's') {
        size_t size;
        uint8_t *data = from_hex(hex, &size);
        int code = solve(path, data, size, difficulty, from, count);
        free(data);
        return code;
    }
    if (!path_is_right(path)) {
        fprintf(stderr, "miner: this processor computes SHA-256 wrongly on path %s: try --path portable\n", path->name);
        return MACHINE_ERROR;
    }
    if (mode == 'b') return bench(path, (double)seconds);
    if (mode == 'w') exchange(path, at);
    return mine(path, miner, difficulty);
}
