/**
 * A set of descriptors for parked waits on Windows: sockets, and the completion ports of AFD pollers.
 *
 * @module
 */

import { AfdPoller, pollerAt } from "./afd.ts";
import { closeHandle, duplicateHandle, isSignaled, MAXIMUM_WAIT_OBJECTS, waitAside } from "./afd_system.ts";
import { EBADF } from "./errno.ts";
import type { ParkingSet } from "./parking_set.ts";
import { toIntMs } from "./timeout.ts";

/** The port of an AFD poller. */
interface Port {
  readonly poller: AfdPoller;
  /** Duplicate of its handle, because the poller may be closed during a call. */
  readonly handle: number;
}

/** Longest time in milliseconds of a call that cannot wait for all ports at once. */
const SLICE_MS = 10;

/**
 * Sockets and the ports of AFD pollers. Windows has no single call that waits for both.
 *
 * If the set has no port, select() waits for the sockets. Otherwise, the set polls the sockets with an AFD poller of
 * its own, and WaitForMultipleObjects() waits for the ports of all pollers. That call takes no packets, so a
 * synchronous wait finds all of them, even during the call.
 */
export class PortParkingSet implements ParkingSet {
  readonly #selectSet: ParkingSet;
  // Events of the sockets.
  readonly #events = new Map<number, number>();
  readonly #ports = new Map<number, Port>();
  // Polls the sockets while there are ports.
  #sockets: AfdPoller | null = null;
  // Sockets that were closed before they could be polled.
  readonly #closed = new Set<number>();
  // Kept here, so that the array is not freed before the call returns.
  #handles = new BigInt64Array(0);
  #named: number[] = [];

  /** Creates a set that uses `selectSet` while it has no port. */
  constructor(selectSet: ParkingSet) {
    this.#selectSet = selectSet;
  }

  get call(): string {
    return this.#ports.size === 0 ? this.#selectSet.call : "WaitForMultipleObjects";
  }

  set(fd: number, events: number): void {
    const poller = events === 0 ? undefined : pollerAt(fd);
    if (this.#ports.get(fd)?.poller !== poller) this.#removePort(fd);
    if (poller !== undefined && !this.#ports.has(fd)) this.#addPort(poller);
    this.#setSocket(fd, poller === undefined ? events : 0);
  }

  #addPort(poller: AfdPoller): void {
    if (this.#sockets === null) {
      this.#sockets = new AfdPoller(); // first, because it may throw
      for (const [fd, events] of this.#events) this.#add(fd, events);
    }
    this.#ports.set(poller.fd, { poller, handle: duplicateHandle(poller.fd) });
  }

  #removePort(fd: number): void {
    const port = this.#ports.get(fd);
    if (port === undefined) return;
    closeHandle(port.handle);
    this.#ports.delete(fd);
    if (this.#ports.size > 0) return;
    this.#sockets!.close();
    this.#sockets = null;
    this.#closed.clear();
  }

  #setSocket(fd: number, events: number): void {
    const old = this.#events.get(fd) ?? 0;
    if (events === 0) this.#events.delete(fd);
    else this.#events.set(fd, events);
    this.#selectSet.set(fd, events);
    if (this.#sockets === null) return;
    // Even if the events are the same, the number may belong to another socket now.
    if (old !== 0) this.#remove(fd);
    if (events !== 0) this.#add(fd, events);
  }

  #add(fd: number, events: number): void {
    if (this.#sockets!.add(fd, events, 0) < 0) this.#closed.add(fd);
  }

  #remove(fd: number): void {
    if (!this.#closed.delete(fd)) this.#sockets!.remove(fd);
  }

  /** Adds closed sockets again, because their numbers may belong to other sockets now. */
  #addClosed(sockets: AfdPoller): void {
    if (this.#closed.size === 0 && sockets.closed === 0) return;
    for (const [fd, events] of this.#events) {
      if (!this.#closed.has(fd) && !sockets.isSilent(fd)) continue;
      this.#remove(fd);
      this.#add(fd, events);
    }
  }

  wait(timeoutMs: number): Promise<number> {
    return this.#sockets === null ? this.#selectSet.wait(timeoutMs) : this.#waitForPorts(this.#sockets, timeoutMs);
  }

  async #waitForPorts(sockets: AfdPoller, timeoutMs: number): Promise<number> {
    try {
      return await this.#waitArmed(sockets, timeoutMs);
    } finally {
      sockets.disarm(); // because the waits check these sockets with select(), which polls them too
    }
  }

  async #waitArmed(sockets: AfdPoller, timeoutMs: number): Promise<number> {
    this.#addClosed(sockets);
    const ports = [...this.#ports.values()];
    const pollers = [sockets, ...ports.map(({ poller }) => poller)];
    const isArmed = pollers.every((poller) => poller.arm() === 0);
    if (!isArmed || this.look() < 0) return -1;
    if (sockets.closed > 0) return 0; // the next call finds out whether their numbers are used again
    const handles = [sockets.fd, ...ports.map(({ handle }) => handle)].slice(0, MAXIMUM_WAIT_OBJECTS);
    this.#handles = new BigInt64Array(handles.map(BigInt));
    const longestMs = handles.length < pollers.length ? SLICE_MS : Infinity;
    for (const poller of pollers) poller.isParked = true;
    const outcome = await waitAside(this.#handles, toIntMs(Math.min(timeoutMs, longestMs)));
    for (const poller of pollers) poller.isParked = false;
    if (outcome < 0) return outcome;
    const signaled = ports.filter(({ handle }) => isSignaled(handle)).map(({ poller }) => poller.fd);
    const count = Math.max(sockets.wait(0), 0); // if it fails, the next call fails too
    this.#named = [...Array.from({ length: count }, (_, index) => sockets.fdAt(index)), ...signaled];
    return this.#named.length;
  }

  look(): number {
    if (this.#sockets === null) return this.#selectSet.look();
    return this.#closed.size > 0 ? -EBADF : 0;
  }

  named(count: number): number[] {
    return this.#sockets === null ? this.#selectSet.named(count) : this.#named;
  }

  eventsOf(fd: number): number {
    // AFD reports urgent data at every wait, so nothing has to be handed over.
    return this.#sockets === null ? this.#selectSet.eventsOf(fd) : 0;
  }
}
