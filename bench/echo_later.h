/*
 * Sends on sockets that do not block, for the echo servers on libevent and libuv: libuv makes every socket that it
 * polls non-blocking.
 */

#include "echo.h"

/* The part of an echo for which there was no room. */
struct unsent {
  char *data;
  size_t length;
};

/* Sends at once as much as there is room for, and keeps the rest. Returns -1 if the connection is over. */
static int send_now(int fd, struct unsent *unsent, const char *data, size_t length) {
  ssize_t sent = send(fd, data, length, MSG_NOSIGNAL);
  if (sent == -1 && errno != EAGAIN) return -1;
  if (sent == -1) sent = 0;
  char *rest = NULL;
  size_t left = length - sent;
  if (left > 0) {
    rest = malloc(left);
    if (rest == NULL) fail("malloc");
    memcpy(rest, data + sent, left);
  }
  free(unsent->data); /* `data` may point to it */
  unsent->data = rest;
  unsent->length = left;
  return 0;
}
