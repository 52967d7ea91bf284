/**
 * AFD (Windows): the driver behind Winsock polls sockets one by one, and a completion port collects the results.
 *
 * A poll of one socket is a request that the kernel completes once, when the socket is in one of the states that the
 * poll asks for. libuv, mio, wepoll and the JDK wait in this way. The request (`IOCTL_AFD_POLL`) is not documented.
 *
 * ## Level-triggered
 *
 * The result of a poll may be out of date when a wait reads it. So each wait first takes the packets of the polls that
 * completed since the last wait, without reporting their events. It then polls those sockets again, and waits. As a
 * result, data that arrived and was read between two waits is not reported. A poll of a ready socket completes at once.
 *
 * Polling again costs a system call for each socket that the last wait reported. If there were many, one select() over
 * these sockets finds those that are still ready.
 *
 * ## One poll per socket
 *
 * Windows confuses two polls of one socket: one may complete with the events of the other, or never. So a poll that
 * asks for too little is canceled, and its packet awaited, before the socket is polled again. For the same reason, an
 * asynchronous wait does not poll the sockets a second time: it waits for the completion port (see `parking_ports.ts`).
 *
 * @see {@link https://github.com/piscisaureus/wepoll | wepoll}, which explains the request
 *
 * @module
 */

import { type AfdRequest, AfdRequests } from "./afd_requests.ts";
import {
  baseHandleOf,
  closeHandle,
  createPort,
  failureOf,
  FILE_IO_COMPLETION_INFORMATION,
  isError,
  Memory,
  ntdll,
  STATUS_CANCELLED,
  STATUS_SUCCESS,
} from "./afd_system.ts";
import { EBADF, ENOBUFS, EOPNOTSUPP, OSError } from "./errno.ts";
import { BASIC_EVENTS, EVENT_PRIORITY, EVENT_READ, EVENT_READ_CLOSED, EVENT_WRITE, MODE_ONCE } from "./events.ts";
import type { Poller } from "./poller.ts";
import { SelectSet } from "./select.ts";
import type { SelectSet as Sets } from "./select_set.ts";

/** Data is readable. */
const AFD_POLL_RECEIVE = 0x001;
/** Out-of-band data is readable. */
const AFD_POLL_RECEIVE_EXPEDITED = 0x002;
/** There is room to send, or a connection is established. */
const AFD_POLL_SEND = 0x004;
/** The peer has shut down its writing half. */
const AFD_POLL_DISCONNECT = 0x008;
/** The connection was reset. */
const AFD_POLL_ABORT = 0x010;
/** The last handle of the socket was closed. */
const AFD_POLL_LOCAL_CLOSE = 0x020;
/** A connection can be accepted. */
const AFD_POLL_ACCEPT = 0x080;
/** connect() has failed. */
const AFD_POLL_CONNECT_FAIL = 0x100;

const READ_FLAGS = AFD_POLL_RECEIVE | AFD_POLL_ACCEPT | AFD_POLL_DISCONNECT | AFD_POLL_ABORT;
const WRITE_FLAGS = AFD_POLL_SEND | AFD_POLL_ABORT | AFD_POLL_CONNECT_FAIL;
const READ_CLOSED_FLAGS = AFD_POLL_DISCONNECT | AFD_POLL_ABORT | AFD_POLL_CONNECT_FAIL;

/** Returns the flags that ask for EVENT_* bits. */
function flagsOf(events: number): number {
  return ((events & EVENT_READ) !== 0 ? READ_FLAGS : 0) |
    ((events & EVENT_WRITE) !== 0 ? WRITE_FLAGS : 0) |
    ((events & EVENT_PRIORITY) !== 0 ? AFD_POLL_RECEIVE_EXPEDITED : 0) |
    ((events & EVENT_READ_CLOSED) !== 0 ? READ_CLOSED_FLAGS : 0) |
    AFD_POLL_LOCAL_CLOSE;
}

