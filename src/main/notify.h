/* Tells whoever supervises the process how it is doing: systemd, or our own `quorate up`. */
#ifndef MAIN_NOTIFY_H
#define MAIN_NOTIFY_H

/* Sends `text` ("READY=1", "STATUS=...", several lines) to the socket named by NOTIFY_SOCKET, as
 * sd_notify(3) describes. Does nothing when that is not set. Returns 0 or a negative errno: nobody
 * should stop because his supervisor does not listen. */
int notify_supervisor(const char *text);

#endif
