/**
 * Python's `select.select`.
 *
 * @module
 */

import { filenoOf, type FileObject, show } from "../os/arguments.ts";
import { isOpen } from "../os/sys.ts";
import { check, EBADF } from "../os/errno.ts";
import { SelectSet } from "../os/select.ts";
import { retryUntil, type Timeout, timeoutToMs } from "../os/timeout.ts";

/**
 * Waits until some of the given descriptors are ready, as Python's `select.select` does.
 *
 * An interruption by a signal is not seen: the wait goes on for the time that is left.
 *
 * @param rlist Descriptors or file objects to wait for until readable
 * @param wlist Those to wait for until writable
 * @param xlist Those to wait for until exceptional: until urgent data is there; on Windows also, until a connection could
 * not be made
 * @param timeout Seconds or a duration; null or undefined for ever
 * @returns Three new arrays with the very objects that are ready
 * @throws {RangeError} if `timeout` is negative or NaN, or a descriptor negative or above 2^31-1
 * @throws {TypeError} if an argument is no iterable, or something in it no file object
 * @throws {OSError} EBADF if a descriptor is closed
 *
 * @see {@link https://docs.python.org/3/library/select.html#select.select | Python's select.select}
 * @see {@link https://man7.org/linux/man-pages/man2/select.2.html | select(2)}
 *
 * @example Usage
 * ```ts
 * import { select } from "@selectors/selectors/select";
 * import { socketpair } from "@selectors/selectors/socket";
 * import { assertEquals } from "@std/assert";
 *
 * const [here, there] = socketpair();
 * there.send(new TextEncoder().encode("ping"));
 * const [readable, writable] = select([here], [there], [], 1);
 * assertEquals(readable, [here]);
 * assertEquals(writable, [there]);
 * here.close();
 * there.close();
 * ```
 */
export function select<R extends FileObject, W extends FileObject, X extends FileObject>(
  rlist: Iterable<R>,
  wlist: Iterable<W>,
  xlist: Iterable<X>,
  timeout?: Timeout,
): [readable: R[], writable: W[], exceptional: X[]] {
  const timeoutMs = timeoutToMs(timeout);
  if (timeoutMs < 0) {
    throw new RangeError(`Cannot wait for ${timeoutMs / 1000} seconds: use 0 or more, or null for ever`);
  }
  // The lists are copied first: a fileno() may change them, and an iterable may come to its end.
  const lists = [copied(rlist, "rlist"), copied(wlist, "wlist"), copied(xlist, "xlist")] as const;
  const fds = lists.map((list) => list.map(filenoOf));
  const where = new Map<number, number>();
  for (const [index, list] of fds.entries()) {
    for (const fd of list) where.set(fd, (where.get(fd) ?? 0) | (1 << index));
  }
  // The kernel passes over numbers beyond its table of descriptors, and leaves their bits as if they were ready. If the
  // greatest is open, the table has them all.
  const greatest = [...where.keys()].reduce((one, other) => Math.max(one, other), -1);
  if (greatest >= 0 && !isOpen(greatest)) check(-EBADF, "select", greatest);
  const set = new SelectSet();
  for (const [fd, bits] of where) set.set(fd, bits);
  check(retryUntil(timeoutMs, (ms) => set.wait(ms)), "select");
  const ready = lists.map((list, index) => list.filter((_, at) => set.isReady(fds[index]![at]!, 1 << index)));
  return ready as unknown as [R[], W[], X[]];
}

function copied<T extends FileObject>(list: Iterable<T>, name: string): T[] {
  if (typeof list?.[Symbol.iterator] === "function") return [...list];
  throw new TypeError(`Cannot select: ${name} must be iterable, not ${show(list)}`);
}
