/**
 * /dev/poll on Linux: a stand-in over poll(2), to test code that was written for a kernel which is not at hand.
 *
 * It does what poll(7D) of Solaris and poll(4D) of illumos say, and, where these are silent, what the driver does
 * (usr/src/uts/common/io/devpoll.c of illumos). It shares no constant and no layout with what it tests: all numbers stand
 * here again, as the headers have them.
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

/** Errors, by their numbers on Linux, which the code under test reads here. */
const EBADF = 9;
const ENOENT = 2;
const EINVAL = 22;

/** Flags that Solaris and illumos have, and their numbers on Linux. Theirs of POLLWRNORM is that of POLLOUT. */
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

/** The driver's state of a descriptor. */
interface Polldat {
  events: number;
  /** True if it was open when it was written, and so is in the set; bits that were ORed into `events` stay anyway. */
  cached: boolean;
}

/** One open of the device. */
interface Device {
  polldats: Map<number, Polldat>;
  /** The descriptor at which the next wait begins to look. */
  start: number;
  /** Milliseconds that it may still sleep. */
  patienceMs: number;
  /** Calls that it may still accept, and descriptors that it may still look at. */
  looks: number;
}

/** The calls of the stand-in, for tests to check. */
export const log = {
  /** The writes: of each the `pollfd`s, as descriptor and events. */
  writes: [] as [fd: number, events: number][][],
  /** The waits: of each dp_nfds and dp_timeout. */
  waits: [] as [nfds: number, timeout: number][],
  /** Forgets all. */
  clear(): void {
    log.writes.length = 0;
    log.waits.length = 0;
  },
};

/** Results that the next calls return instead of doing their work: -1 with an errno, or a number of bytes. */
export const failures = {
  open: [] as [result: number, errno: number][],
  write: [] as [result: number, errno: number][],
  ioctl: [] as [result: number, errno: number][],
};

const devices = new Map<number, Device>();

/** Lengths of the arrays whose addresses the package has taken. */
const lengths = new Map<bigint, number>();

/** When a device that was told the wrong thing, and is waited on or asked for ever, throws in place of going on. */
export const patience = {
  /** Milliseconds that it sleeps at most, in all of its waits; every test needs less than half of them. */
  ms: 1_000,
  /** Calls that it accepts, and descriptors that it looks at; the greatest set has 65,536, and is scanned a few times. */
  looks: 1_000_000,
};

function look(device: Device, count: number): void {
  device.looks -= count;
  assert(device.looks > 0, "The device is asked over and over, and nothing is done about what it says");
}

/** The mask that a device has for a descriptor; undefined if it is not in its set. */
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

/** Greatest number of open descriptors. */
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
  // O_CLOEXEC is 0x800000 there, and 02000000 here.
  assertEquals(flags & ~0x3 & ~0x800000, 0, "Opened with unknown flags");
  const fd = libc.open(new TextEncoder().encode("/dev/null\0"), 2 | ((flags & 0x800000) !== 0 ? 0o2000000 : 0));
  devices.set(fd, { polldats: new Map(), start: 0, patienceMs: patience.ms, looks: patience.looks });
  return fd;
}

function close(fd: number): number {
  devices.delete(fd);
  return libc.close(fd);
}

/** Moves nothing, and returns the address of an array. */
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
    // Removal is a mask of this flag and no other. It ignores a descriptor that was closed when it was written.
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
  // The driver reads 24 bytes, and ignores the rest.
  const view = viewOf(buffer);
  const address = view.getBigUint64(0, true);
  const nfds = Number(view.getBigUint64(8, true));
  const timeout = view.getInt32(16, true);
  assert(view.byteLength >= 24, "struct dvpoll is too short");
  log.waits.push([nfds, timeout]);
  if (nfds > limit()) return fail(EINVAL);
  assert(nfds * 8 <= lengths.get(address)!, "The buffer is shorter than dp_nfds says");

  // With no room for events, DP_POLL only sleeps.
  const fds = nfds === 0 ? [] : [...state.polldats].filter(([, { cached }]) => cached).map(([fd]) => fd);
  const pollfds = new DataView(new ArrayBuffer(8 * fds.length));
  for (const [index, fd] of fds.entries()) {
    pollfds.setInt32(8 * index, fd, true);
    pollfds.setUint16(8 * index + 4, toLinux(state.polldats.get(fd)!.events), true);
  }
  look(state, 20 + fds.length); // the call itself takes as long as twenty
  const wantedMs = timeout < 0 ? Infinity : timeout;
  const boundMs = Math.min(wantedMs, state.patienceMs);
  const began = performance.now();
  const ready = libc.poll(pollfds, BigInt(fds.length), boundMs);
  const number = errno[0]!;
  // The delay of a busy machine does not count.
  if (ready <= 0) state.patienceMs -= Math.min(Math.floor(performance.now() - began), boundMs);
  if (ready < 0) return fail(number);
  assert(ready > 0 || boundMs === wantedMs, "The device waits for what does not come");
  if (ready === 0) return 0;
  const found = new Map<number, number>();
  for (const [index, fd] of fds.entries()) {
    const revents = toSolaris(pollfds.getUint16(8 * index + 6, true));
    if (revents !== 0) found.set(fd, revents);
  }
  // The driver scans descriptors in a circle, from its position when the buffer was full, to starve none.
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

/** The functions, by the names that `ffi/os/devpoll.ts` opens them with. */
export const functions = { open, write, ioctl, memmove, close };
