/**
 * Python's `select` module: the system calls that the selectors use, with all kernel flags.
 *
 * Use {@linkcode [default].DefaultSelector | DefaultSelector} from {@link [default] | the main module}, unless you need
 * one of these flags or are porting a program that uses Python's `select`. The classes here have no asynchronous wait.
 * To wait without blocking Deno's event loop, register an `Epoll` or `Kqueue` object in a selector, or pass it to
 * `waitFor`.
 *
 * ```ts
 * import { select } from "@selectors/selectors/select";
 * import { socketpair } from "@selectors/selectors/socket";
 *
 * const [here, there] = socketpair();
 * const [, writable] = select([here], [here, there], [], 0.5);
 * console.log(writable.length); // 2
 * here.close();
 * there.close();
 * ```
 *
 * | API                 | systems                | timeout      | flags                                         |
 * | ------------------- | ---------------------- | ------------ | --------------------------------------------- |
 * | {@linkcode select}  | all                    | seconds      | none; three lists                             |
 * | {@linkcode Poll}    | all but Windows        | milliseconds | `POLL*`                                       |
 * | {@linkcode Epoll}   | Linux, Android         | seconds      | `EPOLL*`                                      |
 * | {@linkcode Kqueue}  | macOS, FreeBSD, NetBSD | seconds      | `KQ_*`, in the fields of a {@linkcode Kevent} |
 * | {@linkcode Devpoll} | Solaris, illumos       | milliseconds | `POLL*`                                       |
 *
 * On any other system, the constructor throws `Deno.errors.NotSupported`. On Linux, `Kqueue` needs libkqueue.
 *
 * ## From Python
 *
 * | `select`                                                                                          | here                                                                                    |
 * | ------------------------------------------------------------------------------------------------- | --------------------------------------------------------------------------------------- |
 * | `select(rlist, wlist, xlist, timeout=None)`                                                       | `select(rlist, wlist, xlist, timeout)`; the lists are any iterables                     |
 * | `poll()`: `register`, `modify`, `unregister`, `poll`                                              | `new Poll()`, with the same members                                                     |
 * | `epoll(sizehint, flags)`: `register`, `modify`, `unregister`, `poll`, `close`, `closed`, `fileno` | `new Epoll(sizehint, flags)`, with the same members                                     |
 * | `devpoll()`: `register`, `modify`, `unregister`, `poll`, `close`, `closed`, `fileno`              | `new Devpoll()`, with the same members                                                  |
 * | `kqueue()`: `control`, `close`, `closed`, `fileno`                                                | `new Kqueue()`, with the same members                                                   |
 * | `epoll.fromfd(fd)`, `kqueue.fromfd(fd)`                                                           | `Epoll.fromfd(fd)`, `Kqueue.fromfd(fd)`                                                 |
 * | `kevent(ident, filter, flags, fflags, data, udata)`                                               | `new Kevent(ident, filter, flags, fflags, data, udata)`                                 |
 * | `EPOLL*`, `POLL*`, `KQ_FILTER_*`, `KQ_EV_*`, `KQ_NOTE_*`                                          | the same names and values                                                               |
 * | `EPOLL_CLOEXEC`                                                                                   | `EPOLL_CLOEXEC`; every epoll descriptor is close-on-exec, even without it               |
 * | `error`                                                                                           | {@linkcode OSError}                                                                     |
 * | `PIPE_BUF`                                                                                        | left out, because nothing here needs it; it is 4096 on Linux, 512 on macOS and the BSDs |
 *
 * For an invalid timeout, event mask, count or flag, Python raises `TypeError` or `ValueError`. Every function here
 * throws a `TypeError` for a value of the wrong type, and a `RangeError` for a value out of range.
 *
 * @module
 */

export { type FileObject, KeyError } from "../os/arguments.ts";
export { Devpoll } from "./devpoll.ts";
export {
  Epoll,
  EPOLL_CLOEXEC,
  EPOLLERR,
  EPOLLET,
  EPOLLEXCLUSIVE,
  EPOLLHUP,
  EPOLLIN,
  EPOLLMSG,
  EPOLLONESHOT,
  EPOLLOUT,
  EPOLLPRI,
  EPOLLRDBAND,
  EPOLLRDHUP,
  EPOLLRDNORM,
  EPOLLWAKEUP,
  EPOLLWRBAND,
  EPOLLWRNORM,
} from "./epoll.ts";
export { OSError } from "../os/errno.ts";
export { Kevent } from "./kevent.ts";
export { Kqueue } from "./kqueue.ts";
export {
  KQ_EV_ADD,
  KQ_EV_CLEAR,
  KQ_EV_DELETE,
  KQ_EV_DISABLE,
  KQ_EV_DISPATCH,
  KQ_EV_ENABLE,
  KQ_EV_EOF,
  KQ_EV_ERROR,
  KQ_EV_FLAG1,
  KQ_EV_ONESHOT,
  KQ_EV_RECEIPT,
  KQ_EV_SYSFLAGS,
  KQ_FILTER_AIO,
  KQ_FILTER_NETDEV,
  KQ_FILTER_PROC,
  KQ_FILTER_READ,
  KQ_FILTER_SIGNAL,
  KQ_FILTER_TIMER,
  KQ_FILTER_USER,
  KQ_FILTER_VNODE,
  KQ_FILTER_WRITE,
  KQ_NOTE_ATTRIB,
  KQ_NOTE_CHILD,
  KQ_NOTE_DELETE,
  KQ_NOTE_EXEC,
  KQ_NOTE_EXIT,
  KQ_NOTE_EXTEND,
  KQ_NOTE_FFAND,
  KQ_NOTE_FFCOPY,
  KQ_NOTE_FFCTRLMASK,
  KQ_NOTE_FFLAGSMASK,
  KQ_NOTE_FFNOP,
  KQ_NOTE_FFOR,
  KQ_NOTE_FORK,
  KQ_NOTE_LINK,
  KQ_NOTE_LINKDOWN,
  KQ_NOTE_LINKINV,
  KQ_NOTE_LINKUP,
  KQ_NOTE_LOWAT,
  KQ_NOTE_PCTRLMASK,
  KQ_NOTE_PDATAMASK,
  KQ_NOTE_RENAME,
  KQ_NOTE_REVOKE,
  KQ_NOTE_TRACK,
  KQ_NOTE_TRACKERR,
  KQ_NOTE_TRIGGER,
  KQ_NOTE_WRITE,
} from "./kqueue_constants.ts";
export {
  Poll,
  POLLERR,
  POLLHUP,
  POLLIN,
  POLLMSG,
  POLLNVAL,
  POLLOUT,
  POLLPRI,
  POLLRDBAND,
  POLLRDHUP,
  POLLRDNORM,
  POLLWRBAND,
  POLLWRNORM,
} from "./poll.ts";
export { select } from "./select.ts";
export { type Timeout } from "../os/timeout.ts";
