/*
 * Wraps libc: makes the n-th call of a function fail, limits every wait, and counts calls.
 *
 * The harness opens this library in place of libc.so.6. Symbols that this file does not define resolve to libc, because
 * the library is linked to it. The wrappers get their C names from __asm__ labels, which avoids conflicts with the
 * headers.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define FUNCTIONS(X)                                                                                              \
  X(accept4) X(bind) X(close) X(connect) X(dup3) X(epoll_create1) X(epoll_ctl) X(epoll_pwait2) X(epoll_wait)      \
  X(fcntl) X(getaddrinfo) X(getpeername) X(getsockname) X(getsockopt) X(listen) X(pipe2) X(poll) X(ppoll)         \
  X(pselect) X(read) X(recv) X(recvfrom) X(recvmsg) X(send) X(sendmsg) X(sendto) X(setsockopt) X(shutdown)        \
  X(socket) X(socketpair) X(usleep) X(write)

#define AS_INDEX(name) F_##name,
#define AS_NAME(name) #name,
enum { FUNCTIONS(AS_INDEX) COUNT };
static const char *const names[] = {FUNCTIONS(AS_NAME)};

/* The fault: the calls `first` to `last` of one function fail with `error`; getaddrinfo() returns `error`. */
static atomic_int faulty = -1, first, last, error;
static atomic_int calls[COUNT], hits;

/* Waits: the limit, the number of waits that reached it, the waits since shim_relax(), and the pending waits. */
static atomic_int limit_ms = 5000, overdue, waits, waiting;
/* Waits of at least `warp_ms` return at once; `warped_ms` is the sum of their timeouts. */
static _Atomic double warp_ms = 1e300, warped_ms;
/* A program that makes more waits than this between two calls of shim_relax() is in an endless loop. */
enum { MAX_WAITS = 200000, ENDLESS = 99 };

static int index_of(const char *name) {
  for (int index = 0; index < COUNT; index++)
    if (strcmp(names[index], name) == 0) return index;
  return -1;
}

int shim_fail(const char *name, int nth, int count, int code) {
  faulty = -1;
  for (int index = 0; index < COUNT; index++) calls[index] = 0;
  hits = 0;
  first = nth;
  last = nth + count - 1;
  error = code;
  return faulty = index_of(name);
}
void shim_clear(void) { faulty = -1; }
void shim_relax(void) { waits = 0; }
int shim_calls(const char *name) { return calls[index_of(name)]; }
int shim_hits(void) { return hits; }
int shim_waits(void) { return waits; }
int shim_waiting(void) { return waiting; }
int shim_overdue(void) { return overdue; }
void shim_limit(int ms) {
  limit_ms = ms;
  overdue = 0;
}
void shim_warp(double ms) { warp_ms = ms; }
double shim_warped(void) { return warped_ms; }

static int fault_of(int function) {
  int call = ++calls[function];
  if (function != faulty || call < first || call > last) return 0;
  hits++;
  return error;
}

/* Returns true for errors that the kernel reports even though it has completed the call. */
static int is_done_all_the_same(int function, int code) {
  return function == F_close || (function == F_connect && code == EINTR) || (function == F_epoll_ctl && code == EEXIST);
}

