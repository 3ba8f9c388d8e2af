/* Finding addresses. */
#include "bench/bench_internal.h"

#include <netdb.h>
#include <string.h>

bool endpoint_resolve(struct bench *b, struct endpoint *endpoint)
{
    const struct bench_address *a = &endpoint->address;
    struct addrinfo hints = { .ai_socktype = SOCK_STREAM }, *found = NULL;
    char port[8];
    snprintf(port, sizeof port, "%u", a->port);
    int error = getaddrinfo(a->host, port, &hints, &found);
    if (error != 0) {
        bench_fail(b, "%s cannot be found: %s", a->host, gai_strerror(error));
        return false;
    }
    const struct addrinfo *use = found; /* localhost: servers rather listen on 127.0.0.1 */
    while (use->ai_family != AF_INET && use->ai_next != NULL) {
        use = use->ai_next;
    }
    use = use->ai_family == AF_INET ? use : found;
    memcpy(&endpoint->socket, use->ai_addr, use->ai_addrlen);
    endpoint->socket_bytes = use->ai_addrlen;
    freeaddrinfo(found);
    return true;
}
