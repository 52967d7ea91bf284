/**
 * Helpers for all tests: `test()`, which checks for leaked descriptors, `Cleanup`, and facts about this system.
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

/** True on Windows, where every descriptor is a socket and there is no Unix C library. */
export const isWindows: boolean = os === "windows";

/** True under Wine. */
export const isWine: boolean = isWindows && Deno.dlopen("ntdll.dll", {
      wine_get_version: { parameters: [], result: "pointer", optional: true },
    }).symbols.wine_get_version !== null;

/** True on Linux. */
export const isLinux: boolean = os === "linux" || os === "android";
const isDarwin = os === "darwin";

/** File name of the C library, for programs with `--allow-ffi` without a path. */
export const LIBC: string = isDarwin ? "libSystem.B.dylib" : "libc.so.6";

/** Directory in which the kernel lists this process's descriptors, or null. */
const DESCRIPTORS = os === "linux" ? "/proc/self/fd" : null;

/** Numbers to try on Windows, which cannot list handles: multiples of 4, starting with the lowest. */
const HANDLES = isWindows ? Array.from({ length: 1024 }, (_, index) => 4 * index) : [];

// Deno opens descriptors on the first call of some functions, so they are called before any test.
openDescriptors();
new Socket().close();
borrowWaker().giveBack(); // the package keeps the waker open

/** Returns the open descriptors and their files. */
export function openDescriptors(): Map<number, string> {
  const found = new Map<number, string>();
  for (const handle of HANDLES) if (isSocket(handle)) found.set(handle, "socket");
  if (DESCRIPTORS === null) return found;
  for (const { name } of Deno.readDirSync(DESCRIPTORS)) {
    try {
      found.set(Number(name), Deno.readLinkSync(`${DESCRIPTORS}/${name}`));
    } catch (error) {
      // The descriptor of the listing itself is already closed.
      if (!(error instanceof Deno.errors.NotFound)) throw error;
    }
  }
  return found;
}

/** A need of a test: null if this system meets it, or the reason why not. */
export type Need = string | null;

/** Options of a test. */
export interface TestOptions {
  /** Skips the test if this system does not meet one of these needs, and prints the first reason. */
  needs?: readonly Need[];
}

/** Arguments of a test after its name. */
export type TestArguments<Body> = [body: Body] | [options: TestOptions, body: Body];

/**
 * Declares a test that fails if it leaves a descriptor open or closes a descriptor that it did not open.
 *
 * The check is part of the test function, because Deno does not always report a failure in `afterEach`.
 */
export function test(name: string, ...args: TestArguments<() => void | Promise<void>>): void {
  const [{ needs = [] }, body] = withOptions(args);
  const reason = needs.find((need) => need !== null);
  if (reason != null) skip(name, reason);
  else it(name, () => leavingDescriptors(body));
}

/** Returns a `test()` that puts common needs before the needs of each test. */
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

