/*
 * Times the system calls of a selector's methods, in C.
 *
 * Usage: micro [--idle-thread] select|register|modify <number of ready descriptors> <number of idle descriptors>
 *
 * Prints {"ns": <nanoseconds per turn>}. A turn of `select` is an epoll_wait() that does not wait, and a loop over its
 * events. A turn of `register` is two epoll_ctl() calls, to add and remove a descriptor. A turn of `modify` is one
 * epoll_ctl() call that changes the events. With --idle-thread, a second thread sleeps meanwhile: the kernel then
 * counts references to every descriptor that it looks up, as it does for Deno, which always has several threads.
 */

#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

/* The same values as in micro_ours.ts and micro.py. */
static const double BATCH_NS = 20e6;
enum { BATCHES = 15 };

static int epoll;
static int room;
static int spare;
static struct epoll_event *events;
static uint64_t sum;

static void fail(const char *what) {
  perror(what);
  exit(1);
}

static double now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return time.tv_sec * 1e9 + time.tv_nsec;
}

static void control(int operation, int fd, uint32_t mask) {
  struct epoll_event event = {.events = mask, .data.fd = fd};
  if (epoll_ctl(epoll, operation, fd, &event) == -1) fail("epoll_ctl");
}

static int turn_select(void) {
  int count = epoll_wait(epoll, events, room, 0);
  for (int i = 0; i < count; i++) sum += events[i].events;
  return count;
}

static int turn_register(void) {
  control(EPOLL_CTL_ADD, spare, EPOLLIN);
  control(EPOLL_CTL_DEL, spare, 0);
  return 0;
}

static int turn_modify(void) {
  static uint32_t mask = EPOLLIN;
  mask ^= EPOLLOUT;
  control(EPOLL_CTL_MOD, spare, mask);
  return 0;
}

static int make_eventfd(int value) {
  int fd = eventfd(value, EFD_CLOEXEC | EFD_NONBLOCK);
  if (fd == -1) fail("eventfd");
  return fd;
}

static void prepare(int ready, int idle) {
  epoll = epoll_create1(EPOLL_CLOEXEC);
  if (epoll == -1) fail("epoll_create1");
  spare = make_eventfd(0);
  room = ready + idle + 1;
  events = calloc(room, sizeof *events);
  if (events == NULL) fail("calloc");
  for (int i = 0; i < ready + idle; i++) control(EPOLL_CTL_ADD, make_eventfd(i < ready), EPOLLIN);
  if (turn_select() != ready) fail("epoll_wait did not give every ready descriptor");
}

static double time_batch(int (*turn)(void), int turns) {
  double start = now();
  for (int i = 0; i < turns; i++) turn();
  return (now() - start) / turns;
}

/* Runs increasingly long batches, and returns the number of turns in the first batch that is long enough. */
static int warm_up(int (*turn)(void)) {
  int turns = 1;
  while (time_batch(turn, turns) * turns < BATCH_NS) turns *= 2;
  return turns;
}

static int ascending(const void *a, const void *b) {
  double left = *(const double *)a, right = *(const double *)b;
  return (left > right) - (left < right);
}

static void *sleep_for_ever(void *unused) {
  for (;;) pause();
  return unused;
}

int main(int argc, char **argv) {
  if (argc < 4 || argc > 5) {
    fprintf(stderr, "usage: %s [--idle-thread] select|register|modify <ready> <idle>\n", argv[0]);
    return 2;
  }
  const char *measure = argv[argc - 3];
  int (*turn)(void) = turn_select;
  if (strcmp(measure, "register") == 0) turn = turn_register;
  if (strcmp(measure, "modify") == 0) turn = turn_modify;
  pthread_t thread;
  if (strcmp(argv[1], "--idle-thread") == 0 && pthread_create(&thread, NULL, sleep_for_ever, NULL) != 0) {
    fail("pthread_create");
  }
  prepare(atoi(argv[argc - 2]), atoi(argv[argc - 1]));
  if (turn == turn_modify) control(EPOLL_CTL_ADD, spare, EPOLLIN);
  int turns = warm_up(turn);
  double batches[BATCHES];
  for (int i = 0; i < BATCHES; i++) batches[i] = time_batch(turn, turns);
  qsort(batches, BATCHES, sizeof *batches, ascending);
  printf("{\"ns\": %.2f}\n", batches[BATCHES / 2]);
  return sum == 0 && turn == turn_select;
}
