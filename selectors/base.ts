/**
 * Defines {@linkcode BaseSelector}, the contract of every selector.
 *
 * @module
 */

import { filenoOf, type FileObject, KeyError, show } from "../ffi/os/arguments.ts";
import { checkMask, isBasic, isMask } from "../ffi/os/events.ts";
import type { Poller } from "../ffi/os/poller.ts";
import { SplitPoller } from "../ffi/os/split.ts";
import { type Timeout, timeoutToMs } from "../ffi/os/timeout.ts";
import { type Ready, SelectorCore } from "./core.ts";
import { type SelectorKey, SelectorMap } from "./keys.ts";
import { Iteration } from "./waits/iteration.ts";
import { Waits } from "./waits/waits.ts";

/**
 * The last argument of `register` and `modify`: the data of the registration.
 *
 * The argument is required if the type of the data, which the constructor of the selector takes, does not include
 * `undefined`. `key.data` then always has this type.
 *
 * @typeParam D Data of each registration
 *
 * @example Required and optional
 * ```ts
 * import { DefaultSelector, EVENT_READ } from "@selectors/selectors";
 * import { socketpair } from "@selectors/selectors/socket";
 *
 * const [here, there] = socketpair();
 * using names = new DefaultSelector<string>();
 * names.register(here, EVENT_READ, "here"); // required: a string
 * using any = new DefaultSelector(); // its data is unknown
 * any.register(here, EVENT_READ);
 * using perhaps = new DefaultSelector<string | undefined>();
 * perhaps.register(here, EVENT_READ);
 * here.close();
 * there.close();
 * ```
 */
export type DataArgument<D> = undefined extends D ? [data?: D] : [data: D];

/** Options of a selector. */
export interface SelectorOptions {
  /**
   * Selects what happens to a descriptor that the mechanism rejects: `"none"` throws `EPERM`; `"select"` waits for it
   * with poll(2), or on macOS with select(2).
   *
   * On Linux, these descriptors are regular files, directories and devices such as `/dev/null`, which are always ready;
   * standard input may be one of them. On macOS they are also FIFOs and terminals. With such a registration, a wait
   * makes two system calls. Another selector that waits for the `fileno()` of this selector does not see such a
   * registration.
   *
   * @default {"none"}
   */
  fallback?: "none" | "select";
}

/** Options of an asynchronous wait. */
export interface WaitOptions {
  /** Aborts the wait, which then rejects with the reason of the signal. Without it, only the timeout ends the wait. */
  signal?: AbortSignal;
}

/** Options of an iteration over events. */
export interface IterationOptions extends WaitOptions {
  /** Seconds or a duration; the iteration ends if nothing is ready for this time. Without it, the iteration goes on. */
  timeout?: Timeout;
}

/**
 * Waits until file objects are ready to be read or written.
 *
 * The methods and properties of every selector. Construct a {@linkcode DefaultSelector}, or one of the subclasses, each
 * of which uses one mechanism of the operating system.
 *
 * - {@linkcode BaseSelector.prototype.register | register}, {@linkcode BaseSelector.prototype.modify | modify} and
 *   {@linkcode BaseSelector.prototype.unregister | unregister} maintain the registrations;
 *   {@linkcode BaseSelector.prototype.getKey | getKey} and {@linkcode BaseSelector.prototype.getMap | getMap} look them
 *   up.
 * - {@linkcode BaseSelector.prototype.select | select} waits, and stops Deno's event loop.
 *   {@linkcode BaseSelector.prototype.selectAsync | selectAsync}, {@linkcode BaseSelector.prototype.events | events}
 *   and `for await` wait beside the event loop. {@link [default] | The main module} says when to use which wait.
 * - {@linkcode BaseSelector.prototype.wakeup | wakeup} and {@linkcode BaseSelector.prototype.wakeHandle | wakeHandle}
 *   end a wait, and {@linkcode BaseSelector.prototype.close | close} ends all of them.
 * - {@linkcode BaseSelector.prototype.supports | supports} tells whether this system reports an event beyond EVENT_READ
 *   and EVENT_WRITE, or has a mode.
 *
 * Selectors are level-triggered: every wait reports a file object again, as long as it is ready.
 * {@linkcode MODE_ONCE} and {@linkcode MODE_EDGE} change this.
 *
 * Unregister a descriptor before you close it. A descriptor that is closed first is no longer reported, does not affect
 * the others, and can still be unregistered. There are two exceptions: epoll keeps reporting a closed descriptor while
 * a duplicate of it is open, for example in a child process, and poll and select watch the next file that gets its
 * number.
 *
 * Every wait uses the descriptor that `fileno()` returned during `register()`, even if `fileno()` returns another
 * number later, for example after `detach()`.
 *
 * @typeParam D Data of each registration, for example the function to call
 * @typeParam F File objects that can be registered
 *
 * @see {@link https://docs.python.org/3/library/selectors.html | Python's selectors}
 */
