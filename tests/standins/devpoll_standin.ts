/**
 * A stand-in for /dev/poll on Linux, over poll(2). It tests code for a kernel that is not available here.
 *
 * It behaves as poll(7D) of Solaris and poll(4D) of illumos specify. Where these are silent, it behaves like the driver
 * of illumos (usr/src/uts/common/io/devpoll.c). It shares no constant and no layout with the code under test: all
 * numbers are repeated here from the headers.
 *
 * @module
 */

import { assert, assertEquals } from "@std/assert";

const { symbols: libc } = Deno.dlopen("libc.so.6", {
  __errno_location: { parameters: [], result: "pointer" },
  open: { parameters: ["buffer", "i32"], result: "i32" },
  close: { parameters: ["i32"], result: "i32" },
  poll: { parameters: ["buffer", "u64", "i32"], result: "i32" },
  fcntl: { parameters: ["i32", "i32"], result: "i32" },
  memmove: { parameters: ["buffer", "buffer", "usize"], result: "usize" },
  copy: { name: "memmove", parameters: ["usize", "buffer", "usize"], result: "void" },
  getrlimit: { parameters: ["i32", "buffer"], result: "i32" },
});

const errno = new Int32Array(Deno.UnsafePointerView.getArrayBuffer(libc.__errno_location()!, 4));

/** Errors with their Linux numbers, because the code under test reads errno on Linux. */
const EBADF = 9;
const ENOENT = 2;
const EINVAL = 22;

/** Flags of Solaris and illumos, with their Linux numbers. On Solaris and illumos, POLLWRNORM equals POLLOUT. */
const FLAGS: readonly [solaris: number, linux: number][] = [
  [0x0001, 0x0001], // POLLIN
  [0x0002, 0x0002], // POLLPRI
  [0x0004, 0x0004], // POLLOUT
  [0x0008, 0x0008], // POLLERR
  [0x0010, 0x0010], // POLLHUP
  [0x0020, 0x0020], // POLLNVAL
  [0x0040, 0x0040], // POLLRDNORM
  [0x0080, 0x0080], // POLLRDBAND
  [0x0100, 0x0200], // POLLWRBAND
  [0x4000, 0x2000], // POLLRDHUP
];

function toLinux(mask: number): number {
  return FLAGS.reduce((flags, [solaris, linux]) => flags | ((mask & solaris) !== 0 ? linux : 0), 0);
}

function toSolaris(mask: number): number {
  return FLAGS.reduce((flags, [solaris, linux]) => flags | ((mask & linux) !== 0 ? solaris : 0), 0);
}

/** The driver's state for a descriptor. */
interface Polldat {
  events: number;
  /**
   * True if the descriptor was open when it was written, and is in the set. Bits are ORed into `events` in any case.
   */
  cached: boolean;
}

/** An open device. */
interface Device {
  polldats: Map<number, Polldat>;
  /** The descriptor at which the next wait starts to scan. */
  start: number;
  /** Milliseconds that the device may still sleep. */
  patienceMs: number;
  /** Calls that the device may still accept and descriptors that it may still scan. */
  looks: number;
}

/** The recorded calls, for tests to check. */
export const log = {
  /** The `pollfd`s of each write, as descriptor and events. */
  writes: [] as [fd: number, events: number][][],
  /** The dp_nfds and dp_timeout of each wait. */
  waits: [] as [nfds: number, timeout: number][],
  /** Clears the record. */
  clear(): void {
    log.writes.length = 0;
    log.waits.length = 0;
  },
};

/** Results for the next calls to return without doing their work: -1 and an errno, or a number of bytes. */
export const failures = {
  open: [] as [result: number, errno: number][],
  write: [] as [result: number, errno: number][],
  ioctl: [] as [result: number, errno: number][],
};

const devices = new Map<number, Device>();

/** Lengths of the arrays whose addresses the package has requested. */
const lengths = new Map<bigint, number>();

/** Limits at which a device throws, so that wrong calls fail the test instead of hanging it. */
export const patience = {
  /** Maximum total length of all waits in milliseconds; every test needs less than half of it. */
  ms: 1_000,
  /** Maximum number of calls and scanned descriptors; the largest set has 65,536, and is scanned a few times. */
  looks: 1_000_000,
};

function look(device: Device, count: number): void {
  device.looks -= count;
  assert(device.looks > 0, "The device is asked over and over, and nothing is done about what it says");
}

/** Returns the mask that a device has for a descriptor; undefined if the descriptor is not in its set. */
export function maskOf(device: number, fd: number): number | undefined {
  const polldat = devices.get(device)!.polldats.get(fd);
  return polldat?.cached === true ? polldat.events : undefined;
}

/** Returns the number of open devices. */
export function openDevices(): number {
  return devices.size;
}

function fail(number: number): -1 {
  errno[0] = number;
  return -1;
}

function failing(call: keyof typeof failures): number | null {
  const failure = failures[call].shift();
  if (failure === undefined) return null;
  const [result, number] = failure;
  return result === -1 ? fail(number) : result;
}

function isOpen(fd: number): boolean {
  const F_GETFD = 1;
  return libc.fcntl(fd, F_GETFD) !== -1;
}

/** Returns the maximum number of open descriptors. */
function limit(): number {
  const RLIMIT_NOFILE = 7;
  const limits = new BigUint64Array(2);
  libc.getrlimit(RLIMIT_NOFILE, limits);
  return Number(limits[0]);
}

function viewOf(buffer: ArrayBufferView): DataView {
  return new DataView(buffer.buffer, buffer.byteOffset, buffer.byteLength);
}

