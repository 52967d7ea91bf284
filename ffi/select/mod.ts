/**
 * Python's `select` module: the system calls that the selectors use, with all flags of the kernel.
 *
 * Use {@linkcode [default].DefaultSelector | DefaultSelector} of {@link [default] | the main module} unless you need one of
 * these flags, or port a program that uses Python's `select`. The classes here have no asynchronous wait; register the
 * descriptor of an `Epoll` or a `Kqueue` in a selector instead, or pass it to `waitFor`.
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
 * | API                    | systems          | timeout      | flags                                       |
 * | ---------------------- | ---------------- | ------------ | ------------------------------------------- |
 * | {@linkcode select}     | all              | seconds      | none: three lists                           |
 * | {@linkcode Poll}       | all but Windows  | milliseconds | `POLL*`                                     |
 * | {@linkcode Epoll}      | Linux, Android   | seconds      | `EPOLL*`                                    |
 * | {@linkcode Kqueue}     | macOS, BSD       | seconds      | `KQ_*`, as fields of a {@linkcode Kevent}   |
 * | {@linkcode Devpoll}    | Solaris, illumos | milliseconds | `POLL*`                                     |
 *
 * On other systems, a constructor throws `Deno.errors.NotSupported`. On Linux, `Kqueue` works with libkqueue.
 *
 * ## From Python
 *
 * | `select`                                                    | here                                                       |
 * | ----------------------------------------------------------- | ---------------------------------------------------------- |
 * | `select(rlist, wlist, xlist, timeout=None)`                 | the same; the lists are iterables                          |
 * | `poll()`: `register`, `modify`, `unregister`, `poll`        | `new Poll()`, the same; milliseconds                       |
 * | `epoll(sizehint, flags)`: the same, and `close`, `closed`, `fileno`, `fromfd` | `new Epoll()`, the same, `Epoll.fromfd`; seconds |
 * | `devpoll()`: as `epoll`, without `fromfd`                     | `new Devpoll()`, the same; milliseconds                    |
 * | `kqueue()`: `control`, `close`, `closed`, `fileno`, `fromfd` | `new Kqueue()`, the same; seconds                         |
 * | `kevent(ident, filter, flags, fflags, data, udata)`         | `new Kevent(...)`, the same                                |
 * | `EPOLLIN` … , `POLLIN` … , `KQ_FILTER_READ` … , `KQ_EV_ADD` … , `KQ_NOTE_WRITE` … | the same names and values            |
 * | `EPOLL_CLOEXEC`                                             | the same; it is always set                               |
 * | `error`                                                     | {@linkcode OSError}                                        |
 * | `PIPE_BUF`                                                  | left out, since no API here needs it; it is 4096 on Linux, 512 on macOS and the BSDs |
 *
 * Python raises `TypeError` or `ValueError` for an invalid timeout, event mask, count or flags. Every function here
 * throws a `TypeError` for a value of the wrong type, and a `RangeError` for a value that is not allowed.
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