/** Returns the EVENT_* bits of flags. */
function eventsOf(flags: number): number {
  return ((flags & READ_FLAGS) !== 0 ? EVENT_READ : 0) |
    ((flags & WRITE_FLAGS) !== 0 ? EVENT_WRITE : 0) |
    ((flags & AFD_POLL_RECEIVE_EXPEDITED) !== 0 ? EVENT_PRIORITY : 0) |
    ((flags & READ_CLOSED_FLAGS) !== 0 ? EVENT_READ_CLOSED : 0);
}

/**
 * EVENT_HANGUP is missing, because AFD does not report that both ends have shut down a connection. EVENT_ERROR is
 * missing, because AFD does not report a refused datagram.
 */
const SUPPORTED = EVENT_READ | EVENT_WRITE | EVENT_PRIORITY | EVENT_READ_CLOSED | MODE_ONCE;

/** Limits, which tests lower. */
export interface AfdLimits {
  /** Maximum number of packets that one call takes from the port. */
  readonly packets: number;
  /** Minimum number of sockets in the last wait's result for which one select() finds those that are still ready. */
  readonly batch: number;
}

const LIMITS: AfdLimits = { packets: 1_000, batch: 16 };

// Offsets of fields in 32-bit words.
const PACKET = FILE_IO_COMPLETION_INFORMATION.size / 4;
const PACKET_ID = FILE_IO_COMPLETION_INFORMATION.ApcContext / 4;
const PACKET_STATUS = FILE_IO_COMPLETION_INFORMATION.IoStatusBlock / 4;

// States of a registration.
/** No poll is outstanding. */
const IDLE = 0;
/** A poll is outstanding. */
const PENDING = 1;
/** A poll was canceled, and its packet has not come back. */
const CANCELED = 2;

/** A registration. */
class Slot {
  state = IDLE;
  /** Flags of the outstanding poll. */
  flags = 0;
  /** EVENT_* bits of its entry in the last wait. */
  found = 0;
  /** True if the socket was found closed. */
  isClosed = false;
  /** True if it has MODE_ONCE and was reported ("spent"). */
  isSpent = false;
  /** True after its removal. */
  isRemoved = false;

  constructor(
    readonly fd: number,
    readonly serial: number,
    /** Socket of the base provider. */
    public base: number,
    public events: number,
    readonly request: AfdRequest,
  ) {}
}

/** Offsets in the memory for arguments of calls: a LARGE_INTEGER, a ULONG, an IO_STATUS_BLOCK, and packets. */
const SCRATCH = { timeout: 0, removed: 8, status: 16, packets: 32 };
const MIN_SCRATCH = 4_096;

/** Longest timeout in milliseconds: 3.2 years. */
const MAX_TIMEOUT_MS = 1e11;
/** Units of a LARGE_INTEGER timeout per millisecond. */
const TICKS = 10_000;

/** Milliseconds that close() waits for the next packet, before it gives up and leaves the memory to the kernel. */
const PATIENCE_MS = 5_000;

/** Open pollers by their ports. */
const pollers = new Map<number, AfdPoller>();

/** Returns the open poller whose {@linkcode AfdPoller.fd} is `fd`. */
export function pollerAt(fd: number): AfdPoller | undefined {
  return pollers.get(fd);
}

