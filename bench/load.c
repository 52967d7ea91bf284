/*
 * Loads an echo server in a closed loop: each connection has one message in flight at any time.
 *
 * Usage: load <port> <pid of the server> <connections> <idle connections> <bytes> <seconds to warm up> <seconds>
 *        load <port> <connections>
 *
 * Prints one line of JSON: the number of echoed messages, the elapsed time, the processor time of the server (user and
 * system, all threads) and of this program, quantiles of the time per message, the server's resident memory without
 * connections, with all connections at rest, and at the end, and the number of lost connections.
 *
 * Before the clock starts, every connection, including the idle connections, has received one echoed byte. The server
 * has then accepted and registered all of them, and the program reads its resident memory with all connections at rest.
 * After the clock has stopped, a connection that does not receive its last message counts as lost.
 *
 * With two arguments, it opens that many connections, 50 at a time, exchanges one byte on each, and closes them.
 */

#include <arpa/inet.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

struct connection {
  int fd;
  size_t received;
  uint64_t sent_at;
};

/* Connections to open before waiting for their first messages; fewer than the backlog of any server. */
enum { OPENED_AT_ONCE = 50 };
enum { MAX_EVENTS = 1024, BUFFER = 64 * 1024 };
/* Time without an answer after which the server counts as dead. */
enum { PATIENCE_SECONDS = 10 };
/* Connections from one source address; by default, there are 28,232 ephemeral ports. */
enum { PER_ADDRESS = 20000 };

static int port;
static size_t size;
static int epoll;
static char message[BUFFER], buffer[BUFFER];
static uint64_t requests;
static int waiting; /* connections with a message in flight */
static int lost;
static int is_over;

static void fail(const char *what) {
  perror(what);
  exit(1);
}

static uint64_t now(clockid_t clock) {
  struct timespec time;
  if (clock_gettime(clock, &time) == -1) fail("clock_gettime");
  return time.tv_sec * 1000000000ull + time.tv_nsec;
}

/*
 * Histogram of latencies in nanoseconds. Each power of two has 64 equal steps, so the error of a quantile is at most
 * 1/64.
 */
enum { STEP_BITS = 6, STEPS = 1 << STEP_BITS, SLOTS = (64 - STEP_BITS + 1) * STEPS };
static uint64_t histogram[SLOTS];

static int slot_of(uint64_t ns) {
  if (ns < STEPS) return ns;
  int shift = 63 - __builtin_clzll(ns) - STEP_BITS;
  return (shift + 1) * STEPS + (ns >> shift) - STEPS;
}

static double ns_of(int slot) {
  if (slot < STEPS) return slot;
  int shift = slot / STEPS - 1;
  return (double)(STEPS + slot % STEPS) * (1ull << shift);
}

static double quantile_us(double share) {
  uint64_t below = 0;
  for (int slot = 0; slot < SLOTS; slot++) {
    below += histogram[slot];
    if (below > 0 && below >= share * requests) return ns_of(slot) / 1e3;
  }
  return 0;
}

static void send_message(struct connection *connection, size_t bytes) {
  connection->received = 0;
  connection->sent_at = now(CLOCK_MONOTONIC);
  /* Blocks if the socket is not writable, which is rare and short, because the server always reads eventually. */
  if (send(connection->fd, message, bytes, MSG_NOSIGNAL) != (ssize_t)bytes) fail("send");
}

static void receive(struct connection *connection) {
  ssize_t count = recv(connection->fd, buffer, size - connection->received, MSG_DONTWAIT);
  if (count == -1 && (errno == EAGAIN || errno == EINTR)) return;
  if (count <= 0) {
    close(connection->fd);
    waiting--;
    lost++;
    return;
  }
  connection->received += count;
  if (connection->received < size) return;
  if (is_over) {
    waiting--;
    return;
  }
  histogram[slot_of(now(CLOCK_MONOTONIC) - connection->sent_at)]++;
  requests++;
  send_message(connection, size);
}

static int open_connection(int index) {
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd == -1) fail("socket");
  struct timeval patience = {.tv_sec = PATIENCE_SECONDS};
  if (setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience) == -1) fail("setsockopt");
  /* Resets the connection: otherwise, thousands of connections in TIME_WAIT would use up the ports for a minute. */
  struct linger reset = {.l_onoff = 1, .l_linger = 0};
  if (setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset) == -1) fail("setsockopt");
  struct sockaddr_in source = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK + index / PER_ADDRESS)};
  int on = 1; /* connect() chooses the port, which may then be in use for another server */
  if (setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on) == -1) fail("setsockopt");
  if (bind(fd, (struct sockaddr *)&source, sizeof source) == -1) fail("bind");
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (connect(fd, (struct sockaddr *)&address, sizeof address) == -1) fail("connect");
  return fd;
}

static void open_all(struct connection *connections, int count) {
  for (int opened = 0; opened < count;) {
    int first = opened;
    for (; opened < count && opened < first + OPENED_AT_ONCE; opened++) {
      connections[opened].fd = open_connection(opened);
      send_message(&connections[opened], 1);
    }
    for (int i = first; i < opened; i++) {
      if (recv(connections[i].fd, buffer, 1, 0) != 1) fail("recv of the first message");
    }
  }
}

