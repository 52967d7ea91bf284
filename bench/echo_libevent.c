/*
 * An echo server on libevent's events, in C. Prints the port that it listens on.
 *
 * It waits until a socket is writable only while part of an echo is unsent.
 */

#include "echo_later.h"
#include <event2/event.h>

struct connection {
  struct event *event;
  struct unsent unsent;
};

static struct event_base *base;

static void end(struct connection *connection, int fd) {
  event_free(connection->event);
  free(connection->unsent.data);
  free(connection);
  close(fd);
}

static void on_event(int fd, short events, void *argument);

static void wait_for(struct connection *connection, int fd, short events) {
  event_del(connection->event);
  event_assign(connection->event, base, fd, events | EV_PERSIST, on_event, connection);
  if (event_add(connection->event, NULL) == -1) fail("event_add");
}

static void on_event(int fd, short events, void *argument) {
  struct connection *connection = argument;
  struct unsent *unsent = &connection->unsent;
  if (events & EV_WRITE) {
    if (send_now(fd, unsent, unsent->data, unsent->length) == -1) end(connection, fd);
    else if (unsent->length == 0) wait_for(connection, fd, EV_READ);
    return;
  }
  ssize_t count = recv(fd, buffer, sizeof buffer, 0);
  if (count == -1 && errno == EAGAIN) return;
  if (count <= 0 || send_now(fd, unsent, buffer, count) == -1) end(connection, fd);
  else if (unsent->length > 0) wait_for(connection, fd, EV_WRITE);
}

static void on_connection(int listener, short events, void *argument) {
  (void)events, (void)argument;
  int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
  if (fd == -1) fail("accept4");
  struct connection *connection = calloc(1, sizeof *connection);
  if (connection == NULL) fail("calloc");
  connection->event = event_new(base, fd, EV_READ | EV_PERSIST, on_event, connection);
  if (connection->event == NULL || event_add(connection->event, NULL) == -1) fail("event_add");
}

int main(void) {
  base = event_base_new();
  if (base == NULL) fail("event_base_new");
  struct event *listening = event_new(base, listen_on_loopback(), EV_READ | EV_PERSIST, on_connection, NULL);
  if (listening == NULL || event_add(listening, NULL) == -1) fail("event_add");
  return event_base_dispatch(base);
}
