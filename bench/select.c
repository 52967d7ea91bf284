/*
 * One turn of an event loop in C: epoll_wait() that only looks, and the walk over what it gave.
 *
 * Usage: select [--idle-thread] <how many descriptors are ready>
 *
 * Prints {"ns": <nanoseconds per turn>}. With --idle-thread, a second thread sleeps meanwhile: the kernel then counts
 * the references to every descriptor that it looks up, as it must for Deno, which always has more than one thread.
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

/* The same in select_ours.ts and select.py. */
static const double BATCH_NS = 20e6;
enum { BATCHES = 15 };

static int epoll;
static int ready;
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

static int turn(void) {
  int count = epoll_wait(epoll, events, ready, 0);
  for (int i = 0; i < count; i++) sum += events[i].events;
  return count;
}

static void prepare(void) {
  epoll = epoll_create1(EPOLL_CLOEXEC);
  if (epoll == -1) fail("epoll_create1");
  events = calloc(ready, sizeof *events);
  if (events == NULL) fail("calloc");
  for (int i = 0; i < ready; i++) {
    int fd = eventfd(1, EFD_CLOEXEC | EFD_NONBLOCK);
    if (fd == -1) fail("eventfd");
    struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};
    if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) == -1) fail("epoll_ctl");
  }
  if (turn() != ready) fail("epoll_wait did not give every descriptor");
}

static double time_batch(int turns) {
  double start = now();
  for (int i = 0; i < turns; i++) turn();
  return (now() - start) / turns;
}

/* Runs longer and longer batches, and gives the number of turns in one that is long enough. */
static int warm_up(void) {
  int turns = 1;
  while (time_batch(turns) * turns < BATCH_NS) turns *= 2;
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
  ready = atoi(argv[argc - 1]);
  if (ready < 1) {
    fprintf(stderr, "usage: %s [--idle-thread] <how many descriptors are ready>\n", argv[0]);
    return 2;
  }
  pthread_t thread;
  if (strcmp(argv[1], "--idle-thread") == 0 && pthread_create(&thread, NULL, sleep_for_ever, NULL) != 0) {
    fail("pthread_create");
  }
  prepare();
  int turns = warm_up();
  double batches[BATCHES];
  for (int i = 0; i < BATCHES; i++) batches[i] = time_batch(turns);
  qsort(batches, BATCHES, sizeof *batches, ascending);
  printf("{\"ns\": %.2f}\n", batches[BATCHES / 2]);
  return sum == 0;
}