/** A completion port, and a poll for each registered socket. */
export class AfdPoller implements Poller {
  readonly controlCall = "WSAIoctl";
  readonly waitCall = "NtRemoveIoCompletionEx";
  readonly supports = SUPPORTED;
  /** Handle of the port, which is signaled while it has a packet. */
  readonly fd: number;
  readonly nests = true;
  /** Number of registrations so far that have become silent: see {@linkcode isSilent}. */
  silences = 0;
  /** True while another thread waits for the port; during that time, every socket must have a poll. */
  isParked = false;
  /** Number of registered sockets that were found closed. */
  closed = 0;
  readonly #ntdll = ntdll();
  readonly #limits: AfdLimits;
  readonly #port: bigint;
  readonly #requests: AfdRequests;
  readonly #byFd = new Map<number, Slot>();
  // Registrations with an outstanding poll, by the numbers of their requests.
  readonly #byId: (Slot | undefined)[] = [];
  #outstanding = 0;
  #canceled = 0;
  // Registrations that the next wait has to poll.
  readonly #idle = new Set<Slot>();
  // Entries of the last wait.
  readonly #ready: Slot[] = [];
  readonly #batch: Sets = new SelectSet();
  // Sockets in the batch.
  #batched: number[] = [];
  readonly #scratch: Memory;
  readonly #timeout: BigInt64Array;
  // Addresses in the scratch memory.
  readonly #removed: bigint;
  readonly #status: bigint;
  readonly #packets: bigint;

  /**
   * Creates a port.
   *
   * @throws {Deno.errors.NotSupported} if the system has no AFD, or does not let this process use it
   */
  constructor(limits: AfdLimits = LIMITS) {
    this.#limits = limits;
    const packets = limits.packets * FILE_IO_COMPLETION_INFORMATION.size;
    this.#scratch = new Memory(Math.max(SCRATCH.packets + packets, MIN_SCRATCH));
    const { address, words } = this.#scratch;
    this.#timeout = new BigInt64Array(words.buffer, SCRATCH.timeout, 1);
    this.#removed = address + BigInt(SCRATCH.removed);
    this.#status = address + BigInt(SCRATCH.status);
    this.#packets = address + BigInt(SCRATCH.packets);
    this.fd = createPort();
    this.#port = BigInt(this.fd);
    if (this.fd === 0) {
      this.#scratch.free();
      throw new OSError("CreateIoCompletionPort", ENOBUFS);
    }
    this.#requests = new AfdRequests(this.fd, this.#scratch);
    if (!this.#requests.open()) {
      this.close();
      throw new Deno.errors.NotSupported(
        "Cannot create an AFD poller: the system refuses to open \\Device\\Afd; use SelectSelector",
      );
    }
    pollers.set(this.fd, this);
  }

  isSilent(fd: number): boolean {
    const slot = this.#byFd.get(fd);
    return slot !== undefined && (slot.isClosed || slot.isSpent);
  }

  /**
   * Leaves the poll to the next wait, because the program may modify or remove the registration first; polls at once
   * while {@linkcode isParked}.
   */
  add(fd: number, events: number, serial: number): number {
    const base = baseHandleOf(fd);
    if (base < 0) return base;
    const request = this.#requests.take();
    if (request === undefined) return -ENOBUFS;
    const slot = new Slot(fd, serial, base, events, request);
    this.#byFd.set(fd, slot);
    this.#idle.add(slot);
    if (this.isParked) this.arm();
    return 0;
  }

  modify(fd: number, events: number): number {
    const slot = this.#byFd.get(fd)!;
    const base = slot.isClosed ? -EBADF : baseHandleOf(fd);
    if (base < 0) return base;
    // The number may belong to another socket now, whose poll the end of the first socket must not end.
    const isOther = base !== slot.base;
    slot.base = base;
    slot.events = events;
    slot.isSpent = false;
    if (slot.state === IDLE) this.#idle.add(slot);
    else if (slot.state === PENDING && (isOther || (flagsOf(events) & ~slot.flags) !== 0)) this.#cancel(slot);
    if (this.isParked) this.arm();
    return 0;
  }

  remove(fd: number): void {
    const slot = this.#byFd.get(fd)!;
    this.#byFd.delete(fd);
    this.#idle.delete(slot);
    if (slot.isClosed) this.closed--;
    slot.isRemoved = true;
    if (slot.state === PENDING) this.#cancel(slot);
    if (slot.state === IDLE) this.#requests.giveBack(slot.request);
    if (this.isParked) this.arm(); // takes the packet, so that the port does not stay signaled
  }

