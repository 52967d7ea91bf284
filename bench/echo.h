/* Functions that the echo servers in C share. */

#define _GNU_SOURCE /* accept4 */
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static char buffer[64 * 1024];

static void fail(const char *what) {
  perror(what);
  exit(1);
}

/* Listens on a free port of the loopback interface, and prints the port. */
static int listen_on_loopback(void) {
  int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (listener == -1) fail("socket");
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t length = sizeof address;
  if (bind(listener, (struct sockaddr *)&address, length) == -1) fail("bind");
  if (listen(listener, SOMAXCONN) == -1) fail("listen");
  if (getsockname(listener, (struct sockaddr *)&address, &length) == -1) fail("getsockname");
  printf("%d\n", ntohs(address.sin_port));
  fflush(stdout);
  return listener;
}
