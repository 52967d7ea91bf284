/**
 * What all selectors share: {@linkcode BaseSelector}, which states the contract.
 *
 * @module
 */

import { filenoOf, type FileObject, KeyError, show } from "../ffi/os/arguments.ts";
import { EBADF, EINTR, OSError } from "../ffi/os/errno.ts";
import { deadlineAfter, leftUntil, monotonicMs, type Timeout, timeoutToMs } from "../ffi/os/timeout.ts";
import { lendWaker, type Waker } from "../ffi/os/waker.ts";
import { EVENT_READ, EVENT_WRITE } from "./events.ts";
import { Iteration } from "./waits/iteration.ts";
import { filenoOrNone, KeyTable, SelectorKey, SelectorMap } from "./keys.ts";
import * as parking from "./waits/parking.ts";
import { isTurnOver, nextTurn } from "./waits/turns.ts";

export { EVENT_READ, EVENT_WRITE, type FileObject, KeyError, SelectorKey, SelectorMap, type Timeout };

/** Everything that can be waited for. */
const ALL_EVENTS = EVENT_READ | EVENT_WRITE;

/** The last argument of `register` and `modify`: needed unless the type of the data admits `undefined`. */
export type DataArgument<D> = undefined extends D ? [data?: D] : [data: D];

/** An entry of what `select` gives: a key, and those of its events that are ready. */
export type Ready<D, F extends FileObject> = [key: SelectorKey<D, F>, events: number];

/** What a selector can be told when it is made. */
export interface SelectorOptions {
  /**
   * What a synchronous `select` does when a signal interrupts it: wait for the time that is left, as Python's PEP 475 has
   * it, or return an empty array.
   *
   * Deno runs its signal listeners between two turns of its event loop, and so not during a `select`. A program that
   * waits by `select` and has a listener needs `"return"`, and then lets the event loop turn: see
   * {@linkcode BaseSelector.select}. The default is `"retry"`.
   */
  onSignal?: "retry" | "return";
}

/** What ends an asynchronous wait, besides what it waits for. */
export interface WaitOptions {
  /** Ends the wait with an error, which is the reason of the signal. */
  signal?: AbortSignal;
}

/** What ends an iteration over events. */
export interface IterationOptions extends WaitOptions {
  /** Ends the iteration when nothing has been ready for so long: seconds or a duration. */
  timeout?: Timeout;
}

/**
 * Waits until some of many file objects are ready to be read or written: the contract of every selector.
 *
 * Each subclass stands for one mechanism of the operating system, and supplies a handful of protected methods.
 * What is said here holds for all of them.
 *
 * Waiting is level-triggered: a file object is reported as long as it is ready.
 *
 * A descriptor should be unregistered before it is closed. One that was not falls silent, disturbs no other, and can
 * still be unregistered. Two things no selector can see, while it is registered: that it is closed, where a duplicate of
 * it lives, for epoll watches the duplicate too; and that its number was used again before the next wait, for poll and
 * select know nothing but numbers.
 *
 * @typeParam D What goes with each registration, for example the function to call
 * @typeParam F Which file objects can be registered
 *
 * @see {@link https://docs.python.org/3/library/selectors.html | Python's selectors}
 */
