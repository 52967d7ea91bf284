/**
 * Helpers of all tests: `test()`, which checks for open descriptors, `Cleanup`, and facts about this system.
 *
 * @module
 */

import { assert, assertEquals } from "@std/assert";
import { join } from "@std/path";
import { it } from "@std/testing/bdd";
import { BaseSelector, EVENT_READ, EVENT_WRITE, type FileObject } from "../../mod.ts";
import { EpollPoller } from "../../ffi/os/epoll.ts";
import { arch, os } from "../../ffi/os/systems.ts";
import type { Poller } from "../../ffi/os/poller.ts";
import type { SelectSet } from "../../ffi/os/select_set.ts";
import { AF_INET, close, pipe, Socket, socketpair } from "../../ffi/socket/mod.ts";
import { isOpen as isSocket, PAIR_FAMILY } from "../../ffi/os/sys.ts";
import { borrowWaker } from "../../ffi/os/waker.ts";

/** True on Windows, where every descriptor is a socket and there is no C library of Unix. */
export const isWindows: boolean = os === "windows";

/** True on the Windows of Wine. */
export const isWine: boolean = isWindows && Deno.dlopen("ntdll.dll", {
      wine_get_version: { parameters: [], result: "pointer", optional: true },
    }).symbols.wine_get_version !== null;

/** True on Linux. */
export const isLinux: boolean = os === "linux" || os === "android";
const isDarwin = os === "darwin";

/** File name of the C library, for programs that have `--allow-ffi` without a path. */
export const LIBC: string = isDarwin ? "libSystem.B.dylib" : "libc.so.6";

/** Directory in which the kernel lists the descriptors of this process, or null if the system has none. */
const DESCRIPTORS = os === "linux" ? "/proc/self/fd" : null;

/** Numbers to try on Windows, which does not list handles: multiples of 4, the lowest first. */
const HANDLES = isWindows ? Array.from({ length: 1024 }, (_, index) => 4 * index) : [];

// Deno opens descriptors of its own at the first call of some functions.
openDescriptors();
new Socket().close();
borrowWaker().giveBack(); // stays open

/** Returns the open descriptors, each with the file that it refers to. */
export function openDescriptors(): Map<number, string> {
  const found = new Map<number, string>();
  for (const handle of HANDLES) if (isSocket(handle)) found.set(handle, "socket");
  if (DESCRIPTORS === null) return found;
  for (const { name } of Deno.readDirSync(DESCRIPTORS)) {
    try {
      found.set(Number(name), Deno.readLinkSync(`${DESCRIPTORS}/${name}`));
    } catch (error) {
      // The descriptor of the listing itself is closed already.
      if (!(error instanceof Deno.errors.NotFound)) throw error;
    }
  }
  return found;
}

/** Something that a test needs: null if this system has it, or the reason why it does not. */
export type Need = string | null;

/** Options of a test. */
export interface TestOptions {
  /** Skips the test if this system lacks one of them, and prints the first reason. */
  needs?: readonly Need[];
}

/** Arguments of a test after its name. */
export type TestArguments<Body> = [body: Body] | [options: TestOptions, body: Body];

/**
 * Declares a test that fails if it leaves a descriptor open, or closes one that it did not open.
 *
 * The check is in the function of the test, because a failure in an `afterEach` is not always reported.
 */
export function test(name: string, ...args: TestArguments<() => void | Promise<void>>): void {
  const [{ needs = [] }, body] = withOptions(args);
  const reason = needs.find((need) => need !== null);
  if (reason != null) skip(name, reason);
  else it(name, () => leavingDescriptors(body));
}

/** Returns a `test()` whose tests all have these needs, before their own. */
export function testNeeding(...common: Need[]): typeof test {
  return (name, ...args) => {
    const [{ needs = [] }, body] = withOptions(args);
    test(name, { needs: [...common, ...needs] }, body);
  };
}

/** Returns the options and the body of a test. */
export function withOptions<Body>(args: TestArguments<Body>): [options: TestOptions, body: Body] {
  return args.length === 1 ? [{}, args[0]] : args;
}