static void run_for(double seconds) {
  static struct epoll_event events[MAX_EVENTS];
  uint64_t end = now(CLOCK_MONOTONIC) + seconds * 1e9;
  while (now(CLOCK_MONOTONIC) < end) {
    int count = epoll_wait(epoll, events, MAX_EVENTS, PATIENCE_SECONDS * 1000);
    if (count == -1 && errno == EINTR) continue;
    if (count == 0) errno = ETIMEDOUT;
    if (count <= 0) fail("epoll_wait");
    for (int i = 0; i < count; i++) receive(events[i].data.ptr);
  }
}

/* Waits for the last message of each connection. */
static void finish(void) {
  static struct epoll_event events[MAX_EVENTS];
  is_over = 1;
  while (waiting > 0) {
    int count = epoll_wait(epoll, events, MAX_EVENTS, PATIENCE_SECONDS * 1000);
    if (count == -1 && errno == EINTR) continue;
    if (count == -1) fail("epoll_wait");
    if (count == 0) break;
    for (int i = 0; i < count; i++) receive(events[i].data.ptr);
  }
  lost += waiting;
}

/* Opens and closes connections, with no more than OPENED_AT_ONCE at any time. */
static void open_and_close(int count) {
  struct connection connections[OPENED_AT_ONCE];
  uint64_t start = now(CLOCK_MONOTONIC);
  for (int opened = 0; opened < count;) {
    int some = count - opened < OPENED_AT_ONCE ? count - opened : OPENED_AT_ONCE;
    open_all(connections, some);
    for (int i = 0; i < some; i++) close(connections[i].fd);
    opened += some;
  }
  printf("{\"seconds\": %.6f}\n", (now(CLOCK_MONOTONIC) - start) / 1e9);
}

static double resident_bytes(int pid) {
  char path[64];
  snprintf(path, sizeof path, "/proc/%d/statm", pid);
  FILE *file = fopen(path, "r");
  long pages;
  if (file == NULL || fscanf(file, "%*d %ld", &pages) != 1) fail(path);
  fclose(file);
  return (double)pages * sysconf(_SC_PAGESIZE);
}

int main(int argc, char **argv) {
  if (argc != 8 && argc != 3) {
    fprintf(stderr, "usage: %s <port> <pid> <connections> <idle> <bytes> <warm-up seconds> <seconds>\n", argv[0]);
    fprintf(stderr, "       %s <port> <connections>\n", argv[0]);
    return 2;
  }
  port = atoi(argv[1]);
  memset(message, 'x', sizeof message);
  if (argc == 3) {
    open_and_close(atoi(argv[2]));
    return 0;
  }
  int pid = atoi(argv[2]), active = atoi(argv[3]), idle = atoi(argv[4]);
  size = atoi(argv[5]);
  if (active < 1 || idle < 0 || size < 1 || size > BUFFER) {
    fprintf(stderr, "%s: at least 1 connection, and from 1 to %d bytes\n", argv[0], BUFFER);
    return 2;
  }
  clockid_t server_clock;
  errno = clock_getcpuclockid(pid, &server_clock);
  if (errno != 0) fail("clock_getcpuclockid");
  epoll = epoll_create1(EPOLL_CLOEXEC);
  if (epoll == -1) fail("epoll_create1");

  /* Idle connections first, as in a server that has run for a long time. */
  struct connection *connections = calloc(idle + active, sizeof *connections);
  if (connections == NULL) fail("calloc");
  double empty = resident_bytes(pid);
  open_all(connections, idle + active);
  double at_rest = resident_bytes(pid);
  for (int i = idle; i < idle + active; i++) {
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = &connections[i]};
    if (epoll_ctl(epoll, EPOLL_CTL_ADD, connections[i].fd, &event) == -1) fail("epoll_ctl");
  }
  for (int i = idle; i < idle + active; i++) send_message(&connections[i], size);
  waiting = active;
  run_for(atof(argv[6]));

  memset(histogram, 0, sizeof histogram);
  requests = 0;
  uint64_t start = now(CLOCK_MONOTONIC);
  uint64_t server_start = now(server_clock), own_start = now(CLOCK_PROCESS_CPUTIME_ID);
  run_for(atof(argv[7]));
  uint64_t server_end = now(server_clock), own_end = now(CLOCK_PROCESS_CPUTIME_ID);
  double seconds = (now(CLOCK_MONOTONIC) - start) / 1e9;
  double in_the_end = resident_bytes(pid);
  finish();

  printf("{\"requests\": %llu, \"seconds\": %.6f, \"serverCpuSeconds\": %.6f, \"loadCpuSeconds\": %.6f, ",
         (unsigned long long)requests, seconds, (server_end - server_start) / 1e9, (own_end - own_start) / 1e9);
  printf("\"p50Us\": %.1f, \"p99Us\": %.1f, \"p999Us\": %.1f, ", quantile_us(0.5), quantile_us(0.99),
         quantile_us(0.999));
  printf("\"emptyBytes\": %.0f, \"restingBytes\": %.0f, \"residentBytes\": %.0f, \"lost\": %d}\n", empty, at_rest,
         in_the_end, lost);
  return 0;
}
