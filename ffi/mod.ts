/**
 * Python's `select` module: the primitives on which the selectors stand.
 *
 * {@linkcode select} is there on every system, {@linkcode Poll} on every Unix, {@linkcode Epoll} on Linux and Android,
 * {@linkcode Devpoll} on Solaris and illumos. They have all flags that the kernel has, where a selector knows readable and
 * writable only.
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
 * @module
 */

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
export { OSError } from "./errno.ts";
export { type FileObject, KeyError } from "./file_object.ts";
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
export { type Timeout } from "./timeout.ts";
