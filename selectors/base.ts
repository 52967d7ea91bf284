/**
 * What all selectors share: the events, the keys, the live map, and {@linkcode BaseSelector}, which states the contract.
 *
 * @module
 */

import { show } from "../ffi/arguments.ts";
import { EBADF, OSError } from "../ffi/errno.ts";
import { filenoOf, type FileObject, KeyError } from "../ffi/file_object.ts";
import { type Timeout, timeoutToMs } from "../ffi/timeout.ts";

export { type FileObject, KeyError, type Timeout };

/** The file object can be read without blocking: data, a connection to accept, end of file, or an error. */
export const EVENT_READ = 1;
/** The file object can be written without blocking: room, a connection made, or an error. */
export const EVENT_WRITE = 2;

/** Everything that can be waited for. */
const ALL_EVENTS = EVENT_READ | EVENT_WRITE;

/** The last argument of `register` and `modify`: needed unless the type of the data admits `undefined`. */
export type DataArgument<D> = undefined extends D ? [data?: D] : [data: D];

/** An entry of what `select` gives: a key, and those of its events that are ready. */
export type Ready<D, F extends FileObject> = [key: SelectorKey<D, F>, events: number];

/**
 * A file object, its descriptor, the events it is registered for, and the data that goes with it.
 *
 * It is immutable, and comes apart as Python's named tuple does.
 *
 * @example Usage
 * ```ts
 * import { EVENT_READ, SelectSelector } from "@selectors/selectors";
 * import { socketpair } from "@selectors/selectors/socket";
 * import { assertEquals } from "@std/assert";
 *
 * const [here, there] = socketpair();
 * using selector = new SelectSelector<string>();
 * const key = selector.register(here, EVENT_READ, "my data");
 * const [fileobj, fd, events, data] = key;
 * assertEquals([fd, events, data], [key.fd, EVENT_READ, "my data"]);
 * assertEquals(fileobj, here);
 * here.close();
 * there.close();
 * ```
 */
export class SelectorKey<D = unknown, F extends FileObject = FileObject> {
  readonly #fileobj: F;
  readonly #fd: number;
  readonly #events: number;
  readonly #data: D;

  /**
   * Makes a key; only a selector registers one.
   *
   * @param fileobj The file object, as it was given
   * @param fd Its descriptor
   * @param events EVENT_READ, EVENT_WRITE or both
   * @param data What goes with it
   */
  constructor(fileobj: F, fd: number, events: number, data: D) {
    this.#fileobj = fileobj;
    this.#fd = fd;
    this.#events = events;
    this.#data = data;
  }

  /** The file object that was registered. */
  get fileobj(): F {
    return this.#fileobj;
  }

  /** Its descriptor. */
  get fd(): number {
    return this.#fd;
  }

  /** What is waited for: EVENT_READ, EVENT_WRITE or both. */
  get events(): number {
    return this.#events;
  }

  /** What was registered to go with it. */
  get data(): D {
    return this.#data;
  }

