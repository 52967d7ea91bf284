/*
 * An echo server on epoll, in C. Prints the port that it listens on.
 *
 * Its sockets block: epoll reports readable sockets, and a peer that does not read its echo delays the others. The
 * servers on CPython's selectors and on this package also block, so that all three do the same work.
 */

#include "echo.h"
#include <sys/epoll.h>

enum { MAX_EVENTS = 1024 };

static int epoll;

static void watch(int fd) {
  struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};
  if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) == -1) fail("epoll_ctl");
}

static void echo(int fd) {
  ssize_t count = recv(fd, buffer, sizeof buffer, 0);
  for (ssize_t sent = 0; sent < count;) {
    ssize_t taken = send(fd, buffer + sent, count - sent, MSG_NOSIGNAL);
    if (taken == -1) count = -1;
    else sent += taken;
  }
  if (count <= 0) close(fd);
}

int main(void) {
  int listener = listen_on_loopback();
  epoll = epoll_create1(EPOLL_CLOEXEC);
  if (epoll == -1) fail("epoll_create1");
  watch(listener);

  static struct epoll_event events[MAX_EVENTS];
  for (;;) {
    int count = epoll_wait(epoll, events, MAX_EVENTS, -1);
    for (int i = 0; i < count; i++) {
      int fd = events[i].data.fd;
      if (fd != listener) {
        echo(fd);
      } else {
        int connection = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
        if (connection == -1) fail("accept4");
        watch(connection);
      }
    }
  }
}
