/**
 * The contract of every selector: {@linkcode BaseSelector}.
 *
 * @module
 */

import { filenoOf, type FileObject, KeyError, show } from "../ffi/os/arguments.ts";
import { EVENT_READ, EVENT_WRITE } from "../ffi/os/events.ts";
import type { Poller } from "../ffi/os/poller.ts";
import { type Timeout, timeoutToMs } from "../ffi/os/timeout.ts";
import { type Ready, SelectorCore } from "./core.ts";
import { type SelectorKey, SelectorMap } from "./keys.ts";
import { Iteration } from "./waits/iteration.ts";
import { Waits } from "./waits/waits.ts";

const ALL_EVENTS = EVENT_READ | EVENT_WRITE;

/** The last argument of `register` and `modify`: required unless the type of the data admits `undefined`. */
export type DataArgument<D> = undefined extends D ? [data?: D] : [data: D];

/** Options of a selector. */
export interface SelectorOptions {
  /**
   * What a synchronous `select` does when a signal interrupts it: wait for the time that is left (`"retry"`, the default,
   * as in Python's PEP 475), or return an empty array (`"return"`).
   *
   * Deno runs its signal listeners between two turns of its event loop, so not during a `select`. A program that waits by
   * `select` and has a listener needs `"return"`, and then lets the event loop turn: see {@linkcode BaseSelector.select}.
   */
  onSignal?: "retry" | "return";
}

/** Options of an asynchronous wait. */
export interface WaitOptions {
  /** Ends the wait with an error: the reason of the signal. */
  signal?: AbortSignal;
}

/** Options of an iteration over events. */
export interface IterationOptions extends WaitOptions {
  /** Ends the iteration when nothing was ready for so long: seconds or a duration. */
  timeout?: Timeout;
}