export abstract class BaseSelector<D = unknown, F extends FileObject = FileObject>
  implements Disposable, AsyncIterable<Ready<D, F>, undefined, undefined> {
  readonly #core: SelectorCore<D, F>;
  readonly #waits: Waits<D, F>;
  readonly #map: SelectorMap<D, F>;

  /**
   * Creates a selector from a poller.
   *
   * @ignore
   */
  constructor(poller: Poller, options: SelectorOptions = {}) {
    const { fallback = "none" } = options;
    if (fallback !== "none" && fallback !== "select") {
      poller.close();
      throw new RangeError(`Cannot make a selector with fallback ${show(fallback)}: use "none" or "select"`);
    }
    const hasFallback = fallback === "select" && poller.fd >= 0;
    this.#core = new SelectorCore(hasFallback ? new SplitPoller(poller, true) : poller);
    this.#waits = new Waits(this.#core);
    this.#map = new SelectorMap(this.#core.keys);
  }

  /**
   * Registers a file object.
   *
   * A selector that was created with a type of data, as in `new DefaultSelector<string>()`, requires `data`, so that
   * `key.data` is always of this type. Otherwise `data` is optional: see {@linkcode DataArgument}.
   *
   * @param fileobj A descriptor, or an object with a `fileno()`
   * @param events At least one EVENT_* bit, and perhaps MODE_ONCE or MODE_EDGE, combined with `|`
   * @param data Any value, stored in the key, for example the function to call; defaults to undefined
   * @returns The key, as `select` will return it. Its events include EVENT_HANGUP and EVENT_ERROR if `events` has an
   * event beyond reading and writing, and the selector supports them
   * @throws {RangeError} if `events` is invalid, or the descriptor is negative or above `2^31-1`
   * @throws {Deno.errors.NotSupported} if this selector does not support `events` on this system: see
   * {@linkcode BaseSelector.prototype.supports | supports}
   * @throws {TypeError} if `fileobj` is not a file object
   * @throws {KeyError} if its descriptor is already registered
   * @throws {OSError} EBADF if the descriptor is closed, EPERM if this selector cannot wait for this kind of file,
   * ENOSPC or ENOMEM if the kernel has no room; in each case nothing is registered
   * @throws {Deno.errors.BadResource} if the selector is closed
   */
  register(fileobj: F, events: number, ...data: DataArgument<D>): SelectorKey<D, F>;
  /** @ignore */
  register(fileobj: F, events: number, data?: D): SelectorKey<D, F> {
    this.#checkOpen("register", fileobj);
    const mask = isBasic(events) ? events : this.#maskOf("register", fileobj, events);
    const fd = filenoOf(fileobj);
    this.#checkOpen("register", fileobj); // again, because fileno() may have closed the selector
    if (this.#core.keys.get(fd) !== undefined) {
      throw new KeyError(`Cannot register fd ${fd}: it is already registered`);
    }
    return this.#core.add(fileobj, fd, mask, data as D);
  }

  /**
   * Unregisters a file object, even if it is closed.
   *
   * @param fileobj The file object, or its descriptor
   * @returns The key of the registration
   * @throws {KeyError} if it is not registered
   * @throws {RangeError} if its descriptor is negative or above `2^31-1`
   * @throws {TypeError} if it is not a file object
   * @throws {Deno.errors.BadResource} if the selector is closed
   */
  unregister(fileobj: F | number): SelectorKey<D, F> {
    const key = this.#find("unregister", fileobj);
    this.#core.drop(key);
    return key;
  }

  /**
   * Changes the events and the data of a registration.
   *
   * The data is always replaced; if omitted, it becomes undefined, as in Python. A file object with MODE_ONCE that was
   * reported can be reported again.
   *
   * @param fileobj The file object, or its descriptor
   * @param events As for {@linkcode BaseSelector.prototype.register | register}
   * @param data Any value, stored in the key, as for {@linkcode BaseSelector.prototype.register | register}; defaults
   * to undefined
   * @returns The new key
   * @throws {RangeError} if `events` is invalid; nothing changes then
   * @throws {Deno.errors.NotSupported} if this selector does not support `events`; nothing changes then
   * @throws {KeyError} if the file object is not registered
   * @throws {OSError} if the system call fails, for example with EBADF for a closed descriptor; the file object is no
   * longer registered then
   * @throws {Deno.errors.BadResource} if the selector is closed
   */
  modify(fileobj: F | number, events: number, ...data: DataArgument<D>): SelectorKey<D, F>;
  /** @ignore */
  modify(fileobj: F | number, events: number, data?: D): SelectorKey<D, F> {
    const key = this.#find("modify", fileobj);
    const mask = isBasic(events) ? events : this.#maskOf("modify", fileobj, events);
    return this.#core.modify(key, mask, data as D);
  }

  /**
   * Waits until registered file objects are ready, the timeout ends, or
   * {@linkcode BaseSelector.prototype.wakeup | wakeup} is called.
   *
   * The wait is synchronous: it stops Deno's event loop, with its timers and signal listeners.
   * {@linkcode BaseSelector.prototype.selectAsync | selectAsync} does not. A signal of the system, such as SIGINT, does
   * not end the wait (Python's PEP 475); to receive signals, register a {@linkcode [sources].Signals | Signals} object.
   * The wait lasts until its timeout even if nothing is registered.
   *
   * @param timeout Seconds or a duration; defaults to undefined, which waits forever, as null does. 0 or less does not
   * wait. The timeout is rounded up to the resolution of the kernel, never ends early, and does not depend on the wall
   * clock
   * @returns Pairs of a key and its ready events; an empty array if the wait ended before anything was ready
   * @throws {RangeError} if `timeout` is NaN, or a duration whose length depends on a date
   * @throws {TypeError} if `timeout` is neither a number, null nor a duration
   * @throws {Deno.errors.BadResource} if the selector is closed
   *
   * @example Ctrl-C in a synchronous loop
   * ```ts ignore
   * import { DefaultSelector, EVENT_READ } from "@selectors/selectors";
   * import { Signals } from "@selectors/selectors/sources";
   *
   * using selector = new DefaultSelector();
   * using signals = new Signals(["SIGINT"]);
   * selector.register(signals, EVENT_READ);
   * while (signals.read().length === 0) {
   *   for (const [key] of selector.select()) console.log(key.fd, "is ready");
   * }
   * ```
   */
  select(timeout?: Timeout): Ready<D, F>[] {
    // These common cases are small, so that V8 inlines them and the wait into the caller's loop.
    if (this.#core.isPlain && (timeout === 0 || timeout === undefined)) {
      const ready = this.#core.wait(timeout === 0 ? 0 : Infinity);
      if (ready !== null && (ready.length > 0 || timeout === 0)) return ready;
    }
    return this.#select(timeout);
  }

  #select(timeout: Timeout | undefined): Ready<D, F>[] {
    const timeoutMs = Math.max(timeoutToMs(timeout), 0);
    this.#checkOpen("select");
    return this.#core.select(timeoutMs);
  }

  /**
   * Waits as {@linkcode BaseSelector.prototype.select | select} does, but beside Deno's event loop.
   *
   * Entries that are ready now are returned at once. Otherwise the wait keeps the process alive, as a listening server
   * does, and uses one thread of Deno's pool, which all waits of a program, or of a Worker, share. Changes to the
   * registrations take effect during the wait. A selector can have any number of waits; after `close()`, they return an
   * empty array.
   *
   * A loop that always finds something ready lets Deno's event loop run about once per millisecond.
   *
   * The first wait of a program, or of a Worker, opens two descriptors. They are closed with the last selector that has
   * waited.
   *
   * A Worker that is terminated during a wait runs no more code: its thread ends within two seconds, but its
   * descriptors stay open until the process ends. Call {@linkcode wake} instead, and let the Worker close its
   * selectors.
   *
   * There is no `unref()`, because Deno waits for every call that runs on its pool. If a wait should not keep the
   * program alive, end it with an `AbortSignal`.
   *
   * @param timeout Seconds or a duration, as for {@linkcode BaseSelector.prototype.select | select}; defaults to
   * undefined, which waits forever
   * @param options An `AbortSignal` that rejects the wait; defaults to none
   * @returns As for {@linkcode BaseSelector.prototype.select | select}
   * @throws {RangeError} if `timeout` is NaN, or a duration whose length depends on a date
   * @throws {TypeError} if `timeout` is neither a number, null nor a duration
   * @throws {OSError} EMFILE if too many descriptors are open for the first wait
   * @throws {Deno.errors.BadResource} if the selector is closed
   *
   * @example Usage
   * ```ts
   * import { DefaultSelector, EVENT_READ } from "@selectors/selectors";
   * import { socketpair } from "@selectors/selectors/socket";
   * import { assertEquals } from "@std/assert";
   *
   * const [here, there] = socketpair();
   * using selector = new DefaultSelector();
   * const key = selector.register(here, EVENT_READ);
   * setTimeout(() => there.send(new TextEncoder().encode("ping")), 10);
   * assertEquals(await selector.selectAsync(), [[key, EVENT_READ]]);
   * here.close();
   * there.close();
   * ```
   */
  selectAsync(timeout?: Timeout, options: WaitOptions = {}): Promise<Ready<D, F>[]> {
    try {
      const { signal } = options;
      const timeoutMs = Math.max(timeoutToMs(timeout), 0);
      this.#checkOpen("select");
      signal?.throwIfAborted();
      return this.#waits.select(timeoutMs, signal);
    } catch (error) {
      return Promise.reject(error);
    }
  }

  /**
   * Iterates over ready entries, one by one, until the selector is closed, nothing is ready for `timeout`, or you leave
   * the loop.
   *
   * An entry is skipped if the handler of an earlier entry has unregistered or closed its file object, registered it
   * again, or removed these events with {@linkcode BaseSelector.prototype.modify | modify}. After any other `modify`,
   * the entry has the new key. If you leave the loop, entries with MODE_ONCE or MODE_EDGE that the loop has not
   * returned are reported again. Otherwise the iteration equals
   * {@linkcode BaseSelector.prototype.selectAsync | selectAsync} in a loop, so
   * {@linkcode BaseSelector.prototype.wakeup | wakeup} does not end it.
   *
   * @param options A timeout that ends the iteration, and an `AbortSignal` that makes it throw; defaults to neither
   * @returns An iterator over pairs of a key and its ready events
   * @throws {RangeError} if `timeout` is NaN, or a duration whose length depends on a date
   * @throws {TypeError} if `timeout` is neither a number, null nor a duration
   * @throws {Deno.errors.BadResource} if the selector is closed
   *
   * @example Usage
   * ```ts
   * import { DefaultSelector, EVENT_READ } from "@selectors/selectors";
   * import { socketpair } from "@selectors/selectors/socket";
   * import { assertEquals } from "@std/assert";
   *
   * const [here, there] = socketpair();
   * using selector = new DefaultSelector();
   * selector.register(here, EVENT_READ);
   * there.send(new TextEncoder().encode("ping"));
   * const received: string[] = [];
   * for await (const [key, events] of selector.events({ timeout: 0.01 })) {
   *   assertEquals([key.fileobj, events], [here, EVENT_READ]);
   *   received.push(new TextDecoder().decode(here.recv(100)));
   * }
   * assertEquals(received, ["ping"]);
   * here.close();
   * there.close();
   * ```
   */
  events(
    options: IterationOptions = {},
  ): AsyncIterableIterator<Ready<D, F>, undefined, undefined> & AsyncDisposable {
    const timeoutMs = Math.max(timeoutToMs(options.timeout), 0);
    this.#checkOpen("iterate over events");
    return new Iteration(this.#core, this.#waits, timeoutMs, options.signal);
  }

  /** Iterates over ready entries, as {@linkcode BaseSelector.prototype.events | events} does. */
  [Symbol.asyncIterator](): AsyncIterator<Ready<D, F>, undefined, undefined> {
    return this.events();
  }

  /**
   * Ends the current waits at once, with the entries that are ready; without a current wait, ends the next wait.
   *
   * Several calls before a wait ends count as one, and a call adds no entry to the result. Other Workers use
   * {@linkcode BaseSelector.prototype.wakeHandle | wakeHandle}.
   *
   * @throws {Deno.errors.BadResource} if the selector is closed
   */
  wakeup(): void {
    this.#checkOpen("wake up");
    this.#core.wake();
  }

  /**
   * Opaque number that lets any Worker do what {@linkcode BaseSelector.prototype.wakeup | wakeup} does: `wake(handle)`.
   *
   * The first read opens a socket pair. When the selector is closed, the pair is kept for the next selector, so a late
   * `wake()` with this handle writes to no other file.
   *
   * @throws {OSError} EMFILE if too many descriptors are open
   * @throws {Deno.errors.BadResource} if the selector is closed
   */
  get wakeHandle(): number {
    this.#checkOpen("read the wake handle");
    return this.#core.wakeHandle;
  }

  /** Closes the selector, but not the file objects. A second call has no effect. */
  close(): void {
    if (this.#core.isClosed) return;
    this.#core.close();
    this.#waits.close();
  }

  /**
   * Returns the key of a registered file object.
   *
   * @param fileobj The file object, or its descriptor
   * @returns The key that `register` or the last `modify` returned
   * @throws {KeyError} if it is not registered
   * @throws {RangeError} if its descriptor is negative or above `2^31-1`
   * @throws {TypeError} if it is not a file object
   * @throws {Deno.errors.BadResource} if the selector is closed
   */
  getKey(fileobj: F | number): SelectorKey<D, F> {
    return this.#find("get the key of", fileobj);
  }

  /** Returns the live map from descriptors to keys, or null if the selector is closed. */
  getMap(): SelectorMap<D, F> | null {
    return this.#core.isClosed ? null : this.#map;
  }

  /**
   * Returns true if {@linkcode BaseSelector.prototype.register | register} accepts a mask on this system; has no other
   * effect.
   *
   * EVENT_READ, EVENT_WRITE and MODE_ONCE are always supported. {@link [default] | The main module} has a table of the
   * others.
   *
   * @param events EVENT_* and MODE_* bits, combined with `|`
   * @returns True if `register` accepts the mask; false for an invalid mask too
   * @throws {Deno.errors.BadResource} if the selector is closed
   *
   * @example Usage
   * ```ts
   * import { DefaultSelector, EVENT_READ_CLOSED } from "@selectors/selectors";
   *
   * using selector = new DefaultSelector();
   * if (!selector.supports(EVENT_READ_CLOSED)) {
   *   console.log("This system reports the end only to recv()");
   * }
   * ```
   */
  supports(events: number): boolean {
    this.#checkOpen("look up events");
    return isMask(events) && (events & ~this.#core.poller.supports) === 0;
  }

  /** True once the selector has been closed. */
  get closed(): boolean {
    return this.#core.isClosed;
  }

  /** Closes the selector at the end of a `using` block. */
  [Symbol.dispose](): void {
    this.close();
  }

  /**
   * Prints the class, the number of registrations, and whether the selector is closed.
   *
   * @ignore
   */
  [Symbol.for("Deno.customInspect")](): string {
    return `${this.constructor.name} { registered: ${this.#core.keys.size}, closed: ${this.#core.isClosed} }`;
  }

  #maskOf(action: string, fileobj: FileObject, events: number): number {
    const object = typeof fileobj === "number" ? `fd ${fileobj}` : show(fileobj);
    return checkMask(events, this.#core.poller.supports, `${action} ${object}`, this.constructor.name);
  }

  #find(action: string, fileobj: F | number): SelectorKey<D, F> {
    this.#checkOpen(action, fileobj);
    const key = this.#core.keys.find(fileobj);
    this.#checkOpen(action, fileobj); // again, because fileno() may have closed the selector
    if (key !== undefined) return key;
    if (typeof fileobj === "object" && fileobj?.fileno?.() === -1) {
      throw new KeyError(`Cannot ${action} ${show(fileobj)} (fd -1): it is closed and not registered`);
    }
    throw new KeyError(`Cannot ${action} fd ${filenoOf(fileobj)}: it is not registered`);
  }

  #checkOpen(action: string, fileobj?: F | number): void {
    if (!this.#core.isClosed) return;
    const object = fileobj === undefined ? "" : typeof fileobj === "number" ? ` fd ${fileobj}` : ` ${show(fileobj)}`;
    throw new Deno.errors.BadResource(`Cannot ${action}${object}: the selector is closed`);
  }
}