/** Calls a function, and fails if it leaves a descriptor open, or closes one that it did not open. */
export async function leavingDescriptors(body: () => void | Promise<void>): Promise<void> {
  const before = openDescriptors();
  await body();
  // Deno closes the pipes of a child later.
  for (let tries = 0; tries < 100 && !sameKeys(openDescriptors(), before); tries++) {
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  // Under an emulator, Deno once closed a descriptor of its own late, during a test. A new or changed descriptor still
  // fails there.
  const after = openDescriptors();
  if (isEmulated) { for (const fd of before.keys()) if (!after.has(fd)) before.delete(fd); }
  assertEquals(after, before, "The test left other descriptors open than it found");
}

/** Declares a test that cannot run on this system, and prints the reason. */
export function skip(name: string, reason: string): void {
  it.skip(`${name} (skipped: ${reason})`, () => {}); // the only way to skip, so that every reason is printed
}

function sameKeys(one: Map<number, string>, other: Map<number, string>): boolean {
  return one.size === other.size && [...one].every(([fd, target]) => other.get(fd) === target);
}

/** Closes what a test has opened, at its end: `using cleanup = new Cleanup()`. */
export class Cleanup implements Disposable {
  readonly #stack = new DisposableStack();

  /** Opens two connected sockets. */
  pair(family: number = PAIR_FAMILY, type?: number): [Socket, Socket] {
    const [here, there] = family === PAIR_FAMILY ? socketpair(family, type) : tcpPair(family);
    return [this.add(here), this.add(there)];
  }

  /** Opens a pipe, or a pair of sockets on Windows. Each end that the test does not close is closed at the end. */
  pipe(): [reader: number, writer: number] {
    const [reader, writer] = isWindows ? socketpair().map((socket) => socket.detach()) as [number, number] : pipe();
    return [this.own(reader), this.own(writer)];
  }

  /** Closes a descriptor at the end, unless the test closes or disowns it before. */
  own(fd: number): number {
    this.#stack.defer(() => this.#open.delete(fd) && close(fd));
    this.#open.add(fd);
    return fd;
  }

  /** Leaves a descriptor to something else that closes it, for example a stream. */
  disown(fd: number): number {
    assert(this.#open.delete(fd), `Descriptor ${fd} is not owned`);
    return fd;
  }

  /** Closes a descriptor before the end. */
  close(fd: number): void {
    assert(this.#open.delete(fd), `Descriptor ${fd} is not one to close`);
    close(fd);
  }

  readonly #open = new Set<number>();

  /** Disposes of an object at the end, in reverse order. */
  add<T extends Disposable>(thing: T): T {
    return this.#stack.use(thing);
  }

  /** Calls a function at the end. */
  defer(action: () => void): void {
    this.#stack.defer(action);
  }

  [Symbol.dispose](): void {
    this.#stack.dispose();
  }
}

/** Returns two connected TCP sockets. */
export function tcpPair(family: number = AF_INET): [client: Socket, server: Socket] {
  using listener = new Socket(family);
  listener.bind({ hostname: family === AF_INET ? "127.0.0.1" : "::1", port: 0 });
  listener.listen();
  const client = new Socket(family);
  client.connect(listener.getsockname());
  return [client, listener.accept()[0]];
}

/** The events of a registration for reading and writing. */
export const BOTH = EVENT_READ | EVENT_WRITE;

/** Seconds in which an event comes on any machine; short enough to watch a test that fails. */
export const SOON = 5;

/** Lets the event loop turn, until parked waits are blocked in the system. */
export function nextTurns(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 5));
}

/** Returns the bytes of a string. */
export function bytes(text: string): Uint8Array<ArrayBuffer> {
  return new TextEncoder().encode(text);
}

/** Returns the string of bytes. */
export function text(data: Uint8Array): string {
  return new TextDecoder().decode(data);
}

/** Returns the ready descriptors of a selector in their order, with their events. */
export function readyFds<D, F extends FileObject>(
  selector: BaseSelector<D, F>,
  timeout?: number | null,
): [number, number][] {
  return sorted(selector.select(timeout).map(([key, events]) => [key.fd, events]));
}

/** Sorts pairs of a descriptor and a mask by the descriptor. */
export function sorted(found: [fd: number, mask: number][]): [fd: number, mask: number][] {
  return found.sort(([one], [other]) => one - other);
}

/** A selector that counts its system calls. */
export class CountingSelector extends BaseSelector {
  readonly #poller: CountingPoller;

  constructor(poller: Poller) {
    const counting = new CountingPoller(poller);
    super(counting);
    this.#poller = counting;
  }

  /** Number of waits so far. */
  get waits(): number {
    return this.#poller.waits;
  }
}

/** A poller that passes every call on, and counts the calls of wait(). */
class CountingPoller implements Poller {
  readonly #poller: Poller;
  waits = 0;

  constructor(poller: Poller) {
    this.#poller = poller;
    if (poller.outside !== undefined) this.outside = poller.outside;
    if (poller.explain !== undefined) this.explain = poller.explain.bind(poller);
    if (poller.purge !== undefined) this.purge = poller.purge.bind(poller);
  }

  readonly outside?: ReadonlySet<number>;
  readonly explain?: NonNullable<Poller["explain"]>;
  readonly purge?: NonNullable<Poller["purge"]>;
  get controlCall() {
    return this.#poller.controlCall;
  }
  get waitCall() {
    return this.#poller.waitCall;
  }
  get fd() {
    return this.#poller.fd;
  }
  get nests() {
    return this.#poller.nests;
  }
  get supports() {
    return this.#poller.supports;
  }
  get silences() {
    return this.#poller.silences;
  }
  isSilent(fd: number) {
    return this.#poller.isSilent(fd);
  }
  add(fd: number, events: number, serial: number) {
    return this.#poller.add(fd, events, serial);
  }
  modify(fd: number, events: number, serial: number) {
    return this.#poller.modify(fd, events, serial);
  }
  remove(fd: number) {
    this.#poller.remove(fd);
  }
  wait(timeoutMs: number) {
    this.waits++;
    return this.#poller.wait(timeoutMs);
  }
  fdAt(index: number) {
    return this.#poller.fdAt(index);
  }
  serialAt(index: number) {
    return this.#poller.serialAt(index);
  }
  eventsAt(index: number) {
    return this.#poller.eventsAt(index);
  }
  close() {
    this.#poller.close();
  }
}

/** Returns the ready descriptors of the last wait of a set, with their sets; the wait returned `count`. */
export function gathered(set: SelectSet, count: number): [fd: number, where: number][] {
  return Array.from({ length: set.gather(count) }, (_, index) => [set.fdAt(index), set.whereAt(index)]);
}

/** Receives exactly `size` bytes; Wine does not wait for all of them with MSG_WAITALL. */
export function received(socket: Socket, size: number): Uint8Array {
  const data = new Uint8Array(size);
  for (let count = 0; count < size;) {
    const more = socket.recv(size - count);
    assert(more.length > 0, `The connection ended after ${count} of ${size} bytes`);
    data.set(more, count);
    count += more.length;
  }
  return data;
}

/** Returns the milliseconds that a function takes. */
export function elapsedMs(body: () => unknown): number {
  const start = performance.now();
  body();
  return performance.now() - start;
}

/** C functions that only tests need: duplicates, special files, signals. */
export const libc = isWindows ? null : Deno.dlopen(LIBC, {
  dup: { parameters: ["i32"], result: "i32" },
  dup2: { parameters: ["i32", "i32"], result: "i32" },
  fcntl: { parameters: ["i32", "i32"], result: "i32" },
  epoll_pwait2: { parameters: ["i32", "buffer", "i32", "buffer", "pointer"], result: "i32", optional: true },
  getrlimit: { parameters: ["i32", "buffer"], result: "i32" },
  setrlimit: { parameters: ["i32", "buffer"], result: "i32" },
  mkfifo: { parameters: ["buffer", "u32"], result: "i32" },
  open: { parameters: ["buffer", "i32"], result: "i32" },
  pthread_self: { parameters: [], result: "usize" },
}).symbols;

/** True if `ppoll()` waits for less than a millisecond; macOS has `poll()` alone. */
export const hasPpoll: boolean = !isDarwin && !isWindows;

/** Codes of a refused connect(): at once, or later through SO_ERROR. */
export const REFUSED_CODES: readonly string[] = ["EINPROGRESS", "ECONNREFUSED"];

/** True if an emulator runs Deno for another processor. A kernel before 6.1 does not tell its own processor. */
export const isEmulated: boolean = os === "linux" && kernelArch() !== arch;

function kernelArch(): string {
  try {
    return Deno.readTextFileSync("/proc/sys/kernel/arch").trim();
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return arch;
    throw error;
  }
}

/** Codes of a write to a closed peer: Windows has several for EPIPE. */
export const BROKEN_CODES: readonly string[] = isWindows ? ["ECONNRESET", "ECONNABORTED", "ESHUTDOWN"] : ["EPIPE"];

/** A value of SO_LINGER that makes close() reset the connection: a struct of two integers. */
export const RESET_ON_CLOSE: Uint8Array<ArrayBuffer> = new Uint8Array(
  (isWindows ? new Int16Array([1, 0]) : new Int32Array([1, 0])).buffer,
);

/** Resource of getrlimit() for the number of descriptors, on Linux, and on macOS and the BSDs. */
const RLIMIT_NOFILE = isLinux ? 7 : 8;

/** OPEN_MAX of macOS: poll() fails with EINVAL above it, regardless of the limit of the process. */
const OPEN_MAX = 10_240;

/** Returns how many descriptors this process may open. Windows has no limit, so the number suits the time of a test. */
export function descriptorLimit(): number {
  if (isWindows) return 1_256;
  const limits = new BigUint64Array(2);
  assertEquals(libc!.getrlimit(RLIMIT_NOFILE, limits), 0);
  return isDarwin ? Math.min(Number(limits[0]), OPEN_MAX) : Number(limits[0]);
}

/** Returns whether the kernel has epoll_pwait2(). */
export function hasEpollPwait2(): boolean {
  if (libc?.epoll_pwait2 == null) return false;
  const set = new EpollPoller();
  try {
    return libc.epoll_pwait2(set.fd, new Int32Array(4), 1, new Int32Array(4), null) === 0;
  } finally {
    set.close();
  }
}

/** Returns the URL of a JavaScript module with this source. */
export function moduleOf(source: string): string {
  return `data:application/javascript,${encodeURIComponent(source)}`;
}

/**
 * Runs a module in another Deno, and returns the JSON value that it prints.
 *
 * Tests create Workers there, because Deno keeps descriptors of a Worker open after its end.
 */
export async function printedBy(source: string): Promise<unknown> {
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "--quiet", "--allow-all", "--no-config", "--no-lock", moduleOf(source)],
    env: { NO_COLOR: "1" },
    stdin: "null",
  }).output();
  assertEquals([text(stderr), code], ["", 0]);
  return JSON.parse(text(stdout));
}