  wait(timeoutMs: number): number {
    const hot = this.#ready.splice(0);
    const settled = this.#settle();
    if (settled < 0) return settled;
    if (hot.length >= this.#limits.batch) this.#lookAt(hot);
    const isReady = this.#ready.length > 0;
    const armed = this.#armIdle();
    for (const slot of this.#ready) if (!slot.isSpent) this.#idle.add(slot);
    if (armed < 0 && !isReady) return armed;
    const taken = this.#take(isReady ? 0 : timeoutMs);
    // Reports the entries that were found first; the next wait fails again.
    if (taken < 0 && this.#ready.length === 0) return taken;
    if (this.isParked) this.arm();
    return this.#ready.length;
  }

  fdAt(index: number): number {
    return this.#ready[index]!.fd;
  }

  serialAt(index: number): number {
    return this.#ready[index]!.serial;
  }

  eventsAt(index: number): number {
    return this.#ready[index]!.found;
  }

  explain(_fd: number, errno: number): string | undefined {
    if (errno !== EOPNOTSUPP) return undefined;
    return "a layered service provider, installed by another program, hides the base socket; use SelectSelector";
  }

  /**
   * Cancels every poll, and waits for its packet, because the kernel may write to the memory of a poll until then. If
   * no packet comes for five seconds, gives up, and never frees the memory.
   */
  close(): void {
    pollers.delete(this.fd);
    this.#cancelAll();
    while (this.#outstanding > 0) {
      const count = this.#dequeue(PATIENCE_MS);
      if (count <= 0) break;
      for (let index = 0; index < count; index++) this.#complete(index);
    }
    this.#idle.clear(); // a late arm() must not write to freed memory
    this.#requests.closeDevices();
    closeHandle(this.fd);
    if (this.#outstanding > 0) return;
    this.#requests.free();
    this.#scratch.free();
  }

  /** Polls every socket that has no poll, so that the port is signaled when one is ready; returns 0 or `-errno`. */
  arm(): number {
    const settled = this.#settle();
    return settled < 0 ? settled : this.#armIdle();
  }

  /** Cancels every poll, so that another call can poll the sockets until the next wait or {@linkcode arm}. */
  disarm(): void {
    this.#cancelAll();
    this.#settle();
  }

  #cancelAll(): void {
    for (const slot of this.#byFd.values()) if (slot.state === PENDING) this.#cancel(slot);
  }

  /**
   * Takes the packets that came since the last wait, without reporting them: their sockets may no longer be ready.
   *
   * Also waits for the packets of canceled polls, which come at once.
   */
  #settle(): number {
    while (this.#outstanding > 0) {
      const count = this.#dequeue(this.#canceled > 0 ? Infinity : 0);
      if (count < 0) return count;
      for (let index = 0; index < count; index++) this.#complete(index);
      if (this.#canceled === 0 && count < this.#limits.packets) break;
    }
    return 0;
  }

  #armIdle(): number {
    for (const slot of this.#idle) {
      const outcome = this.#poll(slot);
      if (outcome === -EBADF) this.#silence(slot);
      else if (outcome < 0) return outcome; // the rest stays idle
    }
    return 0;
  }

  /** Starts a poll; returns 0 or `-errno`. */
  #poll(slot: Slot): number {
    const flags = flagsOf(slot.events);
    const outcome = slot.request.begin(slot.base, flags);
    if (outcome < 0) return outcome;
    slot.state = PENDING;
    slot.flags = flags;
    this.#byId[slot.request.id] = slot;
    this.#idle.delete(slot);
    this.#outstanding++;
    return 0;
  }

  #cancel(slot: Slot): void {
    slot.request.cancel(this.#status);
    slot.state = CANCELED;
    this.#canceled++;
  }

  /** Takes packets from the port; returns their number or `-errno`. */
  #dequeue(timeoutMs: number): number {
    const { address, words } = this.#scratch;
    if (timeoutMs !== Infinity) {
      this.#timeout[0] = timeoutMs === 0 ? 0n : BigInt(-Math.ceil(Math.min(timeoutMs, MAX_TIMEOUT_MS) * TICKS));
    }
    const status = this.#ntdll.NtRemoveIoCompletionEx(
      this.#port,
      this.#packets,
      this.#limits.packets,
      this.#removed,
      timeoutMs === Infinity ? 0n : address,
      0,
    );
    if (status === STATUS_SUCCESS) return words[SCRATCH.removed / 4]!;
    return isError(status) ? failureOf(status) : 0;
  }

