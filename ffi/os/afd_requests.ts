/**
 * Requests that poll one socket each (`IOCTL_AFD_POLL`), with their memory and the device handles.
 *
 * The kernel may write to the memory of a request until the packet of the request comes back. A JavaScript buffer could
 * be freed earlier: by a garbage collection, or at the end of a Worker. So requests have memory of their own, which is
 * freed only after every packet has come back.
 *
 * @module
 */

import {
  AFD_POLL_INFO,
  closeHandle,
  failureOf,
  IO_STATUS_BLOCK,
  isError,
  Memory,
  ntdll,
  openDevice,
} from "./afd_system.ts";

/** Code of a request that polls sockets. */
const IOCTL_AFD_POLL = 0x0001_2024;

/** Maximum number of sockets per device handle: to cancel a poll, the kernel searches all polls of its handle. */
const SOCKETS_PER_DEVICE = 32;

/** Size of a request's memory: an IO_STATUS_BLOCK and an AFD_POLL_INFO. */
const CELL_SIZE = IO_STATUS_BLOCK.size + AFD_POLL_INFO.size;
/** Number of requests for which memory is allocated at once. */
const CELLS = 1_024;

// Offsets of fields in 32-bit words.
const TIMEOUT = AFD_POLL_INFO.Timeout / 4;
const NUMBER_OF_HANDLES = AFD_POLL_INFO.NumberOfHandles / 4;
const EXCLUSIVE = AFD_POLL_INFO.Exclusive / 4;
const HANDLE = AFD_POLL_INFO.Handle / 4;
const EVENTS = AFD_POLL_INFO.Events / 4;
const STATUS = AFD_POLL_INFO.Status / 4;

/** A handle of the AFD device. */
interface Device {
  readonly handle: bigint;
  /** Number of requests that use it. */
  requests: number;
}

/** A reusable request: its memory and, while it is in use, its device handle. */
export class AfdRequest {
  /** Identifier that comes back with the packet. At least 1, because Windows sends no packet for 0. */
  readonly id: number;
  /** Handle of the device; set while the request is in use. */
  device: Device | null = null;
  readonly #ntdll = ntdll();
  // The id and the addresses of the structs, kept because creating a BigInt costs more than a fast call.
  readonly #context: bigint;
  readonly #status: bigint;
  readonly #info: bigint;
  readonly #words: Int32Array<ArrayBuffer>;
  // Index of the AFD_POLL_INFO in the words.
  readonly #at: number;

  constructor(id: number, memory: Memory, index: number) {
    this.id = id;
    this.#context = BigInt(id);
    this.#status = memory.address + BigInt(index * CELL_SIZE);
    this.#info = this.#status + BigInt(IO_STATUS_BLOCK.size);
    this.#words = memory.words;
    this.#at = (index * CELL_SIZE + IO_STATUS_BLOCK.size) / 4;
  }

  /** Starts a poll of a base provider's socket; returns 0 or `-errno`. After 0, a packet comes in every case. */
  begin(base: number, flags: number): number {
    const words = this.#words;
    const at = this.#at;
    words[at + TIMEOUT] = -1; // the longest time: 2^63 - 1
    words[at + TIMEOUT + 1] = 0x7fff_ffff;
    words[at + NUMBER_OF_HANDLES] = 1;
    words[at + EXCLUSIVE] = 0;
    words[at + HANDLE] = base;
    words[at + HANDLE + 1] = 0;
    words[at + EVENTS] = flags;
    words[at + STATUS] = 0;
    const info = this.#info;
    const { size } = AFD_POLL_INFO;
    const outcome = this.#ntdll.NtDeviceIoControlFile(
      this.device!.handle,
      0n,
      0n,
      this.#context,
      this.#status,
      IOCTL_AFD_POLL,
      info,
      size,
      info,
      size,
    );
    return isError(outcome) ? failureOf(outcome) : 0;
  }

  /**
   * Cancels the poll, unless it is already complete. Its packet comes in either case.
   *
   * @param status Address of an IO_STATUS_BLOCK that the call overwrites
   */
  cancel(status: bigint): void {
    this.#ntdll.NtCancelIoFileEx(this.device!.handle, this.#status, status);
  }

  /** Flags that the kernel has written, or 0 if the poll found nothing. */
  get found(): number {
    return this.#words[this.#at + NUMBER_OF_HANDLES] === 0 ? 0 : this.#words[this.#at + EVENTS]!;
  }
}

/** The requests of a poller. A request that is given back is used again. */
export class AfdRequests {
  readonly #port: number;
  readonly #scratch: Memory;
  readonly #devices: Device[] = [];
  // Devices with room for another request.
  readonly #roomy: Device[] = [];
  readonly #memory: Memory[] = [];
  readonly #free: AfdRequest[] = [];

  /**
   * Prepares requests whose packets go to a port.
   *
   * @param scratch Memory that {@linkcode open} and {@linkcode take} overwrite
   */
  constructor(port: number, scratch: Memory) {
    this.#port = port;
    this.#scratch = scratch;
  }

  /** Opens a device handle unless one has room; returns false if the system refuses to open it. */
  open(): boolean {
    if (this.#roomy.length > 0) return true;
    const handle = openDevice(this.#port, this.#scratch);
    if (handle < 0) return false;
    const device = { handle: BigInt(handle), requests: 0 };
    this.#devices.push(device);
    this.#roomy.push(device);
    return true;
  }

  /** Returns a request, or undefined if the system refuses to open another device handle. */
  take(): AfdRequest | undefined {
    if (!this.open()) return undefined;
    const device = this.#roomy.at(-1)!;
    const request = this.#free.pop() ?? this.#allocate();
    request.device = device;
    if (++device.requests === SOCKETS_PER_DEVICE) this.#roomy.pop();
    return request;
  }

  /** Takes back a request that has no outstanding poll. */
  giveBack(request: AfdRequest): void {
    const device = request.device!;
    request.device = null;
    this.#free.push(request);
    if (device.requests-- === SOCKETS_PER_DEVICE) this.#roomy.push(device);
  }

  /** Allocates memory for many requests, and returns one of them. */
  #allocate(): AfdRequest {
    const memory = new Memory(CELLS * CELL_SIZE);
    const first = (this.#memory.push(memory) - 1) * CELLS + 1;
    for (let index = CELLS - 1; index >= 0; index--) this.#free.push(new AfdRequest(first + index, memory, index));
    return this.#free.pop()!;
  }

  /** Closes the device handles. */
  closeDevices(): void {
    for (const { handle } of this.#devices) closeHandle(Number(handle));
  }

  /** Frees the memory. Call it only after every packet has come back. */
  free(): void {
    for (const memory of this.#memory) memory.free();
  }
}
