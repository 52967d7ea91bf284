/**
 * Defines the key of a registration, and the table of all keys of a selector.
 *
 * @module
 */

import type { FileObject } from "../ffi/os/arguments.ts";

/** Returns the serial number of a key's registration; `modify()` does not change it. */
// deno-lint-ignore no-explicit-any -- a key of any data and file object
export let serialOf: (key: SelectorKey<any, any>) => number;

/** The selector to which a key belongs. */
export interface KeyOwner<D, F extends FileObject> {
  /** Unregisters a key if it is still registered. */
  dispose(key: SelectorKey<D, F>): void;
}

/**
 * A file object with its descriptor, its registered events and its data.
 *
 * `register` and `modify` return a key, and every wait returns the keys of the ready file objects. A key is immutable,
 * and destructures like Python's named tuple. `using key = selector.register(...)` registers the file object until the
 * end of the block.
 *
 * @typeParam D Data of each registration
 * @typeParam F File objects that can be registered
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
export class SelectorKey<D = unknown, F extends FileObject = FileObject> implements Disposable {
  readonly #fileobj: F;
  readonly #fd: number;
  readonly #events: number;
  readonly #data: D;
  readonly #owner: KeyOwner<D, F> | undefined;
  readonly #serial: number;

  static {
    serialOf = (key) => key.#serial;
  }

  /**
   * Creates a key that belongs to no selector, for example to compare it with a key in a test.
   *
   * Programs rarely need it, because {@linkcode BaseSelector.prototype.register | register} creates the keys of a
   * selector.
   *
   * @param fileobj File object
   * @param fd Descriptor of the file object
   * @param events EVENT_* and MODE_* bits
   * @param data Any value
   */
  constructor(fileobj: F, fd: number, events: number, data: D);
  /** @ignore */
  constructor(fileobj: F, fd: number, events: number, data: D, owner?: KeyOwner<D, F>, serial: number = 0) {
    this.#fileobj = fileobj;
    this.#fd = fd;
    this.#events = events;
    this.#data = data;
    this.#owner = owner;
    this.#serial = serial;
  }

  /** The file object that was registered. */
  get fileobj(): F {
    return this.#fileobj;
  }

  /** The descriptor of the file object. */
  get fd(): number {
    return this.#fd;
  }

  /** The registered EVENT_* and MODE_* bits. */
  get events(): number {
    return this.#events;
  }

  /** The data of the registration. */
  get data(): D {
    return this.#data;
  }

  /**
   * Iterates over `fileobj`, `fd`, `events` and `data`, in this order, for `const [fileobj, fd, events, data] = key`.
   *
   * TypeScript gives all variables of such a pattern the same type, hence `any`. The properties have precise types.
   */
  // deno-lint-ignore no-explicit-any -- a union would make every one of the four variables useless
  [Symbol.iterator](): ArrayIterator<any> {
    return [this.#fileobj, this.#fd, this.#events, this.#data][Symbol.iterator]();
  }

  /** Unregisters the file object at the end of a `using` block, unless it was unregistered or modified earlier. */
  [Symbol.dispose](): void {
    this.#owner?.dispose(this);
  }

  /**
   * Prints the fields of the key.
   *
   * @ignore
   */
  [Symbol.for("Deno.customInspect")](
    inspect: (value: unknown, options?: Deno.InspectOptions) => string,
    options?: Deno.InspectOptions,
  ): string {
    const fields = { fileobj: this.#fileobj, fd: this.#fd, events: this.#events, data: this.#data };
    return `SelectorKey ${inspect(fields, options)}`;
  }
}

/** Constructor of a registered key; its serial number identifies the registration in a poller's entry. */
export const RegisteredKey = SelectorKey as unknown as new <D, F extends FileObject>(
  fileobj: F,
  fd: number,
  events: number,
  data: D,
  owner: KeyOwner<D, F>,
  serial: number,
) => SelectorKey<D, F>;

/** All keys of a selector, accessible by descriptor and in the order of registration. */
export class KeyTable<D, F extends FileObject> {
  // An array costs less than a Map, because descriptors are small: the kernel assigns the lowest free number. A Map
  // also keeps deleted entries in its chains until it is full, which slows down a descriptor that is reused often.
  readonly #byFd: (SelectorKey<D, F> | undefined)[] = [];
  // Serial numbers of the registrations, by descriptor. select() reads them faster from an array than from the keys.
  #serials = new Int32Array(64);
  #lastSerial = 0;
  #size = 0;
  // Created by the first iteration over all keys, and kept, so that an iteration sees changes made during it.
  #inOrder: Map<number, SelectorKey<D, F>> | null = null;
  // The key of the selector's own waker: get(), all() and hidden return it, but find() and inOrder do not.
  #hidden: SelectorKey<D, F> | undefined;

  get size(): number {
    return this.#size;
  }

  /** Returns the serial number for a new registration. */
  nextSerial(): number {
    return ++this.#lastSerial;
  }

  get inOrder(): ReadonlyMap<number, SelectorKey<D, F>> {
    return this.#inOrder ??= new Map(this.#sorted().map((key) => [key.fd, key]));
  }

  #sorted(): SelectorKey<D, F>[] {
    const keys = this.all().filter((key) => key !== this.#hidden);
    return keys.sort((one, other) => serialOf(one) - serialOf(other));
  }

  /** Returns the serial number of the registration of a descriptor. */
  serialAt(fd: number): number {
    return this.#serials[fd]!;
  }

  /** Returns all keys, including the key of the waker. */
  all(): SelectorKey<D, F>[] {
    return this.#byFd.filter((key) => key !== undefined);
  }

  /** Returns the key of a descriptor, which may be the key of the waker. */
  get(fd: number): SelectorKey<D, F> | undefined {
    return this.#byFd[fd];
  }

  /** Finds a key by descriptor or file object; finds a closed object by identity, because it has no descriptor. */
  find(fileobj: F | number): SelectorKey<D, F> | undefined {
    const key = this.#byFd[typeof fileobj === "number" ? fileobj : filenoOrNone(fileobj)]; // undefined for -1
    if (key !== undefined) return key === this.#hidden ? undefined : key;
    return typeof fileobj === "number" ? undefined : this.#byFd.find((key) => key?.fileobj === fileobj);
  }

  /** Adds the key of a new registration. */
  add(key: SelectorKey<D, F>): SelectorKey<D, F> {
    this.#size++;
    this.#note(key);
    return this.replace(key);
  }

  #note(key: SelectorKey<D, F>): void {
    if (key.fd >= this.#serials.length) {
      const larger = new Int32Array(2 * key.fd);
      larger.set(this.#serials);
      this.#serials = larger;
    }
    this.#serials[key.fd] = serialOf(key);
  }

  /** Replaces the key that has the same descriptor. */
  replace(key: SelectorKey<D, F>): SelectorKey<D, F> {
    this.#inOrder?.set(key.fd, key);
    return this.#byFd[key.fd] = key;
  }

  /** Adds the key of the selector's own waker. */
  hide(key: SelectorKey<D, F>): void {
    this.#note(key);
    this.#hidden = this.#byFd[key.fd] = key;
  }

  get hidden(): SelectorKey<D, F> | undefined {
    return this.#hidden;
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
    this.#hidden = undefined;
  }
}

/**
 * A live, read-only map from descriptors to keys, in the order of registration.
 *
 * {@linkcode BaseSelector.prototype.getMap | getMap} returns it. As with Python's mapping, you can look up a key by
 * file object or by descriptor. The map shows later registrations too, and is empty after the selector is closed.
 *
 * @typeParam D Data of each registration
 * @typeParam F File objects that can be registered
 *
 * @example Usage
 * ```ts
 * import { DefaultSelector, EVENT_READ } from "@selectors/selectors";
 * import { socketpair } from "@selectors/selectors/socket";
 * import { assertEquals } from "@std/assert";
 *
 * const [here, there] = socketpair();
 * using selector = new DefaultSelector();
 * const map = selector.getMap()!;
 * selector.register(here, EVENT_READ, "my data");
 * assertEquals([map.size, map.has(here), map.has(there)], [1, true, false]);
 * for (const [fd, key] of map) console.log(fd, key.data);
 * here.close();
 * there.close();
 * ```
 */
export class SelectorMap<D = unknown, F extends FileObject = FileObject>
  implements Iterable<[number, SelectorKey<D, F>]> {
  readonly #keys: {
    size: number;
    inOrder: ReadonlyMap<number, SelectorKey<D, F>>;
    find(fileobj: F | number): SelectorKey<D, F> | undefined;
  };

  /**
   * Creates the map of a selector. Programs get it from {@linkcode BaseSelector.prototype.getMap | getMap} instead.
   *
   * @param keys The keys in order, their count, and a function that finds a key
   *
   * @ignore
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

  /** Number of registered file objects. */
  get size(): number {
    return this.#keys.size;
  }

  /** Returns the key of a file object or descriptor, or undefined if it is not registered. */
  get(fileobj: F | number): SelectorKey<D, F> | undefined {
    return this.#keys.find(fileobj);
  }

  /** Returns true if a file object or descriptor is registered. */
  has(fileobj: F | number): boolean {
    return this.#keys.find(fileobj) !== undefined;
  }

  /** Iterates over the descriptors. */
  keys(): MapIterator<number> {
    return this.#keys.inOrder.keys();
  }

  /** Iterates over the selector's keys, which are the values of this map. */
  values(): MapIterator<SelectorKey<D, F>> {
    return this.#keys.inOrder.values();
  }

  /** Iterates over pairs of a descriptor and its key. */
  entries(): MapIterator<[number, SelectorKey<D, F>]> {
    return this.#keys.inOrder.entries();
  }

  /** Calls a function with each key, its descriptor and this map. */
  forEach(callback: (key: SelectorKey<D, F>, fd: number, map: this) => void): void {
    this.#keys.inOrder.forEach((key, fd) => callback(key, fd, this));
  }

  /** Iterates over pairs of a descriptor and its key. */
  [Symbol.iterator](): MapIterator<[number, SelectorKey<D, F>]> {
    return this.#keys.inOrder.entries();
  }

  /**
   * Prints the entries of the map.
   *
   * @ignore
   */
  [Symbol.for("Deno.customInspect")](
    inspect: (value: unknown, options?: Deno.InspectOptions) => string,
    options?: Deno.InspectOptions,
  ): string {
    return inspect(this.#keys.inOrder, options).replace(/^Map/, "SelectorMap");
  }
}

/** Returns the descriptor of a file object, or -1 if it has none. */
export function filenoOrNone(fileobj: Exclude<FileObject, number>): number {
  try {
    const fd = fileobj.fileno();
    return typeof fd === "number" ? fd : -1;
  } catch {
    // Not a file object, or an object that throws once it is closed. filenoOf() reports the error where it matters.
    return -1;
  }
}
