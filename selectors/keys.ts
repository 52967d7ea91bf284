/**
 * What is registered: a key for each file object, and the table of them.
 *
 * @module
 */

import type { FileObject } from "../ffi/os/arguments.ts";

/** Returns the serial number of a key's registration, which stays when the key is modified. */
// deno-lint-ignore no-explicit-any -- a key of any data and file object
export let serialOf: (key: SelectorKey<any, any>) => number;

/** The selector that a key belongs to. */
export interface KeyOwner<D, F extends FileObject> {
  /** Unregisters a key, unless it is no longer registered. */
  dispose(key: SelectorKey<D, F>): void;
}

/**
 * A file object, its descriptor, the events it is registered for, and the data that goes with it.
 *
 * It is immutable, and comes apart as Python's named tuple does. With `using key = selector.register(...)` the file
 * object is registered for a block.
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
   * Makes a key that is not registered, for comparisons and tests; `register()` returns those that are.
   *
   * @param fileobj File object
   * @param fd Its descriptor
   * @param events EVENT_READ, EVENT_WRITE or both
   * @param data Data that goes with it
   */
  constructor(fileobj: F, fd: number, events: number, data: D);
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

  /** Unregisters the file object at the end of a `using` block, unless it was unregistered or modified since. */
  [Symbol.dispose](): void {
    this.#owner?.dispose(this);
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

/** Constructor of a key that belongs to a registration, by whose serial number a poller's entry is known. */
export const RegisteredKey = SelectorKey as unknown as new <D, F extends FileObject>(
  fileobj: F,
  fd: number,
  events: number,
  data: D,
  owner: KeyOwner<D, F>,
  serial: number,
) => SelectorKey<D, F>;

/** Keys of a selector, by descriptor and in the order of registration. */
export class KeyTable<D, F extends FileObject> {
  // Descriptors are small numbers, and the lowest free one is given first: an array costs less than a Map, above all where
  // the same number comes and goes, since a Map keeps deleted entries in its chains until it is full.
  readonly #byFd: (SelectorKey<D, F> | undefined)[] = [];
  // Serial number of the registration of each descriptor, beside the keys, where select() reads it fastest.
  #serials = new Int32Array(64);
  #lastSerial = 0;
  #size = 0;
  // Made by the first walk over all keys, and kept from then on, so that a walk sees the changes made during it.
  #inOrder: Map<number, SelectorKey<D, F>> | null = null;
  // Key of the selector's own waker, which only get() and all() return.
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

  /** Returns every key, that of the waker too. */
  all(): SelectorKey<D, F>[] {
    return this.#byFd.filter((key) => key !== undefined);
  }

  /** Returns the key of a descriptor, that of the waker too. */
  get(fd: number): SelectorKey<D, F> | undefined {
    return this.#byFd[fd];
  }

  /** Finds by descriptor or file object; a closed object no longer gives its descriptor, and is found by identity. */
  find(fileobj: F | number): SelectorKey<D, F> | undefined {
    const key = this.#byFd[typeof fileobj === "number" ? fileobj : filenoOrNone(fileobj)];
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

  /** Puts a key in the place of the one with its descriptor. */
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

/** Gives the descriptor of a file object, or -1 where it has none any more, or never had. */
export function filenoOrNone(fileobj: Exclude<FileObject, number>): number {
  try {
    const fd = fileobj.fileno();
    return typeof fd === "number" ? fd : -1;
  } catch {
    // No file object at all, or one that refuses once it is closed. filenoOf() says so where it matters.
    return -1;
  }
}
