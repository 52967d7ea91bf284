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
 * The argument is optional if the type `D` of the data includes `undefined`, as the default type `unknown` does.
 * Otherwise, the argument is required, so `key.data` always has the type `D`. The constructor takes `D` as a type
 * argument, as in `new DefaultSelector<string>()`.
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
   * Selects how `register` handles a descriptor that the mechanism of the selector rejects: `"none"` throws `EPERM`,
   * and `"select"` waits for the descriptor with poll(2), or with select(2) on macOS.
   *
   * epoll and kqueue reject regular files and directories. epoll also rejects devices that are always ready, such as
   * `/dev/null`. On macOS, kqueue also rejects FIFOs, terminals such as `/dev/tty`, and `/dev/null`. Standard input may
   * be any of these files.
   *
   * While such a descriptor is registered, every wait makes a second system call. If another selector waits for the
   * `fileno()` of this selector, it does not see the events of such a descriptor.
   *
   * @default {"none"}
   */
  fallback?: "none" | "select";
}

/** Options of an asynchronous wait. */
export interface WaitOptions {
  /**
   * Aborts the wait: the wait rejects with the reason of the signal. Defaults to no signal. A wait also ends when
   * something is ready, when its timeout expires, and when `wakeup()` or `close()` of its selector is called.
   */
  signal?: AbortSignal;
}

/** Options of an iteration over events. */
export interface IterationOptions extends WaitOptions {
  /** Seconds or a duration; ends the iteration if nothing is ready for this long. Defaults to no timeout. */
  timeout?: Timeout;
}