/**
 * Waits until file objects are ready to be read or written: the contract of every selector.
 *
 * Each subclass stands for one mechanism of the operating system. Everything said here holds for all of them.
 *
 * Waiting is level-triggered: a file object is reported as long as it is ready.
 *
 * Unregister a descriptor before you close it. One that was closed first falls silent, disturbs no other, and can still
 * be unregistered. Two things no selector can see: that a registered descriptor is closed while a duplicate of it lives,
 * since epoll watches the duplicate too; and that its number was reused before the next wait, since poll and select know
 * only numbers.
 *
 * Each wait reports a registration by the descriptor that its file object gave to `register()`, even if `fileno()` returns
 * another number by now, as after `detach()`.
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
   * Makes a selector of a poller.
   *
   * @ignore
   */
  constructor(poller: Poller, options: SelectorOptions = {}) {
    const { onSignal = "retry" } = options;
    if (onSignal !== "retry" && onSignal !== "return") {
      poller.close();
      throw new RangeError(`Cannot make a selector with onSignal ${show(onSignal)}: use "retry" or "return"`);
    }
    this.#core = new SelectorCore(poller, onSignal === "return");
    this.#waits = new Waits(this.#core);
    this.#map = new SelectorMap(this.#core.keys);
  }

  /**
   * Registers a file object.
   *
   * @param fileobj A descriptor, or an object with a `fileno()`
   * @param events EVENT_READ, EVENT_WRITE or both
   * @param data Data for the key to carry
   * @returns The key, as `select` will return it
   * @throws {RangeError} if `events` is anything else, or the descriptor negative or above 2^31-1
   * @throws {TypeError} if `fileobj` is not a file object
   * @throws {KeyError} if it is registered already
   * @throws {OSError} EBADF if the descriptor is closed, EPERM if this selector cannot wait for its kind, ENOSPC or ENOMEM
   * if the kernel has no room; nothing is registered then
   * @throws {Deno.errors.BadResource} if the selector is closed
   */
  register(fileobj: F, events: number, ...data: DataArgument<D>): SelectorKey<D, F>;
  register(fileobj: F, events: number, data?: D): SelectorKey<D, F> {
    this.#checkOpen("register", fileobj);
    checkEvents("register", fileobj, events);
    const fd = filenoOf(fileobj);
    this.#checkOpen("register", fileobj); // again: fileno() may do anything
    if (this.#core.keys.get(fd) !== undefined) {
      throw new KeyError(`Cannot register fd ${fd}: it is already registered`);
    }
    return this.#core.add(fileobj, fd, events, data as D);
  }

  /**
   * Unregisters a file object, which may be closed.
   *
   * @param fileobj The file object, or its descriptor
   * @returns The key that was registered
   * @throws {KeyError} if it is not registered
   * @throws {RangeError | TypeError} if it cannot be registered
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
   * The data is always replaced: if it is omitted, it becomes undefined, as in Python.
   *
   * @param fileobj The file object, or its descriptor
   * @param events EVENT_READ, EVENT_WRITE or both
   * @param data Data for the key to carry
   * @returns The new key
   * @throws {RangeError} if `events` is anything else; nothing changes then
   * @throws {KeyError} if the file object is not registered
   * @throws {OSError} if the system refuses, for example EBADF because the descriptor was closed; the file object is no
   * longer registered then
   * @throws {Deno.errors.BadResource} if the selector is closed
   */
  modify(fileobj: F | number, events: number, ...data: DataArgument<D>): SelectorKey<D, F>;
  modify(fileobj: F | number, events: number, data?: D): SelectorKey<D, F> {
    const key = this.#find("modify", fileobj);
    checkEvents("modify", fileobj, events);
    return this.#core.modify(key, events, data as D);
  }

  /**
   * Waits until registered file objects are ready, the time is over, or {@linkcode wakeup} is called.
   *
   * The wait is synchronous: Deno's event loop stands still meanwhile, with its timers and signal listeners; see
   * {@linkcode selectAsync} for the other kind. A signal does not end the wait (Python's PEP 475), which goes on for the
   * time that is left, unless the selector was made with `onSignal: "return"`. With nothing registered it waits all the
   * same.
   *
   * @param timeout Seconds or a duration. Null or undefined: for ever. 0 or less: only look. It is rounded up to what the
   * kernel can wait, and never ends early
   * @returns Pairs of a key and those of its events that are ready; an empty array if the time is over
   * @throws {RangeError} if `timeout` is NaN, or a duration whose length depends on a date
   * @throws {Deno.errors.BadResource} if the selector is closed
   *
   * @example A listener for signals beside a synchronous loop
   * ```ts
   * import { DefaultSelector } from "@selectors/selectors";
   *
   * using selector = new DefaultSelector({ onSignal: "return" });
   * let isStopped = false;
   * const stop = () => isStopped = true;
   * Deno.addSignalListener("SIGINT", stop);
   * setTimeout(stop, 100); // as Ctrl-C does
   * while (!isStopped) {
   *   for (const [key] of selector.select(0.01)) console.log(key.fd, "is ready");
   *   await new Promise(setImmediate); // listeners and timers run here
   * }
   * Deno.removeSignalListener("SIGINT", stop);
   * ```
   */
  select(timeout?: Timeout): Ready<D, F>[] {
    // The commonest cases are small, so that V8 inlines them, and the wait with them, into the caller's loop.
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
   * Waits as {@linkcode select} does, while Deno's event loop goes on.
   *
   * Entries that are ready now are returned at once. Otherwise the wait keeps the process alive, as a listening server
   * does, and uses one thread of Deno's pool, which all waits of an isolate share. A change of the registrations takes
   * effect in it. Any number of waits can go on for one selector. `close()` ends them with an empty array.
   *
   * A loop that always finds something ready lets Deno's event loop turn about once in a millisecond.
   *
   * The first wait of an isolate takes two descriptors, which are given back when its selectors are closed.
   *
   * A Worker that is terminated while it waits runs no more code: its thread ends after at most two seconds, and its
   * descriptors stay open until the process ends. To end such a Worker, {@linkcode wake} it, and let it close its selectors.
   *
   * There is no `unref()`: Deno waits for every call that runs on its pool. If a wait should not keep the program alive,
   * end it by the signal of an `AbortController` when the rest is done.
   *
   * @param timeout As for {@linkcode select}
   * @param options A signal that ends the wait
   * @returns As for {@linkcode select}
   * @throws {RangeError} if `timeout` is NaN, or a duration whose length depends on a date
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
   * Iterates over ready entries, one by one, until the selector is closed, nothing is ready for `timeout`, or the loop is
   * left.
   *
   * An entry is skipped if the handler of an earlier one has unregistered or closed its file object, registered it again,
   * or modified it so that it no longer waits for these events. An entry that was modified otherwise comes with its new
   * key. In all else the iteration is {@linkcode selectAsync} in a loop.
   *
   * @param options A signal and a timeout that end the iteration
   * @throws {RangeError} if `timeout` is NaN, or a duration whose length depends on a date
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

  /** Iterates over ready entries, as {@linkcode events} does. */
  [Symbol.asyncIterator](): AsyncIterator<Ready<D, F>, undefined, undefined> {
    return this.events();
  }

  /**
   * Ends the wait that goes on, or else the next one, at once, with the entries that are ready.
   *
   * Any number of calls before that count as one. A call adds no entry to the result. Other Workers use
   * {@linkcode wakeHandle}.
   *
   * @throws {Deno.errors.BadResource} if the selector is closed
   */
  wakeup(): void {
    this.#checkOpen("wake up");
    this.#core.wake();
  }

  /**
   * Number with which any Worker can do what {@linkcode wakeup} does: `wake(handle)` there.
   *
   * It is made when it is first read, and takes two descriptors, which are kept for the next selector after this one is
   * closed. It is not a descriptor.
   *
   * @throws {OSError} EMFILE if too many descriptors are open
   * @throws {Deno.errors.BadResource} if the selector is closed
   */
  get wakeHandle(): number {
    this.#checkOpen("read the wake handle");
    return this.#core.wakeHandle;
  }

  /** Closes the selector, but none of the file objects. A second call does nothing. */
  close(): void {
    if (this.#core.isClosed) return;
    this.#core.close();
    this.#waits.close();
  }

  /**
   * Returns the key of a registered file object.
   *
   * @param fileobj The file object, or its descriptor
   * @throws {KeyError} if it is not registered
   * @throws {RangeError | TypeError} if it cannot be registered
   * @throws {Deno.errors.BadResource} if the selector is closed
   */
  getKey(fileobj: F | number): SelectorKey<D, F> {
    return this.#find("get the key of", fileobj);
  }

  /** Returns the live map from descriptors to keys, or null if the selector is closed. */
  getMap(): SelectorMap<D, F> | null {
    return this.#core.isClosed ? null : this.#map;
  }

  /** True once the selector has been closed. */
  get closed(): boolean {
    return this.#core.isClosed;
  }

  /** Closes the selector at the end of a `using` block. */
  [Symbol.dispose](): void {
    this.close();
  }

  #find(action: string, fileobj: F | number): SelectorKey<D, F> {
    this.#checkOpen(action, fileobj);
    const key = this.#core.keys.find(fileobj);
    this.#checkOpen(action, fileobj); // again: fileno() may do anything
    if (key !== undefined) return key;
    if (typeof fileobj === "object" && fileobj?.fileno?.() === -1) {
      throw new KeyError(`Cannot ${action} ${show(fileobj)} (fd -1): it is closed, and is not registered`);
    }
    throw new KeyError(`Cannot ${action} fd ${filenoOf(fileobj)}: it is not registered`);
  }

  #checkOpen(action: string, fileobj?: F | number): void {
    if (!this.#core.isClosed) return;
    const object = fileobj === undefined ? "" : typeof fileobj === "number" ? ` fd ${fileobj}` : ` ${show(fileobj)}`;
    throw new Deno.errors.BadResource(`Cannot ${action}${object}: the selector is closed`);
  }
}

function checkEvents(action: string, fileobj: FileObject, events: number): void {
  if (events === EVENT_READ || events === EVENT_WRITE || events === ALL_EVENTS) return;
  const object = typeof fileobj === "number" ? `fd ${fileobj}` : show(fileobj);
  throw new RangeError(
    `Cannot ${action} ${object} for events ${show(events)}: use EVENT_READ, EVENT_WRITE or both (${ALL_EVENTS})`,
  );
}