function open(path: Uint8Array, flags: number): number {
  const failed = failing("open");
  if (failed !== null) return failed;
  if (new TextDecoder().decode(path) !== "/dev/poll\0") return fail(ENOENT);
  assertEquals(flags & 0x3, 2, "Not opened for reading and writing");
  // O_CLOEXEC is 0x800000 on Solaris and 02000000 on Linux.
  assertEquals(flags & ~0x3 & ~0x800000, 0, "Opened with unknown flags");
  const fd = libc.open(new TextEncoder().encode("/dev/null\0"), 2 | ((flags & 0x800000) !== 0 ? 0o2000000 : 0));
  devices.set(fd, { polldats: new Map(), start: 0, patienceMs: patience.ms, looks: patience.looks });
  return fd;
}

function close(fd: number): number {
  devices.delete(fd);
  return libc.close(fd);
}

/** Returns the address of an array; it moves nothing. */
function memmove(to: ArrayBufferView<ArrayBuffer>, from: ArrayBufferView<ArrayBuffer>, size: bigint): bigint {
  assertEquals(size, 0n);
  const address = libc.memmove(to, from, size);
  lengths.set(address, to.byteLength);
  return address;
}

function write(device: number, buffer: ArrayBufferView, nbyte: number | bigint): number {
  const failed = failing("write");
  if (failed !== null) return failed;
  const state = devices.get(device)!;
  const { polldats } = state;
  look(state, 1);
  const count = Math.floor(Number(nbyte) / 8);
  if (count > limit()) return fail(EINVAL);
  assert(Number(nbyte) <= buffer.byteLength, "Written from behind the end of the buffer");
  const view = viewOf(buffer);
  const entries: [fd: number, events: number][] = [];
  for (let index = 0; index < count; index++) {
    entries.push([view.getInt32(8 * index, true), view.getUint16(8 * index + 4, true)]);
  }
  log.writes.push(entries);
  for (const [fd, events] of entries) {
    if (fd < 0 || fd >= limit()) continue;
    const polldat = polldats.get(fd);
    // Only a mask of exactly this flag is a removal. The driver ignores a descriptor that was closed before the write.
    if (events === 0x0800) {
      if (polldat?.cached) polldats.delete(fd);
      continue;
    }
    const kept = polldat ?? { events: 0, cached: false };
    kept.events |= events;
    if (isOpen(fd)) kept.cached = true;
    polldats.set(fd, kept);
  }
  return count * 8;
}

function ioctl(device: number, request: number, buffer: ArrayBufferView): number {
  const failed = failing("ioctl");
  if (failed !== null) return failed;
  const state = devices.get(device);
  if (state === undefined) return fail(EBADF);
  if (request !== ((0xd0 << 8) | 1)) return fail(EINVAL);
  // The driver reads 24 bytes and ignores the rest.
  const view = viewOf(buffer);
  const address = view.getBigUint64(0, true);
  const nfds = Number(view.getBigUint64(8, true));
  const timeout = view.getInt32(16, true);
  assert(view.byteLength >= 24, "struct dvpoll is too short");
  log.waits.push([nfds, timeout]);
  if (nfds > limit()) return fail(EINVAL);
  assert(nfds * 8 <= lengths.get(address)!, "The buffer is shorter than dp_nfds says");

  // Without room for events, DP_POLL only sleeps.
  const fds = nfds === 0 ? [] : [...state.polldats].filter(([, { cached }]) => cached).map(([fd]) => fd);
  const pollfds = new DataView(new ArrayBuffer(8 * fds.length));
  for (const [index, fd] of fds.entries()) {
    pollfds.setInt32(8 * index, fd, true);
    pollfds.setUint16(8 * index + 4, toLinux(state.polldats.get(fd)!.events), true);
  }
  look(state, 20 + fds.length); // the call itself costs as much as twenty descriptors
  const wantedMs = timeout < 0 ? Infinity : timeout;
  const boundMs = Math.min(wantedMs, state.patienceMs);
  const began = performance.now();
  const ready = libc.poll(pollfds, BigInt(fds.length), boundMs);
  const number = errno[0]!;
  // Delays of a busy machine do not count.
  if (ready <= 0) state.patienceMs -= Math.min(Math.floor(performance.now() - began), boundMs);
  if (ready < 0) return fail(number);
  assert(ready > 0 || boundMs === wantedMs, "The device waits for what does not come");
  if (ready === 0) return 0;
  const found = new Map<number, number>();
  for (const [index, fd] of fds.entries()) {
    const revents = toSolaris(pollfds.getUint16(8 * index + 6, true));
    if (revents !== 0) found.set(fd, revents);
  }
  // To starve no descriptor, the driver scans in a circle, starting where the buffer was full last time.
  const circle = [...found.keys()].sort((a, b) => a - b);
  const first = circle.findIndex((fd) => fd >= state.start);
  const reported = [...circle.slice(Math.max(first, 0)), ...circle.slice(0, Math.max(first, 0))].slice(0, nfds);
  state.start = reported.length < circle.length ? reported.at(-1)! + 1 : state.start;
  const out = new DataView(new ArrayBuffer(8 * reported.length));
  for (const [index, fd] of reported.entries()) {
    const revents = found.get(fd)!;
    out.setInt32(8 * index, fd, true);
    // For a closed descriptor, the driver leaves `events` unchanged.
    out.setUint16(8 * index + 4, revents === 0x20 ? 0xdead : state.polldats.get(fd)!.events, true);
    out.setUint16(8 * index + 6, revents, true);
  }
  libc.copy(address, out, BigInt(out.byteLength));
  return reported.length;
}

/** The functions, by the names under which `ffi/os/devpoll.ts` opens them. */
export const functions = { open, write, ioctl, memmove, close };
