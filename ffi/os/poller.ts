/**
 * The interface between a selector and the mechanism that it waits with.
 *
 * @module
 */

/**
 * A mechanism of the operating system that waits for many descriptors: epoll, kqueue, poll, /dev/poll, select or AFD.
 *
 * Arguments and results are numbers; a failure is `-errno`. A constructor throws if the system cannot create the
 * mechanism, and any method may throw a RangeError if there is no memory for its tables; otherwise nothing throws.
 * Every mechanism has the required members in this order.
 */
export interface Poller {
  /** System call that changes the registrations, for error messages: `"epoll_ctl"`. */
  readonly controlCall: string;
  /** System call that waits, for error messages: `"epoll_wait"`. */
  readonly waitCall: string;
  /** EVENT_* and MODE_* bits that the mechanism supports. */
  readonly supports: number;
  /** Descriptor of the mechanism itself, on Windows the handle of its port, or -1 if it has none. */
  readonly fd: number;
  /** True if a ParkingSet reports {@linkcode fd} as readable while {@linkcode wait} would find something. */
  readonly nests: boolean;
  /** Registered descriptors that do not make {@linkcode fd} readable, even if `nests` is true. */
  readonly outside?: ReadonlySet<number>;
  /**
   * Number of registrations so far that have become silent: see {@linkcode isSilent}. Parked waits compare it, and then
   * no longer watch the silent descriptors.
   */
  readonly silences: number;

  /**
   * Returns true if {@linkcode wait} ignores a registered descriptor: because it was found closed, until it is removed,
   * or because its MODE_ONCE is spent, until it is modified or removed. Callers need the result only for descriptors
   * that do not make {@linkcode fd} readable.
   */
  isSilent(fd: number): boolean;

  /**
   * Adds a descriptor that is not registered.
   *
   * @param events EVENT_* and MODE_* bits
   * @param serial 32-bit number that comes back with each entry
   * @returns 0 or `-errno`; nothing is left in the kernel after a failure
   */
  add(fd: number, events: number, serial: number): number;

  /**
   * Changes the events of a registered descriptor, and arms a spent MODE_ONCE again; returns 0 or `-errno`. The serial
   * is that of {@linkcode add}.
   */
  modify(fd: number, events: number, serial: number): number;

  /** Removes a registered descriptor, which may be closed, or closed and its number reused. */
  remove(fd: number): void;

  /**
   * Waits, and returns the number of entries or `-errno`. May return early, without an entry.
   *
   * @param timeoutMs Milliseconds from 0, or `Infinity`; rounded up to the resolution of the system call, and cut to
   * the longest timeout of the call
   */
  wait(timeoutMs: number): number;

  /** Returns the descriptor of entry `index` of the last wait. */
  fdAt(index: number): number;

  /** Returns the serial of entry `index` of the last wait. */
  serialAt(index: number): number;

  /** Returns the EVENT_* bits of entry `index` of the last wait, some of which the caller may not have asked for. */
  eventsAt(index: number): number;

  /** Returns false if a registered descriptor was closed, or its number belongs to another file now. */
  owns?(fd: number): boolean;

  /** Treats a registration with MODE_ONCE as reported, because the caller got its event from another call. */
  spend?(fd: number, serial: number): void;

  /** Returns the reason why {@linkcode add} failed, or undefined if the text of the error is clear. */
  explain?(fd: number, errno: number): string | undefined;

  /**
   * Removes registrations that the kernel still has and the selector does not, after a wait has returned one of them.
   *
   * @param registrations Registrations of the selector
   * @param count Number of entries of that wait
   * @returns True if the next wait can find other entries: the caller repeats the wait
   */
  purge?(registrations: Registration[], count: number): boolean;

  /** Closes {@linkcode fd}. Called once. */
  close(): void;
}

/** Arguments of {@linkcode Poller.add}, as the last add() or modify() of a descriptor had them. */
export type Registration = readonly [fd: number, events: number, serial: number];