/* Declares `real`, the function of libc. Fails with ENOSYS if libc lacks it, as an old glibc lacks epoll_pwait2(). */
#define REAL(name, parameters)                                        \
  static int(*real) parameters;                                       \
  if (real == NULL) real = (int(*) parameters)dlsym(RTLD_NEXT, #name);\
  if (real == NULL) {                                                 \
    errno = ENOSYS;                                                   \
    return -1;                                                        \
  }

#define WRAP(name, parameters, arguments)                             \
  int shim_##name parameters __asm__(#name);                          \
  int shim_##name parameters {                                        \
    REAL(name, parameters)                                            \
    int code = fault_of(F_##name);                                    \
    if (code == 0) return real arguments;                             \
    if (is_done_all_the_same(F_##name, code)) (void)real arguments;   \
    errno = code;                                                     \
    return -1;                                                        \
  }

WRAP(accept4, (int fd, void *address, void *length, int flags), (fd, address, length, flags))
WRAP(bind, (int fd, void *address, unsigned length), (fd, address, length))
WRAP(close, (int fd), (fd))
WRAP(connect, (int fd, void *address, unsigned length), (fd, address, length))
WRAP(dup3, (int old, int new, int flags), (old, new, flags))
WRAP(epoll_create1, (int flags), (flags))
WRAP(epoll_ctl, (int set, int op, int fd, void *event), (set, op, fd, event))
WRAP(fcntl, (int fd, int command, long argument), (fd, command, argument))
WRAP(getpeername, (int fd, void *address, void *length), (fd, address, length))
WRAP(getsockname, (int fd, void *address, void *length), (fd, address, length))
WRAP(getsockopt, (int fd, int level, int name, void *value, void *length), (fd, level, name, value, length))
WRAP(listen, (int fd, int backlog), (fd, backlog))
WRAP(pipe2, (int *pair, int flags), (pair, flags))
WRAP(read, (int fd, void *bytes, size_t size), (fd, bytes, size))
WRAP(recv, (int fd, void *bytes, size_t size, int flags), (fd, bytes, size, flags))
WRAP(recvfrom, (int fd, void *bytes, size_t size, int flags, void *address, void *length),
     (fd, bytes, size, flags, address, length))
WRAP(recvmsg, (int fd, void *message, int flags), (fd, message, flags))
WRAP(send, (int fd, void *bytes, size_t size, int flags), (fd, bytes, size, flags))
WRAP(sendmsg, (int fd, void *message, int flags), (fd, message, flags))
WRAP(sendto, (int fd, void *bytes, size_t size, int flags, void *address, unsigned length),
     (fd, bytes, size, flags, address, length))
WRAP(setsockopt, (int fd, int level, int name, void *value, unsigned length), (fd, level, name, value, length))
WRAP(shutdown, (int fd, int how), (fd, how))
WRAP(socket, (int domain, int type, int protocol), (domain, type, protocol))
WRAP(usleep, (unsigned microseconds), (microseconds))
WRAP(write, (int fd, void *bytes, size_t size), (fd, bytes, size))

int shim_getaddrinfo(void *node, void *service, void *hints, void *found) __asm__("getaddrinfo");
int shim_getaddrinfo(void *node, void *service, void *hints, void *found) {
  REAL(getaddrinfo, (void *, void *, void *, void *))
  int code = fault_of(F_getaddrinfo);
  if (code == 0) return real(node, service, hints, found);
  errno = ENOMEM; /* for EAI_SYSTEM */
  return code;
}

/* The last socket pair, for a scenario that closes the sockets of the package. */
static atomic_int last_pair[2];
int shim_last_pair(int index) { return last_pair[index]; }

int shim_socketpair(int domain, int type, int protocol, int *pair) __asm__("socketpair");
int shim_socketpair(int domain, int type, int protocol, int *pair) {
  REAL(socketpair, (int, int, int, int *))
  errno = fault_of(F_socketpair);
  if (errno != 0 || real(domain, type, protocol, pair) < 0) return -1;
  last_pair[0] = pair[0];
  last_pair[1] = pair[1];
  return 0;
}

/* Interrupts the main thread and one waiting thread a thousand times per second. */
static pthread_t stormer;
static atomic_int is_stormy, main_thread, waiting_thread;

static void on_signal(int number) { (void)number; }

static void *storm(void *unused) {
  struct timespec millisecond = {0, 1000000};
  while (is_stormy) {
    nanosleep(&millisecond, NULL);
    int thread = waiting_thread;
    syscall(SYS_tgkill, getpid(), main_thread, SIGURG);
    if (thread != 0 && thread != main_thread) syscall(SYS_tgkill, getpid(), thread, SIGURG);
  }
  return unused;
}

int shim_storm(int is_wanted) {
  if (is_wanted == is_stormy) return 0;
  is_stormy = is_wanted;
  if (!is_wanted) return pthread_join(stormer, NULL);
  struct sigaction action = {.sa_handler = on_signal}; /* without SA_RESTART: every call is interrupted */
  main_thread = (int)syscall(SYS_gettid);
  sigaction(SIGURG, &action, NULL);
  return pthread_create(&stormer, NULL, storm, NULL);
}

/* A wait with its actual timeout, which may be limited or skipped. */
struct wait {
  double ms;
  int is_changed, is_cut;
  struct timespec time; /* the actual timeout, if is_changed */
};

static struct wait begin_wait(double ms) {
  if (++waits > MAX_WAITS) _exit(ENDLESS);
  struct wait wait = {.ms = ms};
  if (ms >= warp_ms) {
    warped_ms = warped_ms + ms;
    wait = (struct wait){.is_changed = 1};
  } else if (ms < 0 || ms > limit_ms) {
    wait = (struct wait){limit_ms, 1, 1, {limit_ms / 1000, limit_ms % 1000 * 1000000L}};
  }
  waiting_thread = (int)syscall(SYS_gettid);
  if (wait.ms > 0) waiting++;
  return wait;
}

static void end_wait(struct wait wait, int outcome) {
  if (wait.ms > 0) waiting--;
  waiting_thread = 0;
  if (outcome == 0 && wait.is_cut) overdue++;
}

static double milliseconds(const struct timespec *time) {
  return time == NULL ? -1 : time->tv_sec * 1e3 + time->tv_nsec / 1e6;
}

/* `asked` is the timeout of the caller in milliseconds; `bounded` are the arguments with the actual timeout. */
#define WRAP_WAIT(name, parameters, asked, bounded)                   \
  int shim_##name parameters __asm__(#name);                          \
  int shim_##name parameters {                                        \
    REAL(name, parameters)                                            \
    int code = fault_of(F_##name);                                    \
    struct wait wait = begin_wait(code == 0 ? asked : 0);             \
    int outcome = code == 0 ? real bounded : -1;                      \
    int saved = code == 0 ? errno : code;                             \
    end_wait(wait, outcome);                                          \
    errno = saved;                                                    \
    return outcome;                                                   \
  }

#define TIMEOUT (wait.is_changed ? (void *)&wait.time : timeout)

WRAP_WAIT(epoll_wait, (int set, void *events, int size, int ms), ms, (set, events, size, (int)wait.ms))
WRAP_WAIT(epoll_pwait2, (int set, void *events, int size, void *timeout, void *mask), milliseconds(timeout),
          (set, events, size, TIMEOUT, mask))
WRAP_WAIT(poll, (void *fds, unsigned long size, int ms), ms, (fds, size, (int)wait.ms))
WRAP_WAIT(ppoll, (void *fds, unsigned long size, void *timeout, void *mask), milliseconds(timeout),
          (fds, size, TIMEOUT, mask))
WRAP_WAIT(pselect, (int size, void *reads, void *writes, void *excepts, void *timeout, void *mask),
          milliseconds(timeout), (size, reads, writes, excepts, TIMEOUT, mask))