  /** Waits for packets and collects the entries of their sockets; returns 0 or `-errno`. */
  #take(timeoutMs: number): number {
    for (;;) {
      const count = this.#dequeue(timeoutMs);
      if (count < 0) return count;
      for (let index = 0; index < count; index++) {
        const slot = this.#complete(index);
        if (slot.found !== 0) this.#report(slot);
      }
      if (count < this.#limits.packets) return 0;
      timeoutMs = 0;
    }
  }

  /** Records that the poll of packet `index` is complete; returns its registration, whose `found` has the events. */
  #complete(index: number): Slot {
    const at = SCRATCH.packets / 4 + index * PACKET;
    const id = this.#scratch.words[at + PACKET_ID]!;
    const status = this.#scratch.words[at + PACKET_STATUS]!;
    const slot = this.#byId[id]!;
    this.#byId[id] = undefined;
    this.#outstanding--;
    if (slot.state === CANCELED) this.#canceled--;
    slot.state = IDLE;
    slot.found = 0;
    if (slot.isRemoved) {
      this.#requests.giveBack(slot.request);
      return slot;
    }
    const flags = status === STATUS_CANCELLED ? 0 : isError(status) ? AFD_POLL_ABORT : slot.request.found & slot.flags;
    if ((flags & AFD_POLL_LOCAL_CLOSE) !== 0) {
      this.#silence(slot);
    } else {
      this.#idle.add(slot);
      slot.found = eventsOf(flags) & slot.events;
    }
    return slot;
  }

  /** Adds an entry, and spends MODE_ONCE. */
  #report(slot: Slot): void {
    this.#ready.push(slot);
    if ((slot.events & MODE_ONCE) === 0) return;
    slot.isSpent = true;
    this.silences++;
    this.#idle.delete(slot);
  }

  /** Ignores a closed socket from now on. */
  #silence(slot: Slot): void {
    this.#idle.delete(slot);
    slot.isClosed = true;
    this.closed++;
    this.silences++;
  }

  /** Reports the sockets of the last wait that are still ready, with one select() instead of a poll for each. */
  #lookAt(hot: Slot[]): void {
    const slots = hot.filter((slot) => this.#idle.has(slot) && (slot.events & ~(BASIC_EVENTS | MODE_ONCE)) === 0);
    const fds = new Map(slots.map((slot) => [slot.fd, slot]));
    for (const fd of this.#batched) if (!fds.has(fd)) this.#batch.set(fd, 0);
    // EVENT_READ and EVENT_WRITE equal the bits of the first two sets.
    for (const { fd, events } of slots) this.#batch.set(fd, events & BASIC_EVENTS);
    this.#batched = [...fds.keys()];
    // A failure is ignored, because select() does not report which socket caused it; the polls will.
    const count = slots.length === 0 ? 0 : this.#batch.wait(0);
    const entries = count > 0 ? this.#batch.gather(count) : 0;
    for (let index = 0; index < entries; index++) {
      const slot = fds.get(this.#batch.fdAt(index))!;
      slot.found = this.#batch.whereAt(index) & slot.events;
      this.#idle.delete(slot); // not polled in this wait, only in the next
      this.#report(slot);
    }
  }
}
