/*
 * An echo server on libuv's uv_poll_t, in C. Prints the port that it listens on.
 *
 * It waits until a socket is writable only while part of an echo is unsent.
 */

#include "echo_later.h"
#include <uv.h>

struct connection {
  uv_poll_t poll; /* first, so that a pointer to it also points to the connection */
  int fd;
  struct unsent unsent;
};

static void check(int result, const char *what) {
  if (result == 0) return;
  fprintf(stderr, "%s: %s\n", what, uv_strerror(result));
  exit(1);
}

static void on_closed(uv_handle_t *handle) {
  struct connection *connection = (struct connection *)handle;
  close(connection->fd);
  free(connection->unsent.data);
  free(connection);
}

static void end(struct connection *connection) {
  uv_close((uv_handle_t *)&connection->poll, on_closed);
}

static void on_event(uv_poll_t *poll, int status, int events) {
  struct connection *connection = (struct connection *)poll;
  struct unsent *unsent = &connection->unsent;
  if (status < 0) {
    end(connection);
  } else if (events & UV_WRITABLE) {
    if (send_now(connection->fd, unsent, unsent->data, unsent->length) == -1) end(connection);
    else if (unsent->length == 0) check(uv_poll_start(poll, UV_READABLE, on_event), "uv_poll_start");
  } else {
    ssize_t count = recv(connection->fd, buffer, sizeof buffer, 0);
    if (count == -1 && errno == EAGAIN) return;
    if (count <= 0 || send_now(connection->fd, unsent, buffer, count) == -1) end(connection);
    else if (unsent->length > 0) check(uv_poll_start(poll, UV_WRITABLE, on_event), "uv_poll_start");
  }
}

static void on_connection(uv_poll_t *poll, int status, int events) {
  (void)events;
  check(status, "uv_poll");
  uv_os_fd_t listener;
  check(uv_fileno((uv_handle_t *)poll, &listener), "uv_fileno");
  int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
  if (fd == -1 && errno == EAGAIN) return;
  if (fd == -1) fail("accept4");
  struct connection *connection = calloc(1, sizeof *connection);
  if (connection == NULL) fail("calloc");
  connection->fd = fd;
  check(uv_poll_init(poll->loop, &connection->poll, fd), "uv_poll_init");
  check(uv_poll_start(&connection->poll, UV_READABLE, on_event), "uv_poll_start");
}

int main(void) {
  uv_poll_t poll;
  check(uv_poll_init(uv_default_loop(), &poll, listen_on_loopback()), "uv_poll_init");
  check(uv_poll_start(&poll, UV_READABLE, on_connection), "uv_poll_start");
  return uv_run(uv_default_loop(), UV_RUN_DEFAULT);
}