/** The request of fcntl() for the flags of a descriptor, and the flag that closes it on exec. */
export const F_GETFD = 1;
export const FD_CLOEXEC = 1;

/** Returns whether a descriptor is open. */
export function isOpen(fd: number): boolean {
  return libc!.fcntl(fd, F_GETFD) !== -1;
}

/** Returns the first free descriptor from `least` on. */
export function freeNumber(least: number): number {
  while (isOpen(least)) least++;
  return least;
}

/** Numbers of the duplicates that tests have made. */
const duplicates = new Set<number>();

/**
 * Duplicates a descriptor to a number that is free or that of an earlier duplicate, and closes it at the end, unless the
 * test has closed it.
 */
export function duplicate(cleanup: Cleanup, fd: number, number: number): number {
  // dup2() would close a descriptor of Deno, which panics then.
  assert(duplicates.has(number) || !isOpen(number), `Cannot have a descriptor ${number}: it is in use`);
  duplicates.add(number);
  assertEquals(libc!.dup2(fd, number), number, `Cannot have a descriptor ${number}; is the limit of descriptors low?`);
  cleanup.defer(() => {
    duplicates.delete(number);
    if (isOpen(number)) close(number);
  });
  return number;
}

/** Opens a file without `node:fs`, because a stream may close the descriptor: see `streams.ts`. */
export function openFile(path: string, flags: number): number {
  const fd = libc!.open(bytes(`${path}\0`), flags);
  assert(fd >= 0, `Cannot open ${path}`);
  return fd;
}

/** Creates a FIFO, and returns its path and a descriptor of it. */
export function fifo(cleanup: Cleanup, flags: number): [path: string, fd: number] {
  const directory = Deno.makeTempDirSync();
  cleanup.defer(() => Deno.removeSync(directory, { recursive: true }));
  const path = join(directory, "fifo");
  assertEquals(libc!.mkfifo(bytes(`${path}\0`), 0o600), 0);
  const fd = libc!.open(bytes(`${path}\0`), flags);
  cleanup.defer(() => close(fd));
  return [path, fd];
}

/** Starts a shell script, whose `$0` is the first argument. */
export function shell(script: string, ...args: string[]): Deno.ChildProcess {
  return new Deno.Command("sh", { args: ["-c", script, ...args], stdin: "null", stdout: "null" }).spawn();
}
