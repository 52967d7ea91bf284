/**
 * The descriptor sets of parked waits, which use poll(2), or select(2) where poll() has gaps.
 *
 * @module
 */

import { system } from "./systems.ts";
import type { ParkingSet } from "./parking_set.ts";
import { eventsOf, flagsOf, PollSet } from "./poll.ts";
import { eventsOf as eventsOfSets, SelectSet, setsOf } from "./select.ts";
import { IN_EXCEPT, IN_READ, IN_WRITE } from "./select_set.ts";

/** A nanosecond: with a timeout of 0, {@linkcode PollSet} would call poll(), and not the ppoll() that has failed. */
const SHORTEST_MS = 1e-6;

class PollParkingSet implements ParkingSet {
  readonly call = "poll";
  readonly #set = new PollSet();

  set(fd: number, events: number): void {
    if (events === 0) this.#set.delete(fd);
    else this.#set.set(fd, flagsOf(events));
  }

  wait(timeoutMs: number): Promise<number> {
    return this.#set.waitAside(timeoutMs);
  }

  look(): number {
    return this.#set.wait(SHORTEST_MS);
  }

  named(): number[] {
    return this.#set.named();
  }

  eventsOf(fd: number): number {
    return eventsOf(this.#set.reventsOf(fd));
  }
}

class SelectParkingSet implements ParkingSet {
  readonly call = "select";
  readonly #set = new SelectSet();

  set(fd: number, events: number): void {
    this.#set.set(fd, setsOf(events));
  }

  wait(timeoutMs: number): Promise<number> {
    return this.#set.waitAside(timeoutMs);
  }

  look(): number {
    return this.#set.wait(SHORTEST_MS);
  }

  named(count: number): number[] {
    return Array.from({ length: this.#set.gather(count) }, (_, index) => this.#set.fdAt(index));
  }

  eventsOf(fd: number): number {
    const where = [IN_READ, IN_WRITE, IN_EXCEPT].filter((bit) => this.#set.isReady(fd, bit));
    return eventsOfSets(where.reduce((one, other) => one | other, 0));
  }
}

// A system with ntdll has completion ports; they are loaded only there, as in `sys.ts`.
const ports = system.libraries.ntdll === undefined ? null : await import("./parking_ports.ts");

/** Returns an empty set, of the kind that this system needs. */
export function createParkingSet(): ParkingSet {
  if (system.park === "poll") return new PollParkingSet();
  return ports === null ? new SelectParkingSet() : new ports.PortParkingSet(new SelectParkingSet());
}
