/* wait-for HOST PORT [SECONDS]: ends with 0 as soon as the port takes a TCP connection, with 1 after SECONDS (30). */

#define _POSIX_C_SOURCE 200809L

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static const int attempt_milliseconds = 1000;

static int connects(const struct addrinfo *address)
{
    int fd = socket(address->ai_family, address->ai_socktype, address->ai_protocol);
    if (fd < 0)
        return 0;
    int failure = 0;
    socklen_t size = sizeof failure;
    fcntl(fd, F_SETFL, O_NONBLOCK);
    if (connect(fd, address->ai_addr, address->ai_addrlen) != 0) {
        struct pollfd writable = {.fd = fd, .events = POLLOUT};
        failure = errno;
        if (failure == EINPROGRESS && poll(&writable, 1, attempt_milliseconds) == 1)
            getsockopt(fd, SOL_SOCKET, SO_ERROR, &failure, &size);
    }
    close(fd);
    return failure == 0;
}

static int answers(const char *host, const char *port)
{
    struct addrinfo wanted = {.ai_socktype = SOCK_STREAM};
    struct addrinfo *found;
    if (getaddrinfo(host, port, &wanted, &found) != 0)
        return 0;
    int answer = 0;
    for (struct addrinfo *one = found; one && !answer; one = one->ai_next)
        answer = connects(one);
    freeaddrinfo(found);
    return answer;
}

static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

int main(int count, char **words)
{
    int help = count == 2 && strcmp(words[1], "--help") == 0;
    if (help || count < 3 || count > 4) {
        fputs("usage: wait-for HOST PORT [SECONDS]\n", help ? stdout : stderr);
        return help ? 0 : 2;
    }
    double end = now() + (count == 4 ? atof(words[3]) : 30);
    const struct timespec pause = {.tv_nsec = 200000000};
    while (!answers(words[1], words[2])) {
        if (now() >= end) {
            fprintf(stderr, "wait-for: %s:%s does not answer\n", words[1], words[2]);
            return 1;
        }
        nanosleep(&pause, NULL);
    }
    return 0;
}
