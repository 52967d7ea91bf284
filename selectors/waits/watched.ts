/**
 * Maintains the set of descriptors for the blocking call that the waits of an isolate share.
 *
 * The set is kept from one blocking call to the next, and must not change during a call. So
 * {@linkcode Descriptors.watch} and {@linkcode Descriptors.unwatch} only record changes, which
 * {@linkcode Descriptors.wait} applies before the next blocking call.
 *
 * ## Fruitless reports
 *
 * The blocking call may report a descriptor although no wait ends. Reasons are a closed descriptor, a hang-up, which
 * poll(2) always reports and select(2) does not, and a stale epoll registration that cannot be removed because no
 * descriptor is free for a new kernel set. Every blocking call would return at once. So after three such reports in a
 * row, the descriptor rests: the set does not contain it for 10 ms.
 *
 * @module
 */

import { EVENT_ERROR, EVENT_PRIORITY } from "../../ffi/os/events.ts";
import { lazy } from "../../ffi/os/library.ts";
import { createParkingSet } from "../../ffi/os/parking_sets.ts";
import { monotonicMs } from "../../ffi/os/timeout.ts";

/** Waits for descriptors, each for some events. */
export interface Watcher {
  /** Checks whether a wait is over, because the blocking call has reported a descriptor; returns true if one is. */
  check(): boolean;

  /**
   * Receives the reported events of a descriptor before {@linkcode check}, if any of its watchers asks for
   * EVENT_PRIORITY.
   */
  take(fd: number, events: number): void;
}

/** Number of fruitless reports in a row after which a descriptor rests. */
const MAX_FRUITLESS = 3;

/** Milliseconds for which the set does not contain a resting descriptor. */
export const REST_MS = 10;

/** A descriptor, with its watchers. */
class Descriptor {
  // Two arrays create less garbage than a Map if a program waits for the same descriptor again and again.
  readonly watchers: Watcher[] = [];
  readonly #events: number[] = [];
  /** True if the set does not have the current events of the descriptor yet. */
  isChanged = false;
  /** Number of fruitless reports in a row. */
  fruitless = 0;

  constructor(readonly fd: number) {}

  /** Union of the events of all watchers. */
  get events(): number {
    let events = 0;
    for (const asked of this.#events) events |= asked;
    return events;
  }

  set(watcher: Watcher, events: number): void {
    const index = this.watchers.indexOf(watcher);
    if (index >= 0) this.#events[index] = events;
    else this.#events[this.watchers.push(watcher) - 1] = events;
  }

  /** Removes a watcher; the last watcher moves to its place. */
  delete(watcher: Watcher): void {
    const index = this.watchers.indexOf(watcher);
    if (index < 0) return;
    const last = this.watchers.pop()!;
    const events = this.#events.pop()!;
    if (index === this.watchers.length) return;
    this.watchers[index] = last;
    this.#events[index] = events;
  }
}

/** The watched descriptors of an isolate, and the set for its blocking call. */
class Descriptors {
  readonly #set = lazy(() => createParkingSet());
  // A descriptor without watchers stays until the next blocking call.
  readonly #byFd = new Map<number, Descriptor>();
  readonly #changed: Descriptor[] = [];
  // Resting descriptors with the times at which their rests end, the earliest first.
  readonly #resting = new Map<Descriptor, number>();

  /** System call that waits, for error messages. */
  get call(): string {
    return this.#set().call;
  }

  /** Time at which the next rest ends, by `monotonicMs()`; `Infinity` if no descriptor rests. */
  get restEndMs(): number {
    for (const endMs of this.#resting.values()) return endMs;
    return Infinity;
  }

  /** Adds a watcher of a descriptor, or changes its events, from the next blocking call on. */
  watch(fd: number, events: number, watcher: Watcher): void {
    let descriptor = this.#byFd.get(fd);
    if (descriptor === undefined) this.#byFd.set(fd, descriptor = new Descriptor(fd));
    descriptor.set(watcher, events);
    this.#change(descriptor);
  }

  /** Removes a watcher of a descriptor, from the next blocking call on. */
  unwatch(fd: number, watcher: Watcher): void {
    const descriptor = this.#byFd.get(fd);
    if (descriptor === undefined) return;
    descriptor.delete(watcher);
    this.#change(descriptor);
  }

  #change(descriptor: Descriptor): void {
    if (!descriptor.isChanged) this.#changed.push(descriptor);
    descriptor.isChanged = true;
  }

  /** Makes the blocking call on another thread; returns its count, or -1 for a failure, whose errno is lost. */
  wait(timeoutMs: number, nowMs: number): Promise<number> {
    const set = this.#set();
    for (const [descriptor, endMs] of this.#resting) {
      if (endMs > nowMs) break;
      this.#resting.delete(descriptor);
      this.#change(descriptor);
    }
    for (const descriptor of this.#changed) {
      const { fd, events } = descriptor;
      descriptor.isChanged = false;
      set.set(fd, this.#resting.has(descriptor) ? 0 : events);
      if (events !== 0) continue;
      this.#byFd.delete(fd);
      this.#resting.delete(descriptor);
    }
    this.#changed.length = 0;
    return set.wait(timeoutMs);
  }

  /** Finds out why the blocking call failed, on this thread and without blocking; returns a count or `-errno`. */
  look(): number {
    return this.#set().look();
  }

  /** Returns the descriptors that the last blocking call, or {@linkcode look}, reported; `count` is its result. */
  reported(count: number): number[] {
    return count > 0 ? this.#set().named(count) : [];
  }

  /** Calls `check()` of every watcher of the reported descriptors, once each. */
  check(fds: number[]): void {
    for (const fd of fds) this.#handOver(fd);
    const checked = new Map<Watcher, boolean>();
    for (const fd of fds) {
      const descriptor = this.#byFd.get(fd);
      if (descriptor === undefined || descriptor.watchers.length === 0) continue;
      let isFruitful = false;
      for (const watcher of [...descriptor.watchers]) {
        let isOver = checked.get(watcher);
        if (isOver === undefined) checked.set(watcher, isOver = watcher.check());
        isFruitful ||= isOver;
      }
      descriptor.fruitless = isFruitful ? 0 : descriptor.fruitless + 1;
      if (descriptor.fruitless >= MAX_FRUITLESS) this.#rest(descriptor);
    }
  }

  /**
   * Passes urgent events to the watchers of a descriptor, because some files report them to one call only, with
   * EVENT_ERROR. All other events are left to the watchers' own checks, because the data may have been read since.
   */
  #handOver(fd: number): void {
    const descriptor = this.#byFd.get(fd);
    if (descriptor === undefined || (descriptor.events & EVENT_PRIORITY) === 0) return;
    const events = this.#set().eventsOf(fd) & (EVENT_PRIORITY | EVENT_ERROR);
    if (events === 0) return;
    for (const watcher of descriptor.watchers) watcher.take(fd, events);
  }

  /** Calls `check()` of every watcher. */
  checkAll(): void {
    const watchers = [...this.#byFd.values()].flatMap((descriptor) => descriptor.watchers);
    for (const watcher of new Set(watchers)) watcher.check();
  }

  /**
   * Leaves a descriptor out of the set for {@linkcode REST_MS}; if its next report is fruitless too, it rests again.
   */
  #rest(descriptor: Descriptor): void {
    descriptor.fruitless = MAX_FRUITLESS - 1;
    this.#resting.set(descriptor, monotonicMs() + REST_MS);
    this.#change(descriptor);
  }
}

/** The watched descriptors of this isolate. */
export const watched: Descriptors = new Descriptors();