export abstract class BaseSelector<D = unknown, F extends FileObject = FileObject>
  implements Disposable, AsyncIterable<Ready<D, F>, undefined, undefined> {
  readonly #keys = new KeyTable<D, F>();
  readonly #view: SelectorMap<D, F> = new SelectorMap(this.#keys);
  readonly #closedFds = new Set<number>();
  readonly #returnsOnSignal: boolean;
  // Keys whose file object no longer gave their descriptor when an iteration passed over them.
  readonly #disowned = new WeakSet<SelectorKey<D, F>>();
  // The result of the last wait that a signal ended.
  #interruption: Ready<D, F>[] | null = null;
  #closed = false;
  // Whether it was neither closed nor ever woken, all that the commonest wait asks.
  #isPlain = true;
  // What other Workers call, if they were told how.
  #waker: Waker | null = null;
  // Whether it was called since the last wait, and how often in all.
  #isWoken = false;
  #wakeups = 0;
  // Asynchronous waits that go on, and whether what they need has been made.
  #parked = 0;
  #isTenant = false;

  /**
   * Makes a selector with nothing registered.
   *
   * @param options What it does when a signal interrupts it
   * @throws {RangeError} if an option has a value that there is not
   */
  constructor(options: SelectorOptions = {}) {
    const { onSignal = "retry" } = options;
    if (onSignal !== "retry" && onSignal !== "return") {
      throw new RangeError(`Cannot make a selector with onSignal ${show(onSignal)}: use "retry" or "return"`);
    }
    this.#returnsOnSignal = onSignal === "return";
  }

  /** Starts to wait for events of a descriptor that is open and not watched; throws an OSError if it cannot. */
  protected abstract watch(fd: number, events: number): void;

  /** Changes what a watched descriptor is waited for; throws an OSError if it cannot. */
  protected abstract rewatch(fd: number, events: number): void;

  /** Stops to wait for a descriptor, which may have been closed, or its number reused, since; never throws. */
  protected abstract unwatch(fd: number): void;

  /**
   * Waits once, by one system call, and gives what is ready.
   *
   * @param timeoutMs Milliseconds from 0, or `Infinity` for ever
   * @returns The ready entries, none if the time is over, or null if the wait has to be repeated for what is left of it
   */
  protected abstract wait(timeoutMs: number): Ready<D, F>[] | null;

  /** Gives back what the system lent; called once. */
  protected abstract release(): void;

  /**
   * A descriptor that is readable as long as a wait would give something, for others to wait for; -1 if there is none, and
   * what is registered has to be waited for instead.
   */
  protected get waitable(): number {
    return -1;
  }

  /** How many descriptors are watched. */
  protected get size(): number {
    return this.#keys.size + (this.#waker === null ? 0 : 1);
  }

  /** The keys of the descriptors that are watched; among them that of the waker, which the map does not have. */
  protected watched(): SelectorKey<D, F>[] {
    return this.#keys.all();
  }

  /** What a wait gives that was interrupted. */
  protected interrupted(outcome: number): Ready<D, F>[] | null {
    return this.#returnsOnSignal && outcome === -EINTR ? this.#interruption = [] : null;
  }

  /** Has asynchronous waits begin anew, since what {@linkcode waitable} stands for has changed. */
  protected disturbWaits(): void {
    if (this.#parked > 0) parking.disturb();
  }

  /** The key that is registered for a descriptor. */
  protected keyOf(fd: number): SelectorKey<D, F> | undefined {
    return this.#keys.get(fd);
  }

  /** Notes that a watched descriptor was found closed: `modify` refuses it then, even if its number is used again. */
  protected foundClosed(fd: number): void {
    if (this.#keys.get(fd) !== undefined) this.#closedFds.add(fd);
  }

  /**
   * Registers a file object.
   *
   * @param fileobj A descriptor, or an object with a `fileno()`
   * @param events EVENT_READ, EVENT_WRITE or both
   * @param data What the key shall carry
   * @returns The key, as `select` will give it
   * @throws {RangeError} if `events` is anything else, or the descriptor negative or above 2^31-1
   * @throws {TypeError} if `fileobj` is no file object
   * @throws {KeyError} if it is registered already
   * @throws {OSError} EBADF if the descriptor is closed, EPERM if this selector cannot wait for its kind, ENOSPC or
   * ENOMEM if the kernel has no room; nothing is registered then
   * @throws {Deno.errors.BadResource} if the selector is closed
   */
  register(fileobj: F, events: number, ...data: DataArgument<D>): SelectorKey<D, F>;
  register(fileobj: F, events: number, data?: D): SelectorKey<D, F> {
    this.#checkOpen("register", fileobj);
    checkEvents("register", fileobj, events);
    const fd = filenoOf(fileobj);
    this.#checkOpen("register", fileobj); // again: the object's fileno() may be anything
    if (this.#keys.get(fd) !== undefined) throw new KeyError(`Cannot register fd ${fd}: it is already registered`);
    this.watch(fd, events);
    this.#changed();
    return this.#keys.put(new SelectorKey<D, F>(fileobj, fd, events, data as D, this));
  }

  /**
   * Unregisters a file object, also after it was closed.
   *
   * @param fileobj What was registered, or its descriptor
   * @returns The key that was registered
   * @throws {KeyError} if it is not registered
   * @throws {RangeError | TypeError} if it could not be
   * @throws {Deno.errors.BadResource} if the selector is closed
   */
  unregister(fileobj: F | number): SelectorKey<D, F> {
    const key = this.#lookup("unregister", fileobj);
    this.#drop(key);
    return key;
  }

  /**
   * Changes the events and the data of a registration.
   *
   * The data is replaced in any case: where it is left out, it becomes undefined, as in Python.
   *
   * @param fileobj What was registered, or its descriptor
   * @param events EVENT_READ, EVENT_WRITE or both
   * @param data What the key shall carry
   * @returns The new key
   * @throws {RangeError} if `events` is anything else; nothing changes then
   * @throws {KeyError} if it is not registered
   * @throws {OSError} if the system refuses, for example EBADF because the descriptor was closed; it is not registered
   * any more then
   * @throws {Deno.errors.BadResource} if the selector is closed
   */
  modify(fileobj: F | number, events: number, ...data: DataArgument<D>): SelectorKey<D, F>;
  modify(fileobj: F | number, events: number, data?: D): SelectorKey<D, F> {
    const key = this.#lookup("modify", fileobj);
    checkEvents("modify", fileobj, events);
    if (events !== key.events) {
      try {
        if (this.#closedFds.has(key.fd)) throw new OSError("modify", EBADF, `fd ${key.fd}`);
        this.rewatch(key.fd, events);
        this.#changed();
      } catch (error) {
        this.#drop(key);
        throw error;
      }
    } else if (data === key.data) {
      return key;
    }
    return this.#keys.put(new SelectorKey<D, F>(key.fileobj, key.fd, events, data as D, this));
  }

  /**
   * Waits until some registered file objects are ready, or the time is over, or {@linkcode wakeup} is called.
   *
   * The wait is synchronous: Deno's event loop, with its timers and signal listeners, stands still meanwhile; see
   * {@linkcode selectAsync} for the other kind. A signal does not end it (Python's PEP 475); it goes on for the time that
   * is left, unless the selector was made with `onSignal: "return"`. With nothing registered it waits all the same.
   *
   * @param timeout Seconds or a duration. Null or undefined: for ever. 0 or less: only look. It is rounded up to what
   * the kernel can wait, and never ends early
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
    // The commonest case is small, so that V8 takes it, and the wait with it, into the caller's loop.
    if (this.#isPlain && (timeout === 0 || timeout === undefined)) {
      const ready = this.wait(timeout === 0 ? 0 : Infinity);
      if (ready !== null) return ready;
    }
    return this.#select(timeout);
  }

  /**
   * Waits as {@linkcode select} does, while Deno's event loop goes on.
   *
   * What is ready now is given at once. Otherwise the wait keeps the process alive, as a listening server does, and uses
   * one thread of Deno's pool, which all the waits of an isolate share. What is registered, modified or unregistered
   * meanwhile takes effect in it. Any number of waits can go on for one selector. `close()` ends them with an empty array.
   *
   * A loop in which there is always something ready lets Deno's event loop turn about once in a millisecond.
   *
   * The first wait of an isolate takes two descriptors, which are given back when its selectors are closed.
   *
   * A Worker that is terminated while it waits runs no more code: its thread ends after at most two seconds, and its
   * descriptors stay open until the process ends. To end such a Worker, {@linkcode wake} it, and let it close its selectors.
   *
   * There is no `unref()`: Deno waits for every call that runs on its pool. Where a wait should not keep the program
   * alive, end it by a signal of an `AbortController` when the rest is done.
   *
   * @param timeout As for {@linkcode select}
   * @param options What else ends the wait
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
      const timeoutMs = timeout === 0 ? 0 : Math.max(timeoutToMs(timeout), 0);
      this.#checkOpen("select");
      signal?.throwIfAborted();
      if (isTurnOver()) return this.#selectLater(timeoutMs, signal);
      const ready = this.#lookAside();
      if (this.#takeWakeup() || ready.length > 0 || timeoutMs === 0) return Promise.resolve(ready);
      return this.#park(deadlineAfter(timeoutMs), signal);
    } catch (error) {
      return Promise.reject(error);
    }
  }

  /**
   * Gives what gets ready, entry by entry, until the selector is closed, nothing is ready for the time that is allowed, or
   * the iteration is left.
   *
   * An entry is not given if what was done for an earlier one has unregistered or closed its file object, registered it
   * again, or modified it so that it does not wait for this any more; one that was modified otherwise comes with its new
   * key. In all else it is {@linkcode selectAsync} in a loop.
   *
   * @param options What ends the iteration
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
    { signal, timeout }: IterationOptions = {},
  ): AsyncIterableIterator<Ready<D, F>, undefined, undefined> & AsyncDisposable {
    const timeoutMs = Math.max(timeoutToMs(timeout), 0);
    this.#checkOpen("iterate over events");
    let turn = 0; // that of the registrations when the last batch was looked for
    return new Iteration<Ready<D, F>>({
      look: () => {
        turn = this.#keys.turn;
        const ready = this.#lookAside();
        this.#isWoken = false; // the iteration has nothing to give for it
        return ready;
      },
      wait: (deadlineMs, isLeft) =>
        this.#park(deadlineMs, signal, () => {
          turn = this.#keys.turn;
          return isLeft();
        }),
      disturb: () => this.disturbWaits(),
      current: (entry) => {
        const [key, events] = entry;
        const now = this.#keys.get(key.fd);
        if (now === undefined || this.#isDisowned(now)) return undefined;
        if (now === key) return entry;
        // It was modified, if it was not registered again. What it still waits for is given: who modifies others all the
        // time would otherwise keep them from their turn for ever.
        const wanted = this.#keys.isOfBefore(key.fd, turn) ? events & now.events : 0;
        return wanted === 0 ? undefined : [now, wanted];
      },
      isOver: () => {
        signal?.throwIfAborted();
        return this.#closed;
      },
    }, timeoutMs);
  }

  /** Gives what gets ready, entry by entry, as {@linkcode events} does. */
  [Symbol.asyncIterator](): AsyncIterator<Ready<D, F>, undefined, undefined> {
    return this.events();
  }

  /**
   * Ends the wait that goes on, or else the next one, at once, with whatever is ready.
   *
   * Any number of calls before that count as one. It shows as no entry. Waits that other Workers shall end have a
   * {@linkcode wakeHandle}.
   *
   * @throws {Deno.errors.BadResource} if the selector is closed
   */
  wakeup(): void {
    this.#checkOpen("wake up");
    this.#isPlain = false;
    this.#isWoken = true;
    this.#wakeups++;
    this.disturbWaits();
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
    this.#checkOpen("give the wake handle");
    if (this.#waker === null) {
      const waker = lendWaker();
      try {
        this.watch(waker.fd, EVENT_READ);
      } catch (error) {
        waker.giveBack();
        throw error;
      }
      // No caller ever sees this key.
      this.#keys.hide(new SelectorKey<D, F>(waker.fd as F, waker.fd, EVENT_READ, undefined as D));
      this.#waker = waker;
      this.#isPlain = false;
      this.#changed();
    }
    return this.#waker.handle;
  }

  /** Closes the selector, but none of the file objects; once is enough, and twice does no harm. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#isPlain = false;
    this.#keys.clear();
    this.release();
    this.#waker?.giveBack();
    if (this.#isTenant) parking.leave();
  }

  /**
   * Gives the key of a registered file object.
   *
   * @param fileobj What was registered, or its descriptor
   * @throws {KeyError} if it is not registered
   * @throws {RangeError | TypeError} if it could not be
   * @throws {Deno.errors.BadResource} if the selector is closed
   */
  getKey(fileobj: F | number): SelectorKey<D, F> {
    return this.#lookup("get the key of", fileobj);
  }

  /** Gives the live map from descriptors to keys, or null if the selector is closed. */
  getMap(): SelectorMap<D, F> | null {
    return this.#closed ? null : this.#view;
  }

  /** Whether the selector has been closed. */
  get closed(): boolean {
    return this.#closed;
  }

  /** Closes the selector at the end of a `using` block. */
  [Symbol.dispose](): void {
    this.close();
  }

  /**
   * Tells whether a key's file object no longer gives its descriptor, the first time that an iteration meets it so.
   *
   * An earlier handler has closed the object then, and the entry is of before. If the descriptor is open all the same, as
   * after `detach()`, the next wait reports it again, and the iteration gives it as `select()` does.
   */
  #isDisowned(key: SelectorKey<D, F>): boolean {
    if (typeof key.fileobj === "number" || filenoOrNone(key.fileobj) === key.fd) return false;
    if (this.#disowned.has(key)) return false;
    this.#disowned.add(key);
    return true;
  }

  #drop(key: SelectorKey<D, F>): void {
    this.#keys.drop(key.fd);
    this.#closedFds.delete(key.fd);
    this.unwatch(key.fd);
    this.#changed();
  }

  /** Has asynchronous waits take in what is watched now, where the kernel does not see to that. */
  #changed(): void {
    if (this.#parked > 0 && this.waitable < 0) parking.disturb();
  }

  #select(timeout: Timeout | undefined): Ready<D, F>[] {
    let timeoutMs = Math.max(timeoutToMs(timeout), 0);
    this.#checkOpen("select");
    if (this.#takeWakeup()) timeoutMs = 0;
    const deadlineMs = deadlineAfter(timeoutMs);
    for (let leftMs = timeoutMs;; leftMs = leftUntil(deadlineMs)) {
      const ready = this.wait(leftMs);
      if (ready === null) continue;
      if (this.#waker !== null) this.#withoutWaker(ready);
      // Without an entry the wait goes on: the longest timeout of the call may be over, and not that of the caller.
      const isOver = ready.length > 0 || this.#takeWakeup() || leftMs === 0 || monotonicMs() >= deadlineMs;
      if (isOver || ready === this.#interruption) return ready;
    }
  }

  /** What is ready now. Whether a wait would end with it in any case is told by {@linkcode #takeWakeup}. */
  #look(): Ready<D, F>[] {
    for (;;) {
      const ready = this.wait(0);
      if (ready !== null) return this.#waker === null ? ready : this.#withoutWaker(ready);
    }
  }

  /** Tells whether the selector was woken since the last wait, once. */
  #takeWakeup(): boolean {
    const wasWoken = this.#isWoken;
    this.#isWoken = false;
    return wasWoken;
  }

  /** Takes the waker's entry, if there is one, out of what a wait gave, and notes that it was called. */
  #withoutWaker(ready: Ready<D, F>[]): Ready<D, F>[] {
    const { hidden } = this.#keys;
    const place = ready.findIndex(([key]) => key === hidden);
    if (place < 0) return ready;
    if (this.#waker!.drain()) {
      this.#isWoken = true;
      this.#wakeups++;
    }
    ready.splice(place, 1);
    return ready;
  }

  /**
   * What is ready now, at the begin of an asynchronous wait.
   *
   * What such waits need is made at the first, since later there may be no descriptor left for it; and after the look,
   * which has found those that were closed behind our back and whose numbers it takes.
   */
  #lookAside(): Ready<D, F>[] {
    const ready = this.#look();
    if (!this.#isTenant) {
      parking.enter();
      this.#isTenant = true;
    }
    return ready;
  }

  /** Waits asynchronously, from the next turn on. */
  async #selectLater(timeoutMs: number, signal: AbortSignal | undefined): Promise<Ready<D, F>[]> {
    const deadlineMs = deadlineAfter(timeoutMs);
    await nextTurn();
    signal?.throwIfAborted();
    if (this.#closed) return [];
    const ready = this.#lookAside();
    if (this.#takeWakeup() || ready.length > 0 || timeoutMs === 0) return ready;
    return this.#park(deadlineMs, signal);
  }

  /** Waits asynchronously until there is something, where there was nothing a moment before. */
  #park(deadlineMs: number, signal?: AbortSignal, isLeft?: () => boolean): Promise<Ready<D, F>[]> {
    this.#parked++;
    const wakeups = this.#wakeups;
    const { promise, resolve, reject } = Promise.withResolvers<Ready<D, F>[]>();
    const onAbort = () => parking.disturb();
    const leave = () => {
      signal?.removeEventListener("abort", onAbort);
      this.#parked--;
    };
    signal?.addEventListener("abort", onAbort);
    parking.park({
      deadlineMs,
      enlist: (enlist) => this.#enlist(enlist),
      review: () => {
        try {
          signal?.throwIfAborted();
          const isOver = this.#closed || isLeft?.() === true;
          const ready = isOver ? [] : this.#look();
          if (!isOver && ready.length === 0 && wakeups === this.#wakeups && monotonicMs() < deadlineMs) {
            return false;
          }
          this.#isWoken = false;
          resolve(ready);
        } catch (error) {
          reject(error);
        }
        leave();
        return true;
      },
      fail: (error) => {
        reject(error);
        leave();
      },
    });
    return promise;
  }

  /** Names what an asynchronous wait waits for. */
  #enlist(enlist: parking.Enlist): void {
    if (this.waitable >= 0) return enlist(this.waitable, EVENT_READ);
    for (const { fd, events } of this.watched()) {
      if (!this.#closedFds.has(fd)) enlist(fd, events);
    }
  }

  #lookup(action: string, fileobj: F | number): SelectorKey<D, F> {
    this.#checkOpen(action, fileobj);
    const key = this.#keys.find(fileobj);
    this.#checkOpen(action, fileobj); // again: the object's fileno() may be anything
    if (key !== undefined) return key;
    if (typeof fileobj === "object" && fileobj?.fileno?.() === -1) {
      throw new KeyError(`Cannot ${action} ${show(fileobj)} (fd -1): it is closed, and is not registered`);
    }
    throw new KeyError(`Cannot ${action} fd ${filenoOf(fileobj)}: it is not registered`);
  }

  #checkOpen(action: string, fileobj?: F | number): void {
    if (!this.#closed) return;
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