/** Calls a function, and fails if it leaves a descriptor open or closes a descriptor that it did not open. */
export async function leavingDescriptors(body: () => void | Promise<void>): Promise<void> {
  const before = openDescriptors();
  await body();
  // Deno closes the pipes of a child with a delay.
  for (let tries = 0; tries < 100 && !sameKeys(openDescriptors(), before); tries++) {
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  // Under an emulator, Deno has closed one of its own descriptors late, during a test. New and changed descriptors
  // still fail the test there.
  const after = openDescriptors();
  if (isEmulated) { for (const fd of before.keys()) if (!after.has(fd)) before.delete(fd); }
  assertEquals(after, before, "The test left other descriptors open than it found");
}

/** Declares a test that cannot run on this system, and prints the reason. */
export function skip(name: string, reason: string): void {
  it.skip(`${name} (skipped: ${reason})`, () => {}); // tests skip only in this way, so that every reason is printed
}

function sameKeys(one: Map<number, string>, other: Map<number, string>): boolean {
  return one.size === other.size && [...one].every(([fd, target]) => other.get(fd) === target);
}

/** Closes resources of a test at its end: `using cleanup = new Cleanup()`. */
export class Cleanup implements Disposable {
  readonly #stack = new DisposableStack();

  /** Opens two connected sockets. */
  pair(family: number = PAIR_FAMILY, type?: number): [Socket, Socket] {
    const [here, there] = family === PAIR_FAMILY ? socketpair(family, type) : tcpPair(family);
    return [this.add(here), this.add(there)];
  }

  /** Opens a pipe, or a socket pair on Windows. Ends that the test does not close are closed at its end. */
  pipe(): [reader: number, writer: number] {
    const [reader, writer] = isWindows ? socketpair().map((socket) => socket.detach()) as [number, number] : pipe();
    return [this.own(reader), this.own(writer)];
  }

  /** Closes a descriptor at the end, unless the test closes or disowns it first. */
  own(fd: number): number {
    this.#stack.defer(() => this.#open.delete(fd) && close(fd));
    this.#open.add(fd);
    return fd;
  }

  /** Leaves a descriptor to an object that closes it, such as a stream. */
  disown(fd: number): number {
    assert(this.#open.delete(fd), `Descriptor ${fd} is not owned`);
    return fd;
  }

  /** Closes a descriptor early. */
  close(fd: number): void {
    assert(this.#open.delete(fd), `Descriptor ${fd} is not one to close`);
    close(fd);
  }

  readonly #open = new Set<number>();

  /** Disposes of an object at the end, in reverse order of the calls. */
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

/** Events for reading and writing. */
export const BOTH = EVENT_READ | EVENT_WRITE;

/** Timeout in seconds within which an event arrives on any machine, and a failing test ends. */
export const SOON = 5;

/** Lets the event loop run until parked waits block in the system. */
export function nextTurns(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 5));
}

/** Returns the UTF-8 bytes of a string. */
export function bytes(text: string): Uint8Array<ArrayBuffer> {
  return new TextEncoder().encode(text);
}

/** Decodes UTF-8 bytes. */
export function text(data: Uint8Array): string {
  return new TextDecoder().decode(data);
}

/** Returns the ready descriptors of a selector with their events, in the order of the result. */
export function readyFds<D, F extends FileObject>(
  selector: BaseSelector<D, F>,
  timeout?: number | null,
): [number, number][] {
  return sorted(selector.select(timeout).map(([key, events]) => [key.fd, events]));
}

/** Sorts pairs of a descriptor and a mask by descriptor. */
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

/** A poller that forwards every call and counts the calls of wait(). */
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

/** Returns the ready descriptors with their sets after a wait that returned `count`. */
export function gathered(set: SelectSet, count: number): [fd: number, where: number][] {
  return Array.from({ length: set.gather(count) }, (_, index) => [set.fdAt(index), set.whereAt(index)]);
}

/** Receives exactly `size` bytes, because MSG_WAITALL under Wine does not wait for all of them. */
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

/** C functions that only tests need, for duplicates, special files and signals. */
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

/** True if `ppoll()` supports timeouts of less than a millisecond; macOS has only `poll()`. */
export const hasPpoll: boolean = !isDarwin && !isWindows;

/** Codes of a refused connection: from connect() itself, or later from SO_ERROR. */
export const REFUSED_CODES: readonly string[] = ["EINPROGRESS", "ECONNREFUSED"];

/** True if an emulator for another processor runs Deno. Kernels before 6.1 do not report their own processor. */
export const isEmulated: boolean = os === "linux" && kernelArch() !== arch;

function kernelArch(): string {
  try {
    return Deno.readTextFileSync("/proc/sys/kernel/arch").trim();
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return arch;
    throw error;
  }
}

/** Codes of a write to a closed peer. Windows has several codes for EPIPE. */
export const BROKEN_CODES: readonly string[] = isWindows ? ["ECONNRESET", "ECONNABORTED", "ESHUTDOWN"] : ["EPIPE"];

/** Value of SO_LINGER that makes close() reset the connection: a struct of two integers. */
export const RESET_ON_CLOSE: Uint8Array<ArrayBuffer> = new Uint8Array(
  (isWindows ? new Int16Array([1, 0]) : new Int32Array([1, 0])).buffer,
);

/** The getrlimit() resource for the number of descriptors: on Linux, and on macOS and the BSDs. */
const RLIMIT_NOFILE = isLinux ? 7 : 8;

/** OPEN_MAX on macOS: poll() fails with EINVAL above it, regardless of the process's limit. */
const OPEN_MAX = 10_240;

/**
 * Returns the number of descriptors that this process may open; on Windows without a limit, a number for a short test.
 */
export function descriptorLimit(): number {
  if (isWindows) return 1_256;
  const limits = new BigUint64Array(2);
  assertEquals(libc!.getrlimit(RLIMIT_NOFILE, limits), 0);
  return isDarwin ? Math.min(Number(limits[0]), OPEN_MAX) : Number(limits[0]);
}

/** Returns true if the kernel has epoll_pwait2(). */
export function hasEpollPwait2(): boolean {
  if (libc?.epoll_pwait2 == null) return false;
  const set = new EpollPoller();
  try {
    return libc.epoll_pwait2(set.fd, new Int32Array(4), 1, new Int32Array(4), null) === 0;
  } finally {
    set.close();
  }
}

/** Returns the URL of a JavaScript module with the given source. */
export function moduleOf(source: string): string {
  return `data:application/javascript,${encodeURIComponent(source)}`;
}

/**
 * Runs a module in another Deno, and returns the JSON value that the module prints.
 *
 * Tests that create Workers use it, because Deno keeps descriptors of a Worker open after its end.
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

/** The fcntl() request for the flags of a descriptor, and the close-on-exec flag. */
export const F_GETFD = 1;
export const FD_CLOEXEC = 1;

/** Returns true if a descriptor is open. */
export function isOpen(fd: number): boolean {
  return libc!.fcntl(fd, F_GETFD) !== -1;
}

/** Returns the lowest free descriptor that is at least `least`. */
export function freeNumber(least: number): number {
  while (isOpen(least)) least++;
  return least;
}

/** Numbers of duplicates that tests have made. */
const duplicates = new Set<number>();

/**
 * Duplicates a descriptor to a free number or to the number of an earlier duplicate. Closes the duplicate at the end,
 * unless the test has closed it.
 */
export function duplicate(cleanup: Cleanup, fd: number, number: number): number {
  // dup2() would close a descriptor of Deno, and Deno would panic.
  assert(duplicates.has(number) || !isOpen(number), `Cannot have a descriptor ${number}: it is in use`);
  duplicates.add(number);
  assertEquals(libc!.dup2(fd, number), number, `Cannot have a descriptor ${number}; is the limit of descriptors low?`);
  cleanup.defer(() => {
    duplicates.delete(number);
    if (isOpen(number)) close(number);
  });
  return number;
}

/** Opens a file without `node:fs`, because a stream may close the descriptor; see `streams.ts`. */
export function openFile(path: string, flags: number): number {
  const fd = libc!.open(bytes(`${path}\0`), flags);
  assert(fd >= 0, `Cannot open ${path}`);
  return fd;
}

/** Creates a FIFO, and returns its path and an open descriptor. */
export function fifo(cleanup: Cleanup, flags: number): [path: string, fd: number] {
  const directory = Deno.makeTempDirSync();
  cleanup.defer(() => Deno.removeSync(directory, { recursive: true }));
  const path = join(directory, "fifo");
  assertEquals(libc!.mkfifo(bytes(`${path}\0`), 0o600), 0);
  const fd = libc!.open(bytes(`${path}\0`), flags);
  cleanup.defer(() => close(fd));
  return [path, fd];
}

/** Starts a shell script; its `$0` is the first argument. */
export function shell(script: string, ...args: string[]): Deno.ChildProcess {
  return new Deno.Command("sh", { args: ["-c", script, ...args], stdin: "null", stdout: "null" }).spawn();
}