/**
 * Waits until file objects are ready to be read or written.
 *
 * This class has the methods and properties of every selector. Construct a {@linkcode DefaultSelector}, or a subclass
 * that uses one mechanism of the operating system.
 *
 * - {@linkcode BaseSelector.prototype.register | register}, {@linkcode BaseSelector.prototype.modify | modify} and
 *   {@linkcode BaseSelector.prototype.unregister | unregister} maintain the registrations;
 *   {@linkcode BaseSelector.prototype.getKey | getKey} and {@linkcode BaseSelector.prototype.getMap | getMap} look them
 *   up.
 * - {@linkcode BaseSelector.prototype.select | select} waits, and blocks Deno's event loop.
 *   {@linkcode BaseSelector.prototype.selectAsync | selectAsync}, {@linkcode BaseSelector.prototype.events | events}
 *   and `for await` wait without blocking Deno's event loop. {@link [default] | The main module} explains which wait to
 *   use.
 * - {@linkcode BaseSelector.prototype.wakeup | wakeup} ends the current waits, and
 *   {@linkcode BaseSelector.prototype.wakeHandle | wakeHandle} lets another Worker end them.
 *   {@linkcode BaseSelector.prototype.close | close} closes the selector, and also ends its waits.
 * - {@linkcode BaseSelector.prototype.supports | supports} returns true if the selector supports the events and modes
 *   of a mask on this system.
 *
 * Selectors are level-triggered: every wait reports a file object again, as long as it is ready.
 * {@linkcode MODE_ONCE} and {@linkcode MODE_EDGE} change this.
 *
 * Unregister a descriptor before you close it. If you close it first, the selector no longer reports it, the other
 * registrations are not affected, and you can still unregister it. There are two exceptions:
 *
 * - epoll keeps reporting a closed descriptor while a duplicate of it is open, for example in a child process.
 * - poll, select and /dev/poll identify a file only by its descriptor. If the descriptor is reused before the next
 *   wait, they watch the new file.
 *
 * Every wait uses the descriptor that `fileno()` returned during `register()`, even if `fileno()` later returns another
 * number, for example after `detach()`.
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
    try {
      const hasFallback = checkFallback(options) === "select" && poller.fd >= 0;
      this.#core = new SelectorCore(hasFallback ? new SplitPoller(poller, true) : poller);
    } catch (error) {
      poller.close();
      throw error;
    }
    this.#waits = new Waits(this.#core);
    this.#map = new SelectorMap(this.#core.keys);
  }

  /**
   * Registers a file object.
   *
   * `data` is required if the selector was created with a type of data that does not include `undefined`, as in
   * `new DefaultSelector<string>()`: see {@linkcode DataArgument}.
   *
   * @param fileobj A descriptor, or an object with a `fileno()`
   * @param events One or more EVENT_* bits, optionally with MODE_ONCE or MODE_EDGE or both, combined with `|`
   * @param data Any value, stored in the key, for example the function to call; defaults to undefined
   * @returns The key of the registration; `select` and the other waits return the same key. If `events` has an event
   * other than EVENT_READ and EVENT_WRITE, `key.events` also has EVENT_HANGUP and EVENT_ERROR where the selector
   * supports them
   * @throws {RangeError} if `events` is invalid, or the descriptor is negative or above `2^31-1`
   * @throws {Deno.errors.NotSupported} if this selector does not support `events` on this system: see
   * {@linkcode BaseSelector.prototype.supports | supports}
   * @throws {TypeError} if `fileobj` is not a file object
   * @throws {KeyError} if its descriptor is already registered
   * @throws {OSError} EBADF if the descriptor is closed, EPERM if this selector cannot wait for this kind of file,
   * ENOSPC or ENOMEM if the kernel has no room for the registration; in each case, nothing is registered
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
   * @throws {KeyError} if the file object is not registered
   * @throws {RangeError} if its descriptor is negative or above `2^31-1`
   * @throws {TypeError} if `fileobj` is not a file object
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
   * Always replaces the data: if you omit `data`, `key.data` becomes undefined, as it becomes None in Python. After a
   * file object with MODE_ONCE was reported, `modify` lets it be reported again, even if `events` stays the same.
   *
   * @param fileobj The file object, or its descriptor
   * @param events As for {@linkcode BaseSelector.prototype.register | register}
   * @param data Any value, stored in the key, as for {@linkcode BaseSelector.prototype.register | register}; defaults
   * to undefined
   * @returns The new key
   * @throws {RangeError} if `events` is invalid; the registration does not change
   * @throws {Deno.errors.NotSupported} if this selector does not support `events`; the registration does not change
   * @throws {KeyError} if the file object is not registered
   * @throws {OSError} if the system call fails, for example with EBADF for a closed descriptor; the registration is
   * removed
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
   * Waits until a registered file object is ready, the timeout expires, or
   * {@linkcode BaseSelector.prototype.wakeup | wakeup} is called.
   *
   * The wait is synchronous: it blocks Deno's event loop, with its timers and signal listeners.
   * {@linkcode BaseSelector.prototype.selectAsync | selectAsync} does not. If nothing is registered, the wait lasts
   * until its timeout.
   *
   * An operating system signal does not end the wait, as in Python (PEP 475). A signal listener runs only after the
   * wait, and a signal without a listener has its default action: SIGINT ends the process. To receive signals during a
   * wait, register a {@linkcode [sources].Signals | Signals} object.
   *
   * In a Worker, call {@linkcode wake} before `terminate()`, which cannot end the wait: the process would never end.
   *
   * @param timeout Seconds or a duration. Undefined, the default, and null wait forever; 0 or less does not wait. The
   * timeout is rounded up to the resolution of the system call and never expires early. Changes to the system clock do
   * not affect it
   * @returns Pairs of a key and its ready events; an empty array if the wait ended before anything was ready
   * @throws {RangeError} if `timeout` is NaN, or a duration in weeks, months or years
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
   * Waits as {@linkcode BaseSelector.prototype.select | select} does, without blocking Deno's event loop.
   *
   * If entries are ready now, the promise resolves without a wait. Otherwise, the wait keeps the process alive, as a
   * listening server does, and uses one thread of Deno's pool. All asynchronous waits of a program, or of a Worker,
   * share this thread. Changes to the registrations take effect during the wait. A selector can have any number of
   * waits at once; `close()` ends them with an empty array.
   *
   * If every call finds something ready, Deno's event loop still runs about once per millisecond.
   *
   * The first asynchronous wait of a program, or of a Worker, opens two descriptors. They stay open until every
   * selector that has waited asynchronously is closed.
   *
   * If you terminate a Worker during a wait, its thread ends within two seconds, but its descriptors stay open until
   * the process ends. Instead, end the wait with {@linkcode wake}, and let the Worker close its selectors.
   *
   * There is no `unref()`, because Deno waits for every call that runs on its pool. If a wait should not keep the
   * program alive, end it with an `AbortSignal`.
   *
   * @param timeout Seconds or a duration, as for {@linkcode BaseSelector.prototype.select | select}; defaults to
   * undefined, which waits forever
   * @param options `signal` aborts the wait; defaults to no signal
   * @returns Pairs of a key and its ready events; an empty array if the wait ended before anything was ready
   * @throws {RangeError} if `timeout` is NaN, or a duration in weeks, months or years
   * @throws {TypeError} if `timeout` is neither a number, null nor a duration
   * @throws {OSError} EMFILE if the first wait cannot open its two descriptors because too many are open
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
   * Iterates over ready entries, one by one. The iteration ends if the selector is closed, nothing is ready for
   * `timeout`, or you leave the loop.
   *
   * An entry is skipped if the handler of an earlier entry has unregistered or closed its file object, registered it
   * again, or removed its events with {@linkcode BaseSelector.prototype.modify | modify}. If `modify` set a mask with
   * MODE_ONCE or MODE_EDGE, the entry is also skipped, and a later wait reports it. After any other `modify`, the entry
   * has the new key, and those of its events that are still registered.
   *
   * If you leave the loop, the next wait reports the entries that the loop has not returned, even with MODE_ONCE or
   * MODE_EDGE. In all other respects, the iteration is
   * {@linkcode BaseSelector.prototype.selectAsync | selectAsync} in a loop, so
   * {@linkcode BaseSelector.prototype.wakeup | wakeup} does not end it.
   *
   * @param options `timeout` ends the iteration if nothing is ready for this long, and `signal` aborts it: the loop
   * throws the reason of the signal; defaults to neither
   * @returns An iterator over pairs of a key and its ready events
   * @throws {RangeError} if `timeout` is NaN, or a duration in weeks, months or years
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
   * Ends all current waits at once, with the entries that are ready. If there is no current wait, ends the next wait.
   *
   * Several calls before a wait ends count as one. A call does not add an entry to the result. From another Worker, use
   * {@linkcode BaseSelector.prototype.wakeHandle | wakeHandle}.
   *
   * @throws {Deno.errors.BadResource} if the selector is closed
   */
  wakeup(): void {
    this.#checkOpen("wake up");
    this.#core.wake();
  }

  /**
   * Opaque number with which any Worker can wake this selector: `wake(handle)` does what
   * {@linkcode BaseSelector.prototype.wakeup | wakeup} does.
   *
   * The first read opens a socket pair. After the selector is closed, the pair stays open for the next selector, so a
   * late `wake()` with this handle never writes to another file.
   *
   * @throws {OSError} EMFILE if too many descriptors are open
   * @throws {Deno.errors.BadResource} if the selector is closed
   */
  get wakeHandle(): number {
    this.#checkOpen("read the wake handle");
    return this.#core.wakeHandle;
  }

  /**
   * Closes the selector, but not the file objects. Current waits end with an empty array. A second call has no effect.
   */
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
   * @throws {KeyError} if the file object is not registered
   * @throws {RangeError} if its descriptor is negative or above `2^31-1`
   * @throws {TypeError} if `fileobj` is not a file object
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
   * Returns true if {@linkcode BaseSelector.prototype.register | register} accepts an event mask on this system. Does
   * not register anything.
   *
   * EVENT_READ and EVENT_WRITE are always supported, with or without MODE_ONCE. {@link [default] | The main module} has
   * a table of the other events and modes.
   *
   * @param events EVENT_* and MODE_* bits, combined with `|`
   * @returns True if `register` accepts the mask; false for an invalid mask too, such as a mode without an event
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

  /** True if the selector is closed. */
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

/** Returns the option `fallback`, or throws if it is invalid. */
function checkFallback({ fallback = "none" }: SelectorOptions): "none" | "select" {
  if (fallback === "none" || fallback === "select") return fallback;
  throw new RangeError(`Cannot create a selector with fallback ${show(fallback)}: use "none" or "select"`);
}
