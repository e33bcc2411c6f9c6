/* The exchange of work: the agent of this device gives work over a Unix socket, and is told every nonce that meets its
 * target. work.py says the same in Python, exchange.py is the agent's side.
 *
 *     agent to miner   "MiNTwrk1" | id (8) | first nonce (8) | block_data (152) | target (32)   new work replaces old
 *     miner to agent   id (8) | nonce (8)                                                each once, smallest first
 *
 * All numbers are big-endian. 152 bytes of block_data: all but the last block of SHA-256 go into the midstate, and a
 * nonce costs one compression. A miner that is not connected, or was not given work, waits and uses nothing; what it
 * had is forgotten with the connection, for nobody could be told of what it finds.
 */
#ifndef MINT_WORK_H
#define MINT_WORK_H

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "search.h"

enum {
    WORK_DATA = 152,
    /* Nonces between two looks at the socket: 0.4 ms at eighty million a second, 8 ms at four million. A look takes
     * some 0.15 us. */
    LOOK = 1 << 15,
    RETRY_MS = 200, /* a moment of an agent's restart, and nothing in CPU */
};

struct work {
    uint8_t magic[8], id[8], from[8], data[WORK_DATA], target[32];
};
_Static_assert(sizeof(struct work) == 208, "as it is sent");

/* A connection to the agent, or -1 where there is none yet. A socket's address holds 107 characters, a path may have
 * more: its folder is named by a descriptor. */
static int dial(const char *path) {
    char folder[PATH_MAX];
    const char *slash = strrchr(path, '/');
    snprintf(folder, sizeof folder, "%.*s", slash ? (int)(slash - path) + 1 : 1, slash ? path : ".");
    int at = open(folder, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (at < 0) return -1;
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    int size = snprintf(to.sun_path, sizeof to.sun_path, "/proc/self/fd/%d/%s", at, slash ? slash + 1 : path);
    int fd = size < (int)sizeof to.sun_path ? socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0) : -1;
    if (fd >= 0 && connect(fd, (struct sockaddr *)&to, sizeof to)) {
        close(fd);
        fd = -1;
    }
    close(at);
    return fd;
}

/* Tell the agent of a nonce; waits where it does not read. False: it has gone. */
static bool tell(int fd, const struct work *work, uint64_t nonce) {
    uint8_t message[16];
    memcpy(message, work->id, 8);
    store_be64(message + 8, nonce);
    for (size_t sent = 0; sent < sizeof message;) {
        ssize_t more = send(fd, message + sent, sizeof message - sent, MSG_NOSIGNAL);
        if (more < 0 && errno != EINTR) return false;
        if (more > 0) sent += (size_t)more;
    }
    return true;
}

/* Do what the agent gives until it has gone. */
static void serve(const struct path *path, int fd) {
    struct work coming, work;
    struct job job;
    size_t have = 0;
    bool busy = false;
    uint64_t next = 0;
    for (;;) {
        ssize_t got = recv(fd, (uint8_t *)&coming + have, sizeof coming - have, busy ? MSG_DONTWAIT : 0);
        if (got > 0) {
            have += (size_t)got;
            if (have < sizeof coming) continue;
            if (memcmp(coming.magic, "MiNTwrk1", 8)) {
                fputs("miner: the agent gives another kind of work: it is of another version\n", stderr);
                return;
            }
            work = coming, have = 0, busy = true, next = load_be64(work.from);
            job = make_job(work.data, sizeof work.data);
            continue; /* there may be newer work */
        }
        if (got == 0 || (errno != EAGAIN && errno != EINTR)) return;
        if (!busy) continue;
        uint64_t count = UINT64_MAX - next < LOOK ? UINT64_MAX - next + 1 : LOOK;
        struct solution solution;
        if (search(path, &job, work.target, next, count, &solution)) {
            if (!tell(fd, &work, solution.nonce)) return;
            next = solution.nonce + 1;
        } else {
            next += count;
        }
        busy = next != 0; /* 0: there is no nonce left */
    }
}

/* Work for the agent that listens at `socket_path`, whenever there is one. */
static _Noreturn void exchange(const struct path *path, const char *socket_path) {
    const struct timespec pause = {.tv_nsec = RETRY_MS * 1000000};
    for (;; nanosleep(&pause, NULL)) {
        int fd = dial(socket_path);
        if (fd < 0) continue;
        serve(path, fd);
        close(fd);
    }
}

#endif