  /**
   * Gives `fileobj`, `fd`, `events` and `data`, in this order, for `const [fileobj, fd, events, data] = key`.
   *
   * TypeScript gives every variable of such a pattern the one type of the iterator, hence `any`; the properties have
   * the types that the selector was made with.
   */
  // deno-lint-ignore no-explicit-any -- a union would make every one of the four variables useless
  [Symbol.iterator](): ArrayIterator<any> {
    return [this.#fileobj, this.#fd, this.#events, this.#data][Symbol.iterator]();
  }

  /** Shows the fields where the key is printed. */
  [Symbol.for("Deno.customInspect")](
    inspect: (value: unknown, options?: Deno.InspectOptions) => string,
    options?: Deno.InspectOptions,
  ): string {
    const fields = { fileobj: this.#fileobj, fd: this.#fd, events: this.#events, data: this.#data };
    return `SelectorKey ${inspect(fields, options)}`;
  }
}

/** The keys of a selector, by descriptor, and in the order of registration. */
class KeyTable<D, F extends FileObject> {
  // Descriptors are small numbers, given lowest first: an array costs less than a Map, most of all where the same number
  // comes and goes, since a Map keeps what was deleted in its chains until it is full.
  readonly #byFd: (SelectorKey<D, F> | undefined)[] = [];
  /** When each was registered, as a count of all that ever were. */
  readonly #turns: number[] = [];
  #turn = 0;
  #size = 0;
  // For those few programs that walk over all keys: made by the first walk, and kept from then on, so that a walk sees
  // what changes under it.
  #inOrder: Map<number, SelectorKey<D, F>> | null = null;

  get size(): number {
    return this.#size;
  }

  get inOrder(): ReadonlyMap<number, SelectorKey<D, F>> {
    return this.#inOrder ??= new Map(this.#sorted().map((key) => [key.fd, key]));
  }

  #sorted(): SelectorKey<D, F>[] {
    const keys = this.#byFd.filter((key) => key !== undefined);
    return keys.sort((one, other) => this.#turns[one.fd]! - this.#turns[other.fd]!);
  }

  get(fd: number): SelectorKey<D, F> | undefined {
    return this.#byFd[fd];
  }

  /** Finds by descriptor or file object; one that was closed no longer knows its descriptor, and is found by identity. */
  find(fileobj: F | number): SelectorKey<D, F> | undefined {
    if (typeof fileobj === "number") return this.#byFd[fileobj];
    return this.#byFd[filenoOrNone(fileobj)] ?? this.#byFd.find((key) => key?.fileobj === fileobj);
  }

  /** Puts a key in, or another one in the place of one with its descriptor. */
  put(key: SelectorKey<D, F>): SelectorKey<D, F> {
    const { fd } = key;
    if (this.#byFd[fd] === undefined) {
      this.#size++;
      this.#turns[fd] = this.#turn++;
    }
    this.#inOrder?.set(fd, key);
    return this.#byFd[fd] = key;
  }

  drop(fd: number): void {
    this.#size--;
    this.#inOrder?.delete(fd);
    this.#byFd[fd] = undefined;
  }

  clear(): void {
    this.#size = 0;
    this.#inOrder?.clear();
    this.#byFd.length = 0;
  }
}

/**
 * A live, read-only view of what is registered, from descriptor to key, in the order of registration.
 *
 * As with Python's mapping, a file object finds its key as well as its descriptor does. After the selector has been
 * closed, the view is empty.
 */
export class SelectorMap<D = unknown, F extends FileObject = FileObject>
  implements Iterable<[number, SelectorKey<D, F>]> {
  readonly #keys: {
    size: number;
    inOrder: ReadonlyMap<number, SelectorKey<D, F>>;
    find(fileobj: F | number): SelectorKey<D, F> | undefined;
  };

  /**
   * Makes a view of a selector's keys, as {@linkcode BaseSelector.getMap} gives it.
   *
   * @param keys How many keys there are, the keys in order, and how to find one
   */
  constructor(
    keys: {
      size: number;
      inOrder: ReadonlyMap<number, SelectorKey<D, F>>;
      find(fileobj: F | number): SelectorKey<D, F> | undefined;
    },
  ) {
    this.#keys = keys;
  }

  /** How many file objects are registered. */
  get size(): number {
    return this.#keys.size;
  }

  /** Gives the key of a file object or descriptor, or undefined if it is not registered. */
  get(fileobj: F | number): SelectorKey<D, F> | undefined {
    return this.#keys.find(fileobj);
  }

  /** Tells whether a file object or descriptor is registered. */
  has(fileobj: F | number): boolean {
    return this.#keys.find(fileobj) !== undefined;
  }

  /** Gives the descriptors. */
  keys(): MapIterator<number> {
    return this.#keys.inOrder.keys();
  }

  /** Gives the keys of the selector, which are this map's values. */
  values(): MapIterator<SelectorKey<D, F>> {
    return this.#keys.inOrder.values();
  }

  /** Gives pairs of a descriptor and its key. */
  entries(): MapIterator<[number, SelectorKey<D, F>]> {
    return this.#keys.inOrder.entries();
  }

  /** Calls a function with each key, its descriptor and this view. */
  forEach(callback: (key: SelectorKey<D, F>, fd: number, map: this) => void): void {
    this.#keys.inOrder.forEach((key, fd) => callback(key, fd, this));
  }

  /** Gives pairs of a descriptor and its key. */
  [Symbol.iterator](): MapIterator<[number, SelectorKey<D, F>]> {
    return this.#keys.inOrder.entries();
  }

  /** Shows the entries where the view is printed. */
  [Symbol.for("Deno.customInspect")](
    inspect: (value: unknown, options?: Deno.InspectOptions) => string,
    options?: Deno.InspectOptions,
  ): string {
    return inspect(this.#keys.inOrder, options).replace(/^Map/, "SelectorMap");
  }
}

function filenoOrNone(fileobj: Exclude<FileObject, number>): number {
  try {
    const fd = fileobj.fileno();
    return typeof fd === "number" ? fd : -1;
  } catch {
    // No file object at all, or one that refuses once it is closed. filenoOf() says so where it matters.
    return -1;
  }
}

/**
 * Waits until some of many file objects are ready to be read or written: the contract of every selector.
 *
 * Each subclass stands for one mechanism of the operating system, and supplies no more than five protected methods.
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
export abstract class BaseSelector<D = unknown, F extends FileObject = FileObject> implements Disposable {
  readonly #keys = new KeyTable<D, F>();
  readonly #view: SelectorMap<D, F> = new SelectorMap(this.#keys);
  readonly #closedFds = new Set<number>();
  #closed = false;

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

  /** How many file objects are registered. */
  protected get size(): number {
    return this.#keys.size;
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
    return this.#keys.put(new SelectorKey<D, F>(fileobj, fd, events, data as D));
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
      } catch (error) {
        this.#drop(key);
        throw error;
      }
    } else if (data === key.data) {
      return key;
    }
    return this.#keys.put(new SelectorKey<D, F>(key.fileobj, key.fd, events, data as D));
  }

  /**
   * Waits until some registered file objects are ready, or the time is over.
   *
   * The wait is synchronous: Deno's event loop, with its timers and signal listeners, stands still meanwhile. A signal
   * does not end it (Python's PEP 475); it goes on for the time that is left. With nothing registered it waits all the
   * same.
   *
   * @param timeout Seconds or a duration. Null or undefined: for ever. 0 or less: only look. It is rounded up to what
   * the kernel can wait, and never ends early
   * @returns Pairs of a key and those of its events that are ready; an empty array if the time is over
   * @throws {RangeError} if `timeout` is NaN, or a duration whose length depends on a date
   * @throws {Deno.errors.BadResource} if the selector is closed
   */
  select(timeout?: Timeout): Ready<D, F>[] {
    // The commonest timeouts need neither conversion nor clock.
    const timeoutMs = timeout === 0 ? 0 : Math.max(timeoutToMs(timeout), 0);
    if (this.#closed) this.#checkOpen("select");
    if (timeoutMs === 0 || timeoutMs === Infinity) {
      for (;;) {
        const ready = this.wait(timeoutMs);
        if (ready !== null) return ready;
      }
    }
    const deadline = performance.now() + timeoutMs;
    for (let left = timeoutMs;; left = Math.max(deadline - performance.now(), 0)) {
      const ready = this.wait(left);
      if (ready !== null) return ready;
    }
  }

  /** Closes the selector, but none of the file objects; once is enough, and twice does no harm. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#keys.clear();
    this.release();
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

  #drop(key: SelectorKey<D, F>): void {
    this.#keys.drop(key.fd);
    this.#closedFds.delete(key.fd);
    this.unwatch(key.fd);
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
