/* stationd: a small HTTP service that tells how the computer it runs on is doing.
 *
 *   GET /         what this is and what it runs on, as JSON
 *   GET /disks    how full the disks are, as duf tells it
 *   GET /healthz  "ok"
 *
 * Answers are gzip-compressed for clients that accept it.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>
#include <zlib.h>

#ifndef BUILT_FOR
#define BUILT_FOR "unknown"
#endif
#define VERSION "2.4.1"
#define LIMIT (64 * 1024)

static time_t started;

static size_t describe(char *out, size_t room)
{
    struct utsname name;
    uname(&name);
    return (size_t)snprintf(out, room,
        "{\"service\": \"stationd\", \"version\": \"%s\", \"built_for\": \"%s\", \"machine\": \"%s\", "
        "\"kernel\": \"%s\", \"page_size\": %ld, \"up_seconds\": %ld}\n",
        VERSION, BUILT_FOR, name.machine, name.release, sysconf(_SC_PAGESIZE), (long)(time(NULL) - started));
}

/* The output of a program; 0 bytes when it cannot be run. */
static size_t output_of(const char *command, char *out, size_t room)
{
    FILE *pipe = popen(command, "r");
    if (!pipe)
        return 0;
    size_t length = fread(out, 1, room, pipe);
    return pclose(pipe) == 0 ? length : 0;
}

static size_t compress_gzip(const char *data, size_t length, char *out, size_t room)
{
    z_stream stream = {0};
    if (deflateInit2(&stream, Z_DEFAULT_COMPRESSION, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY) != Z_OK)
        return 0;
    stream.next_in = (Bytef *)data;
    stream.avail_in = (uInt)length;
    stream.next_out = (Bytef *)out;
    stream.avail_out = (uInt)room;
    int end = deflate(&stream, Z_FINISH);
    size_t size = room - stream.avail_out;
    deflateEnd(&stream);
    return end == Z_STREAM_END ? size : 0;
}

static void send_all(int client, const char *data, size_t length)
{
    while (length > 0) {
        ssize_t sent = send(client, data, length, MSG_NOSIGNAL);
        if (sent <= 0)
            return;
        data += sent;
        length -= (size_t)sent;
    }
}

static void answer(int client, const char *status, const char *type, const char *body, size_t length, int gzip)
{
    static char packed[LIMIT];
    size_t size = gzip ? compress_gzip(body, length, packed, sizeof packed) : 0;
    char head[256];
    int written = snprintf(head, sizeof head,
        "HTTP/1.1 %s\r\nContent-Type: %s\r\nContent-Length: %zu\r\n%sConnection: close\r\n\r\n",
        status, type, size ? size : length, size ? "Content-Encoding: gzip\r\n" : "");
    send_all(client, head, (size_t)written);
    send_all(client, size ? packed : body, size ? size : length);
}

static void serve(int client)
{
    static char body[LIMIT];
    char request[4096];
    size_t length = 0;
    while (length < sizeof request - 1) {
        ssize_t got = recv(client, request + length, sizeof request - 1 - length, 0);
        if (got <= 0)
            return;
        length += (size_t)got;
        request[length] = '\0';
        if (strstr(request, "\r\n\r\n"))
            break;
    }
    int gzip = strcasestr(request, "accept-encoding: gzip") != NULL;
    if (strncmp(request, "GET / ", 6) == 0) {
        answer(client, "200 OK", "application/json", body, describe(body, sizeof body), gzip);
    } else if (strncmp(request, "GET /disks ", 11) == 0) {
        size_t size = output_of("duf --json --only local", body, sizeof body);
        if (size)
            answer(client, "200 OK", "application/json", body, size, gzip);
        else
            answer(client, "503 Service Unavailable", "text/plain", "duf failed\n", 11, 0);
    } else if (strncmp(request, "GET /healthz ", 13) == 0) {
        answer(client, "200 OK", "text/plain", "ok\n", 3, 0);
    } else {
        answer(client, "404 Not Found", "text/plain", "not found\n", 10, 0);
    }
}

static void stop(int signal_number)
{
    (void)signal_number;
    _exit(0);
}

int main(int argc, char **argv)
{
    started = time(NULL);
    if (argc > 1 && strcmp(argv[1], "--version") == 0) {
        struct utsname name;
        uname(&name);
        printf("stationd %s, built for %s, running on %s, zlib %s\n", VERSION, BUILT_FOR, name.machine, zlibVersion());
        return 0;
    }
    int port = argc > 1 ? atoi(argv[1]) : 8080;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((unsigned short)port)};
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    int yes = 1;
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    if (port < 1 || port > 65535 || bind(listener, (struct sockaddr *)&address, sizeof address) || listen(listener, 64)) {
        fprintf(stderr, "stationd: cannot listen on port %d: %s\n", port, strerror(errno));
        return 1;
    }
    signal(SIGTERM, stop);
    signal(SIGINT, stop);
    printf("stationd %s, built for %s, listens on port %d\n", VERSION, BUILT_FOR, port);
    fflush(stdout);
    for (;;) {
        int client = accept(listener, NULL, NULL);
        if (client < 0)
            continue;
        struct timeval limit = {.tv_sec = 5};
        setsockopt(client, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
        setsockopt(client, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
        serve(client);
        close(client);
    }
}
