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
 * Waits until at least one of the given descriptors is ready, as Python's `select.select` does.
 *
 * The wait is synchronous: it stops Deno's event loop. If a signal interrupts the wait, the wait continues for the
 * remaining time.
 *
 * @typeParam R Type of the file objects in the first list
 * @typeParam W Type of the file objects in the second list
 * @typeParam X Type of the file objects in the third list
 * @param rlist Descriptors or file objects to check for readability
 * @param wlist Descriptors or file objects to check for writability
 * @param xlist Descriptors or file objects to check for urgent data, and on Windows also for a failed connect()
 * @param timeout Seconds or a duration; undefined and null wait forever, and 0 does not wait. Defaults to undefined
 * @returns Three new arrays: the ready objects of the first, second and third list
 * @throws {RangeError} if `timeout` is negative or NaN, or a descriptor is negative or above `2^31-1`
 * @throws {TypeError} if a list is not an iterable of file objects, or `timeout` is neither a number, null nor a
 * duration
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
    throw new RangeError(`Cannot wait for ${timeoutMs / 1000} seconds: use 0 or more, or null to wait forever`);
  }
  // Copies the lists first, because a fileno() may change them, and an iterator can be read only once.
  const lists = [copied(rlist, "rlist"), copied(wlist, "wlist"), copied(xlist, "xlist")] as const;
  const fds = lists.map((list) => list.map(filenoOf));
  const where = new Map<number, number>();
  for (const [index, list] of fds.entries()) {
    for (const fd of list) where.set(fd, (where.get(fd) ?? 0) | (1 << index));
  }
  // The kernel ignores a descriptor beyond the end of its descriptor table and leaves the bit set, as if the descriptor
  // were ready. If the largest descriptor is open, all of them are within the table.
  const largest = [...where.keys()].reduce((one, other) => Math.max(one, other), -1);
  if (largest >= 0 && !isOpen(largest)) check(-EBADF, "select", largest);
  const set = new SelectSet();
  for (const [fd, bits] of where) set.set(fd, bits);
  check(retryUntil(timeoutMs, (ms) => set.wait(ms)), "select");
  const ready = lists.map((list, index) => list.filter((_, at) => set.isReady(fds[index]![at]!, 1 << index)));
  return ready as unknown as [R[], W[], X[]];
}

function copied<T extends FileObject>(list: Iterable<T>, name: string): T[] {
  if (typeof list?.[Symbol.iterator] === "function") return [...list];
  throw new TypeError(`Cannot use ${show(list)} as ${name}: use an iterable of file objects`);
}
