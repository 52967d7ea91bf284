/**
 * KqueueSelector under the contract of all selectors, `Kqueue` and `Kevent` after CPython's test_kqueue.py, and what is
 * peculiar to them, over a stand-in that speaks as macOS, FreeBSD, NetBSD and libkqueue do.
 *
 * Of CPython's tests these differ here. An operation on a closed Kqueue throws BadResource, as everything closed does in
 * Deno. Order is a method, `compareTo`, and a comparison with something else is false in `equals` and a TypeError in
 * `compareTo`. test_fork has no counterpart: Deno does not fork.
 */

import {
  assert,
  assertEquals,
  assertFalse,
  assertGreaterOrEqual,
  assertLess,
  assertStringIncludes,
  assertThrows,
} from "@std/assert";
import { join } from "@std/path";
import { describe } from "@std/testing/bdd";
import {
  Kevent,
  KQ_EV_ADD,
  KQ_EV_CLEAR,
  KQ_EV_DELETE,
  KQ_EV_DISABLE,
  KQ_EV_DISPATCH,
  KQ_EV_ENABLE,
  KQ_EV_EOF,
  KQ_EV_ERROR,
  KQ_EV_FLAG1,
  KQ_EV_ONESHOT,
  KQ_EV_RECEIPT,
  KQ_EV_SYSFLAGS,
  KQ_FILTER_NETDEV,
  KQ_FILTER_READ,
  KQ_FILTER_TIMER,
  KQ_FILTER_USER,
  KQ_FILTER_WRITE,
  KQ_NOTE_EXIT,
  KQ_NOTE_FFCOPY,
  KQ_NOTE_FORK,
  KQ_NOTE_TRIGGER,
  Kqueue,
  OSError,
} from "../ffi/select/mod.ts";
import { KqueueInstance } from "../ffi/os/kqueue.ts";
import { KQUEUE_SYSTEMS } from "../ffi/os/kqueue_system.ts";
import * as constants from "../ffi/select/kqueue_constants.ts";
import { standIn } from "../ffi/os/library.ts";
import { arch, os, SYSTEMS as RECORDS } from "../ffi/os/systems.ts";
import { AF_INET, close } from "../ffi/socket/mod.ts";
import { EVENT_READ, EVENT_WRITE, KeyError, KqueueSelector, wake } from "../mod.ts";
import { selectorFor } from "../selectors/default.ts";
import { asyncContract } from "./contracts/async_contract.ts";
import { asynchronously, selectorContract } from "./contracts/selector_contract.ts";
import { type KqueueStandIn, kqueueStandIn, type StandInSystem } from "./standins/kqueue_standin.ts";
import { interrupted } from "./support/signals.ts";
import {
  BOTH,
  bytes,
  Cleanup,
  elapsedMs,
  F_GETFD,
  FD_CLOEXEC,
  fifo,
  isEmulated,
  libc,
  readyFds,
  skip,
  tcpPair,
  test as declare,
} from "./support/util.ts";

const [ENOENT, EINTR, EBADF, ENOMEM, EFAULT, EINVAL] = [2, 4, 9, 12, 14, 22];
const SYSTEMS: readonly StandInSystem[] = ["darwin", "freebsd", "netbsd", "linux"];

/** READ and WRITE as their headers have them: not from the code under test. */
const FILTERS: Record<StandInSystem, [read: number, write: number, timer: number, user: number]> = {
  darwin: [-1, -2, -7, -10],
  freebsd: [-1, -2, -7, -11],
  netbsd: [0, 1, 6, 8],
  linux: [-1, -2, -7, -11],
};

const slow = "the stand-in looks at every descriptor; once is enough for what does not depend on the layout";

if (os === "linux") declareAll();
else describe("kqueue", () => skip("KqueueSelector over a stand-in", "the stand-in is written over Linux's ppoll()"));

function declareAll(): void {
  // The bytes first: where these are wrong, so is all that follows.
  for (const system of SYSTEMS) describe(`kevent() as on ${system}: what it is given`, () => callTests(system));
  for (const system of SYSTEMS) {
    const contract = {
      name: `KqueueSelector as on ${system}`,
      create: <D>() => selectorOn<D>(system)[0],
      lacks: { manyDescriptors: system === "freebsd" && !isEmulated ? null : slow },
    };
    // First what ends in any case: a test of the contracts may wait forever if no event wakes it.
    describe(`KqueueSelector as on ${system}: what is peculiar`, () => peculiarities(system));
    selectorContract(contract);
    if (system === "freebsd" || system === "linux") {
      // Once for a queue whose descriptor poll(2) can wait for, and once for one whose descriptors it waits for instead. The
      // structs do not matter to an asynchronous wait.
      selectorContract({ ...contract, name: `${contract.name}, waiting asynchronously`, select: asynchronously });
      asyncContract(contract);
    }
    describe(`Kqueue as on ${system}`, () => rawTests(system));
  }
  describe("Kevent", keventTests);
  describe("kqueue layouts and constants", layoutTests);
}

function selectorOn<D = unknown>(system: StandInSystem): [KqueueSelector<D>, KqueueStandIn] {
  const kernel = kqueueStandIn(system);
  kernel.install();
  return [new KqueueSelector<D>(), kernel];
}

function test(name: string, body: (cleanup: Cleanup) => void | Promise<void>): void {
  declare(name, async () => {
    using cleanup = new Cleanup();
    await body(cleanup);
  });
}

/** What kevent() was called with: lists as the hexadecimal digits of each entry, and null for NULL. */
interface KeventCall {
  kq: number;
  changelist: string[] | null;
  nchanges: bigint;
  eventlist: "array" | "address" | null;
  nevents: bigint;
  timeout: string | null;
}

/** Fields of a `struct kevent`, in hexadecimal digits, which are in the order of the bytes, the lowest first. */
interface Fields {
  ident: string;
  filter: "READ" | "WRITE";
  flags: string;
  fflags: string;
  data: string;
  udata: string;
}

/** A `struct kevent` as the header of a system lays it out, in hexadecimal digits. */
function struct(system: StandInSystem, { ident, filter, flags, fflags, data, udata }: Fields): string {
  if (system === "netbsd") {
    const number = { READ: "00000000", WRITE: "01000000" }[filter];
    return ident + number + flags + "0000" + fflags + "00000000" + data + udata;
  }
  const number = { READ: "ffff", WRITE: "feff" }[filter];
  const ext = system === "freebsd" ? "00".repeat(32) : "";
  return ident + number + flags + fflags + data + udata + ext;
}

/** A change of a descriptor's filter, with a tag; both have four bytes. */
function change(system: StandInSystem, fd: string, filter: "READ" | "WRITE", flags: string, tag: string): string {
  const fields = { ident: `${fd}00000000`, filter, flags, fflags: "00000000", udata: `${tag}00000000` };
  return struct(system, { ...fields, data: "0000000000000000" });
}

// EV_ADD, EV_DELETE and EV_ENABLE, each with EV_RECEIPT.
const [ADD, DELETE, ENABLE] = ["4100", "4200", "4400"];

/** What an answer to a change has in its flags: EV_ERROR. */
const RECEIPT = "0040";

/** Functions that note what they are given, byte for byte, and answer what a test says: there is no queue behind them. */
function recorder(system: StandInSystem): { calls: KeventCall[]; answers: string[][]; others: unknown[][] } {
  const SIZES: Record<StandInSystem, number> = { darwin: 32, freebsd: 64, netbsd: 40, linux: 32 };
  const size = SIZES[system];
  const [calls, answers, others]: [KeventCall[], string[][], unknown[][]] = [[], [], []];

  const bytesOf = (array: ArrayBufferView<ArrayBuffer>) =>
    new Uint8Array(array.buffer, array.byteOffset, array.byteLength);

  function kevent(
    kq: number,
    changes: ArrayBufferView<ArrayBuffer> | null,
    nchanges: bigint,
    events: ArrayBufferView<ArrayBuffer> | bigint | null,
    nevents: bigint,
    timeout: ArrayBufferView<ArrayBuffer> | null,
  ): number {
    const entries = changes === null ? null : Array.from({ length: Number(nchanges) }, (_, index) => {
      assertGreaterOrEqual(changes.byteLength, (index + 1) * size, "There are fewer changes than are said to be");
      return bytesOf(changes).subarray(index * size, (index + 1) * size).toHex();
    });
    const eventlist = events === null ? null : typeof events === "bigint" ? "address" : "array";
    const time = timeout === null ? null : bytesOf(timeout).toHex();
    calls.push({ kq, changelist: entries, nchanges, eventlist, nevents, timeout: time });
    const answer = Uint8Array.fromHex((answers.shift() ?? []).join(""));
    assertGreaterOrEqual(Number(nevents) * size, answer.length, "There is no room for the answer");
    if (typeof events === "object" && events !== null) {
      assertGreaterOrEqual(events.byteLength, Number(nevents) * size, "There is less room than is said to be");
      bytesOf(events).set(answer);
    } else if (answer.length > 0) {
      const pointer = Deno.UnsafePointer.create(events!)!;
      new Uint8Array(Deno.UnsafePointerView.getArrayBuffer(pointer, answer.length)).set(answer);
    }
    return answer.length / size;
  }

  const record = (name: string, result: number) => (...args: unknown[]) => {
    others.push([name, ...args]);
    return result;
  };
  const functions = {
    kqueue: record("kqueue", 0x77),
    kevent,
    keventAt: kevent,
    ioctl: record("ioctl", 0),
    fstat: () => -1, // as of a closed descriptor, of which kevent() would tell
    close: record("close", 0),
  };
  standIn("kqueue", functions, system);
  return { calls, answers, others };
}

function callTests(system: StandInSystem): void {
  const NO_TIME = "00".repeat(16);
  const FIOCLEX = system === "linux" ? 0x5451n : 0x20006601n;

  /** One call with changes: as much room for receipts as there are changes, and no time. */
  function changing(...changelist: string[]): KeventCall {
    const count = BigInt(changelist.length);
    return { kq: 0x77, changelist, nchanges: count, eventlist: "array", nevents: count, timeout: NO_TIME };
  }

  /** One call that waits. */
  function waiting(nevents: bigint, timeout: string | null): KeventCall {
    return { kq: 0x77, changelist: null, nchanges: 0n, eventlist: "address", nevents, timeout };
  }

  test("change() gives each change with EV_RECEIPT, and room for as many receipts", () => {
    const cases: [readFlags: number, writeFlags: number, changes: (fd: string, tag: string) => string[]][] = [
      [1, 0, (fd, tag) => [change(system, fd, "READ", ADD, tag)]],
      [0, 1, (fd, tag) => [change(system, fd, "WRITE", ADD, tag)]],
      [1, 1, (fd, tag) => [change(system, fd, "READ", ADD, tag), change(system, fd, "WRITE", ADD, tag)]],
      [4, 1, (fd, tag) => [change(system, fd, "READ", ENABLE, tag), change(system, fd, "WRITE", ADD, tag)]],
      [1, 4, (fd, tag) => [change(system, fd, "READ", ADD, tag), change(system, fd, "WRITE", ENABLE, tag)]],
      [1, 2, (fd, tag) => [change(system, fd, "READ", ADD, tag), change(system, fd, "WRITE", DELETE, tag)]],
      // The removal of READ comes last.
      [2, 1, (fd, tag) => [change(system, fd, "WRITE", ADD, tag), change(system, fd, "READ", DELETE, tag)]],
      [2, 4, (fd, tag) => [change(system, fd, "WRITE", ENABLE, tag), change(system, fd, "READ", DELETE, tag)]],
      [2, 2, (fd, tag) => [change(system, fd, "WRITE", DELETE, tag), change(system, fd, "READ", DELETE, tag)]],
      [2, 0, (fd, tag) => [change(system, fd, "READ", DELETE, tag)]],
      [0, 2, (fd, tag) => [change(system, fd, "WRITE", DELETE, tag)]],
    ];
    const { calls } = recorder(system);
    const instance = new KqueueInstance();
    for (const [readFlags, writeFlags, changes] of cases) {
      assertEquals(instance.change(0x7123_4567, readFlags, writeFlags, -2), 0);
      assertEquals(instance.change(3, readFlags, writeFlags, 0x0102_0304), 0);
      assertEquals(calls.splice(0), [
        changing(...changes("67452371", "feffffff")),
        changing(...changes("03000000", "04030201")),
      ]);
    }
  });

  test("change() gives the first error that a receipt has", () => {
    const { calls, answers } = recorder(system);
    const instance = new KqueueInstance();
    const receipt = (filter: "READ" | "WRITE", flags: string, data: string) =>
      struct(system, { ident: "0300000000000000", filter, flags, fflags: "00000000", data, udata: "0100000000000000" });
    const none = "0000000000000000";
    const cases: [receipts: string[], outcome: number][] = [
      [[receipt("READ", RECEIPT, none), receipt("WRITE", RECEIPT, none)], 0],
      [[receipt("READ", RECEIPT, "0c00000000000000"), receipt("WRITE", RECEIPT, none)], -12],
      [[receipt("READ", RECEIPT, none), receipt("WRITE", RECEIPT, "0c00000000000000")], -12],
      [[receipt("READ", "4140", "0200000000000000"), receipt("WRITE", RECEIPT, "0c00000000000000")], -2],
      // From a system that knows no receipts: an event, whose data is no errno; and no answer at all.
      [[receipt("READ", "0180", "0c00000000000000")], 0],
      [[], 0],
    ];
    for (const [receipts, outcome] of cases) {
      answers.push(receipts);
      assertEquals(instance.change(3, 1, 1, 1), outcome);
    }
    assertEquals(calls.length, cases.length);
  });

  test("wait() gives no changes, the address of its room, and the time", () => {
    const { calls, answers } = recorder(system);
    const instance = new KqueueInstance();
    // The longest timeout: 2^31-1 milliseconds, or 100,000,000 seconds.
    const longestMs = system === "linux" ? 2_147_483_647 : 100_000_000_000;
    const longest = system === "linux" ? "9bc4200000000000c06f902600000000" : "00e1f505000000000000000000000000";
    const times: [timeoutMs: number, timeout: string | null][] = [
      [0, NO_TIME],
      [1e-6, "00000000000000000100000000000000"],
      [1500.25, "01000000000000009035d11d00000000"],
      [longestMs, longest],
      [longestMs + 1, longest],
      [1e300, longest],
      [Infinity, null],
    ];
    for (const [timeoutMs, timeout] of times) {
      assertEquals(instance.wait(timeoutMs), 0);
      assertEquals(calls.splice(0), [waiting(64n, timeout)]);
    }
    const event = (fd: string, filter: "READ" | "WRITE", flags: string, udata: string) =>
      struct(system, { ident: fd, filter, flags, fflags: "ffffffff", data: "ffffffffffffffff", udata });
    for (const [reserved, room] of [[64, 64], [65, 128], [1, 128], [300, 300]] as const) {
      instance.reserve(reserved);
      assertEquals(instance.room, room);
      answers.push([
        event("0300000000000000", "READ", "0180", "04030201ffffffff"),
        event("6745237100000000", "WRITE", "ffff", "feffffff00000000"),
      ]);
      assertEquals(instance.wait(Infinity), 2);
      assertEquals(calls.splice(0), [waiting(BigInt(room), null)]);
      const found = [0, 1].map((index) => [instance.fdAt(index), instance.isReadAt(index), instance.serialAt(index)]);
      assertEquals(found, [[3, true, 0x0102_0304], [0x7123_4567, false, -2]]);
      // As many entries as it told the kernel.
      assertEquals([instance.fdAt(room - 1), instance.fdAt(room)], [0, undefined as unknown as number]);
    }
  });

  test("a wait that is longer than kevent() can wait is continued", (cleanup) => {
    const { calls, answers } = recorder(system);
    const [selector, kqueue] = [cleanup.add(new KqueueSelector()), cleanup.add(new Kqueue())];
    const key = selector.register(3, EVENT_READ);
    const fields = {
      ident: "0300000000000000",
      fflags: "00000000",
      data: "0000000000000000",
      udata: "0100000000000000",
    };
    const event = struct(system, { ...fields, filter: "READ", flags: "0100" });
    const seconds = 300_000_000;
    calls.length = 0;
    answers.push([], [event]);
    assertEquals(selector.select(seconds), [[key, EVENT_READ]]);
    answers.push([], [event]);
    assertEquals(kqueue.control(null, 1, seconds).length, 1);
    assertEquals(kqueue.control([], 0, seconds), []); // does not wait
    assertEquals(calls.length, 5);
    assertEquals(new Set(calls.map(({ timeout }) => timeout)).size, 1);
  });

  test("KqueueSelector registers, modifies, waits and unregisters with no more than that", (cleanup) => {
    const { calls, answers, others } = recorder(system);
    const [here, there] = [0x21, 0x0143]; // numbers only: there is no kernel to ask what they are
    const selector = cleanup.add(new KqueueSelector());
    assertEquals(others.splice(0), [["kqueue"], ["ioctl", 0x77, FIOCLEX]]);
    const first = (filter: "READ" | "WRITE", flags: string) => change(system, "21000000", filter, flags, "01000000");
    const second = (filter: "READ" | "WRITE", flags: string) => change(system, "43010000", filter, flags, "02000000");
    const untagged = (filter: "READ" | "WRITE") => change(system, "43010000", filter, DELETE, "00000000");
    // libkqueue cannot be asked whether a filter is still there.
    const stays = (entry: string) => system === "linux" ? [] : [entry];

    selector.register(here, EVENT_READ);
    assertEquals(calls.splice(0), [changing(first("READ", ADD))]);
    selector.register(there, BOTH);
    assertEquals(calls.splice(0), [changing(second("READ", ADD), second("WRITE", ADD))]);
    selector.modify(here, BOTH);
    assertEquals(calls.splice(0), [changing(...stays(first("READ", ENABLE)), first("WRITE", ADD))]);
    selector.modify(here, EVENT_WRITE);
    assertEquals(calls.splice(0), [changing(...stays(first("WRITE", ENABLE)), first("READ", DELETE))]);
    selector.modify(here, EVENT_READ);
    assertEquals(calls.splice(0), [changing(first("READ", ADD), first("WRITE", DELETE))]);
    selector.modify(here, EVENT_READ, "data alone");
    assertEquals(calls.splice(0), []);
    answers.push([second("WRITE", "0100"), second("READ", "0180"), first("READ", "0100")]);
    assertEquals(readyFds(selector), [[here, EVENT_READ], [there, BOTH]]);
    assertEquals(calls.splice(0), [waiting(64n, null)]);
    assertEquals(selector.select(0), []);
    assertEquals(calls.splice(0), [waiting(64n, NO_TIME)]);
    selector.unregister(there);
    assertEquals(calls.splice(0), [changing(untagged("WRITE"), untagged("READ"))]);
    selector.close();
    assertEquals([calls, others], [[], [["close", 0x77]]]);
  });

  test("Kqueue gives every field of its changes, its counts and its time, and takes every field of events", (cleanup) => {
    const { calls, answers } = recorder(system);
    const kqueue = cleanup.add(new Kqueue());
    const [READ, WRITE] = FILTERS[system];
    const one = struct(system, {
      ident: "fdffffffffffffff",
      filter: "WRITE",
      flags: "2143",
      fflags: "efcdab89",
      data: "feffffffffffffff",
      udata: "0807060504030201",
    });
    const other = struct(system, {
      ident: "0500000000000000",
      filter: "READ",
      flags: "0100",
      fflags: "00000000",
      data: "0000000000000000",
      udata: "0000000000000000",
    });
    const events = [
      new Kevent(2n ** 64n - 3n, WRITE, 0x4321, 0x89ab_cdef, -2, 0x0102_0304_0506_0708n),
      new Kevent(5, READ),
    ];
    const call = (changelist: string[], nevents: bigint, timeout: string | null): KeventCall => (
      { kq: 0x77, changelist, nchanges: BigInt(changelist.length), eventlist: "array", nevents, timeout }
    );
    assertEquals(kqueue.control(events, 0), []);
    assertEquals(kqueue.control(events.slice(1), 3, 0), []);
    answers.push([one, other]);
    const found = kqueue.control(null, 2, 1.5);
    assertEquals(found.map((event) => ({ ...event })), events.map((event) => ({ ...event })));
    assertEquals(calls, [
      call([one, other], 0n, null),
      call([other], 3n, NO_TIME),
      call([], 2n, "01000000000000000065cd1d00000000"),
    ]);
  });
}

function peculiarities(system: StandInSystem): void {
  const [READ, WRITE] = FILTERS[system];

  function make(cleanup: Cleanup): [KqueueSelector, KqueueStandIn] {
    const [selector, kernel] = selectorOn(system);
    cleanup.add(selector);
    return [selector, kernel];
  }

  test("both filters of a descriptor go in by one call", (cleanup) => {
    const [selector, kernel] = make(cleanup);
    const [here] = cleanup.pair();
    selector.register(here, BOTH);
    assertEquals(kernel.calls, [2]);
    assertEquals(kernel.filtersOf(here.fileno()), [READ, WRITE].sort());
    selector.modify(here, EVENT_READ);
    assertEquals(kernel.filtersOf(here.fileno()), [READ]);
    selector.modify(here, EVENT_WRITE);
    assertEquals(kernel.filtersOf(here.fileno()), [WRITE]);
    selector.modify(here, BOTH);
    assertEquals(kernel.filtersOf(here.fileno()), [READ, WRITE].sort());
    assertEquals(readyFds(selector), [[here.fileno(), EVENT_WRITE]]);
    selector.unregister(here);
    assertEquals(kernel.filtersOf(here.fileno()), []);
    assertEquals(kernel.calls, system === "linux" ? [2, 1, 2, 1, 0, 2] : [2, 2, 2, 2, 0, 2]);
    selector.register(here, EVENT_WRITE);
    assertEquals(kernel.calls.at(-1), 1);
    assertEquals(kernel.filtersOf(here.fileno()), [WRITE]);
  });

  test("select() is one call", (cleanup) => {
    const [selector, kernel] = make(cleanup);
    for (let count = 0; count < 3; count++) for (const socket of cleanup.pair()) selector.register(socket, BOTH);
    kernel.calls.length = 0;
    assertEquals(selector.select().length, 6);
    assertEquals(selector.select(1).length, 6);
    assertEquals(selector.select(0).length, 6);
    assertEquals(kernel.calls, [0, 0, 0]);
  });

  test("register() undoes both filters if either is refused", (cleanup) => {
    for (const filter of [READ, WRITE]) {
      const [selector, kernel] = make(cleanup);
      const [here, there] = cleanup.pair();
      there.send(bytes("x"));
      kernel.refuse.set(filter, ENOMEM);
      const error = assertThrows(() => selector.register(here, BOTH), OSError, `kevent fd ${here.fileno()}`);
      assertEquals([error.code, error.errno, error.syscall], ["ENOMEM", ENOMEM, "kevent"]);
      assertEquals(kernel.filtersOf(here.fileno()), []);
      assertThrows(() => selector.getKey(here), KeyError);
      kernel.refuse.clear();
      assertEquals(selector.select(0), []);
      selector.register(here, BOTH);
      assertEquals(readyFds(selector), [[here.fileno(), BOTH]]);
    }
  });

  test("modify() that is refused leaves neither filter", (cleanup) => {
    const [selector, kernel] = make(cleanup);
    const [here] = cleanup.pair();
    selector.register(here, EVENT_READ);
    kernel.refuse.set(WRITE, ENOMEM);
    assertEquals(assertThrows(() => selector.modify(here, BOTH), OSError).code, "ENOMEM");
    assertEquals(kernel.filtersOf(here.fileno()), []);
    assertThrows(() => selector.getKey(here), KeyError);
  });

  test("modify() of a number that was closed, or stands for something else, fails as it does on epoll", (cleanup) => {
    for (const [before, after] of [[BOTH, EVENT_READ], [EVENT_READ, BOTH], [EVENT_WRITE, EVENT_READ]] as const) {
      // libkqueue cannot be asked whether a filter is still there: what is added to another file is added.
      if (system === "linux" && after === BOTH) continue;
      const [selector, kernel] = make(cleanup);
      const [reader, writer] = cleanup.pipe();
      const [here] = cleanup.pair();
      selector.register(reader, before);
      selector.register(writer, before);
      libc!.dup2(here.fileno(), reader);
      cleanup.close(writer);
      assertEquals(assertThrows(() => selector.modify(reader, after), OSError).code, "ENOENT");
      assertEquals(assertThrows(() => selector.modify(writer, after), OSError).code, "EBADF");
      assertEquals([kernel.filtersOf(reader), selector.getMap()!.size], [[], 0]);
    }
  });

  test("a kernel without EV_RECEIPT is asked in the same way", (cleanup) => {
    const [selector, kernel] = make(cleanup);
    kernel.knowsReceipts = false;
    const [here, there] = cleanup.pair();
    const [reader, writer] = cleanup.pipe();
    there.send(bytes("x"));
    selector.register(here, BOTH);
    selector.register(there, EVENT_WRITE); // whose receipts could be events of the first
    assertEquals(readyFds(selector), [[here.fileno(), BOTH], [there.fileno(), EVENT_WRITE]]);
    selector.modify(here, EVENT_READ);
    selector.unregister(there);
    assertEquals(readyFds(selector), [[here.fileno(), EVENT_READ]]);
    cleanup.close(writer);
    assertEquals(assertThrows(() => selector.register(writer, BOTH), OSError).code, "EBADF");
    kernel.refuse.set(WRITE, ENOMEM);
    assertEquals(assertThrows(() => selector.register(reader, BOTH), OSError).code, "ENOMEM");
    assertEquals(kernel.filtersOf(reader), []);
  });

  test("events of one descriptor are put together, in the order of first appearance", (cleanup) => {
    const [selector, kernel] = make(cleanup);
    const fds = Array.from({ length: 5 }, () => cleanup.pair()[0].fileno());
    for (const fd of fds) selector.register(fd, BOTH);
    const [a, b, c, d, e] = fds as [number, number, number, number, number];
    // The tags are given in the order of registration, from 1.
    const event = (fd: number, filter: number) => ({ fd, filter, udata: BigInt(fds.indexOf(fd) + 1) });
    const order = [event(c, WRITE), event(a, READ), event(b, WRITE), event(c, READ), event(e, READ), event(a, WRITE)];
    kernel.inject.push(...order, event(d, WRITE), event(e, READ));
    const ready = selector.select().map(([key, events]) => [key.fd, events]);
    assertEquals(ready, [[c, BOTH], [a, BOTH], [b, EVENT_WRITE], [e, EVENT_READ], [d, EVENT_WRITE]]);
    // What is remembered of the places does not disturb the next time.
    kernel.inject.push(event(a, WRITE), event(c, READ), event(a, READ));
    assertEquals(selector.select().map(([key, events]) => [key.fd, events]), [[a, BOTH], [c, EVENT_READ]]);
    kernel.inject.push(event(b, READ));
    assertEquals(selector.select().map(([key, events]) => [key.fd, events]), [[b, EVENT_READ]]);
    kernel.inject.push(event(b, READ), event(b, WRITE));
    assertEquals(selector.select().map(([key, events]) => [key.fd, events]), [[b, BOTH]]);
  });

  test("an event with a strange tag, descriptor or filter is none", (cleanup) => {
    const [selector, kernel] = make(cleanup);
    const [here, there] = cleanup.pair();
    const fd = here.fileno();
    selector.register(here, EVENT_READ); // tag 1
    const strange = [
      { fd, filter: READ, udata: 7n },
      { fd, filter: READ, udata: 0n },
      { fd, filter: WRITE, udata: 1n },
      { fd: there.fileno(), filter: READ, udata: 1n },
      { fd: 99_999, filter: READ, udata: 0n },
    ];
    kernel.inject.push(...strange);
    kernel.calls.length = 0;
    assertEquals(selector.select(0), []);
    assertEquals(kernel.calls, [0]); // and not until nothing strange is left, which may be never
    kernel.inject.push(...strange);
    // The wait goes on: it is not over because of them.
    assertGreaterOrEqual(elapsedMs(() => assertEquals(selector.select(0.05), [])), 50);
    kernel.inject.push(...strange, { fd, filter: READ, udata: 1n }, ...strange);
    assertEquals(readyFds(selector), [[fd, EVENT_READ]]);
    selector.unregister(here);
    selector.register(here, EVENT_READ); // tag 2
    kernel.inject.push({ fd, filter: READ, udata: 1n });
    assertEquals(selector.select(0), []);
    kernel.inject.push({ fd, filter: READ, udata: 2n });
    assertEquals(readyFds(selector, 0), [[fd, EVENT_READ]]);
  });

  test("an entry with an end or an error is ready as its filter says", (cleanup) => {
    const [selector, kernel] = make(cleanup);
    const [here] = cleanup.pair();
    selector.register(here, BOTH);
    for (const flags of [0x8000, 0x4000, 0xc000]) {
      kernel.inject.push({ fd: here.fileno(), filter: READ, flags, udata: 1n });
      assertEquals(readyFds(selector), [[here.fileno(), EVENT_READ]]);
      kernel.inject.push({ fd: here.fileno(), filter: WRITE, flags, udata: 1n });
      assertEquals(readyFds(selector), [[here.fileno(), EVENT_WRITE]]);
    }
  });

  test("room is made for both filters of every registration", (cleanup) => {
    const [selector] = make(cleanup);
    const sockets = Array.from({ length: 60 }, () => cleanup.pair()).flat();
    for (const socket of sockets) {
      socket.send(bytes("x"));
      selector.register(socket, BOTH);
    }
    assertEquals(readyFds(selector), sockets.map((socket) => [socket.fileno(), BOTH]).sort((a, b) => a[0]! - b[0]!));
  });

  test("register() and modify() are made again when interrupted, and select() too", (cleanup) => {
    const [selector, kernel] = make(cleanup);
    const [here] = cleanup.pair();
    kernel.fail.push(EINTR, 11 /* EAGAIN: left by a garbage collection */);
    selector.register(here, EVENT_READ);
    kernel.fail.push(EINTR);
    selector.modify(here, EVENT_WRITE);
    assertEquals(kernel.calls.length, 5);
    kernel.fail.push(EINTR, EINTR);
    assertEquals(readyFds(selector), [[here.fileno(), EVENT_WRITE]]);
    kernel.fail.push(EBADF);
    assertEquals(assertThrows(() => selector.select(), OSError, "kevent").code, "EBADF");
    kernel.fail.push(ENOMEM);
    assertEquals(assertThrows(() => selector.modify(here, EVENT_READ), OSError).code, "ENOMEM");
  });

  test("an event wakes each kind of asynchronous wait, and so does wake()", async (cleanup) => {
    const [selector] = make(cleanup);
    const [here, there] = cleanup.pair();
    const signal = AbortSignal.timeout(20_000); // an error in place of a wait that never ends
    const key = selector.register(here, EVENT_READ);
    const handle = selector.wakeHandle;

    let wait = selector.selectAsync(null, { signal });
    setTimeout(() => there.send(bytes("x")), 5);
    assertEquals(await wait, [[key, EVENT_READ]]);
    here.recv(1);
    setTimeout(() => there.send(bytes("x")), 5);
    for await (const entry of selector.events({ signal })) {
      assertEquals(entry, [key, EVENT_READ]);
      break;
    }
    here.recv(1);
    wait = selector.selectAsync(null, { signal });
    setTimeout(() => wake(handle), 5);
    assertEquals(await wait, []);
    wait = selector.selectAsync(null, { signal });
    setTimeout(() => selector.modify(here, EVENT_WRITE), 5);
    assertEquals(await wait, [[selector.getKey(here), EVENT_WRITE]]);
  });

  test("an asynchronous wait does not spin if a registered descriptor was closed, or its number reused", async (cleanup) => {
    const [selector, kernel] = make(cleanup);
    const [here, there] = cleanup.pair();
    there.send(bytes("x"));
    const [closed] = cleanup.pipe();
    const [reused] = cleanup.pipe();
    selector.register(closed, EVENT_READ);
    selector.register(reused, EVENT_READ);
    // The first wait opens descriptors of its own, and would take the free number.
    assertEquals(await selector.selectAsync(0.001), []);
    cleanup.close(closed);
    libc!.dup2(here.fileno(), reused); // which is readable
    kernel.calls.length = 0;
    assertEquals(await selector.selectAsync(0.05), []);
    assertLess(kernel.calls.length, 10);
    for (const fd of [closed, reused]) {
      assertThrows(() => selector.modify(fd, EVENT_WRITE), OSError);
    }
    assertEquals(selector.getMap()!.size, 0);
  });

  test("fileno() gives the kqueue, which is not inherited, until it is closed", (cleanup) => {
    const [selector] = make(cleanup);
    assertGreaterOrEqual(selector.fileno(), 0);
    assertEquals(libc!.fcntl(selector.fileno(), F_GETFD), FD_CLOEXEC);
    selector.close();
    assertThrows(() => selector.fileno(), Deno.errors.BadResource, "the selector is closed");
  });

  test("register() refuses regular files and directories", (cleanup) => {
    const [selector, kernel] = make(cleanup);
    for (
      const [path, kind] of [[import.meta.filename!, "regular file"], [import.meta.dirname!, "directory"]] as const
    ) {
      const fd = libc!.open(bytes(`${path}\0`), 0);
      cleanup.defer(() => close(fd));
      const error = assertThrows(() => selector.register(fd, EVENT_READ), OSError, kind);
      assertEquals([error.code, error.syscall], ["EPERM", "kevent"]);
      assertStringIncludes(error.message, "SelectSelector");
      assertEquals(kernel.filtersOf(fd), []);
      assertThrows(() => selector.getKey(fd), KeyError);
    }
  });

  const O_RDWR = 2;
  test(system === "darwin" ? "register() refuses FIFOs" : "register() takes FIFOs", (cleanup) => {
    const [selector, kernel] = make(cleanup);
    const [, fd] = fifo(cleanup, O_RDWR);
    if (system !== "darwin") {
      selector.register(fd, EVENT_WRITE);
      assertEquals(readyFds(selector), [[fd, EVENT_WRITE]]);
      return;
    }
    for (const events of [EVENT_READ, EVENT_WRITE, BOTH]) {
      const error = assertThrows(() => selector.register(fd, events), OSError, `kevent fd ${fd}: kqueue of macOS`);
      assertEquals(error.code, "EPERM");
      assertStringIncludes(error.message, "use SelectSelector");
      assertEquals(kernel.filtersOf(fd), []);
    }
  });

  test("register() takes pipes, which have the type of a FIFO", (cleanup) => {
    const [selector] = make(cleanup);
    const [reader, writer] = cleanup.pipe();
    selector.register(reader, EVENT_READ);
    selector.register(writer, EVENT_WRITE);
    assertEquals(readyFds(selector), [[writer, EVENT_WRITE]]);
    cleanup.close(writer);
    assertEquals(readyFds(selector), [[reader, EVENT_READ]]);
  });

  if (system === "darwin" || system === "linux") {
    test("register() says what to use for devices that kqueue refuses", (cleanup) => {
      const [selector, kernel] = make(cleanup);
      const fd = libc!.open(bytes("/dev/null\0"), O_RDWR);
      cleanup.defer(() => close(fd));
      const error = assertThrows(() => selector.register(fd, EVENT_READ), OSError, "/dev/tty");
      assertEquals(error.code, "EPERM");
      assertStringIncludes(error.message, "use SelectSelector");
      assertStringIncludes(error.message, system === "darwin" ? "EINVAL" : "EFAULT");
      assertEquals(kernel.filtersOf(fd), []);
    });
  }
}

function rawTests(system: StandInSystem): void {
  const [READ, WRITE, TIMER, USER] = FILTERS[system];

  function make(cleanup: Cleanup): [Kqueue, KqueueStandIn] {
    const kernel = kqueueStandIn(system);
    kernel.install();
    return [cleanup.add(new Kqueue()), kernel];
  }

  /** What matters of events: descriptor, filter and flags. */
  function brief(kevents: Kevent[]): unknown[] {
    return kevents.map(({ ident, filter, flags }) => [ident, filter, flags & ~KQ_EV_ADD & ~KQ_EV_CLEAR]);
  }

  test("create_queue: a queue has a descriptor until it is closed", (cleanup) => {
    const [kqueue] = make(cleanup);
    assertGreaterOrEqual(kqueue.fileno(), 0);
    assertFalse(kqueue.closed);
    kqueue.close();
    assert(kqueue.closed);
    assertThrows(() => kqueue.fileno(), Deno.errors.BadResource, "the kqueue is closed");
  });

  test("queue_event: changes and events of a connection, from two objects of one queue", (cleanup) => {
    const [first] = make(cleanup);
    const [client, server] = tcpPair();
    cleanup.add(client);
    cleanup.add(server);
    // The second object closes the descriptor, as Python's does.
    const second = Kqueue.fromfd(first.fileno());
    assertEquals(second.fileno(), first.fileno());
    for (const socket of [client, server]) {
      assertEquals(first.control([new Kevent(socket, WRITE, KQ_EV_ADD | KQ_EV_ENABLE)], 0), []);
      assertEquals(second.control([new Kevent(socket, READ, KQ_EV_ADD | KQ_EV_ENABLE)], 0), []);
    }
    const events = first.control(null, 4, 1);
    assertEquals(new Set(events.map(({ ident }) => ident)), new Set([client.fileno(), server.fileno()]));
    assertEquals(events.map(({ filter }) => filter), [WRITE, WRITE]);
    client.send(bytes("Hello!"));
    server.send(bytes("world!!!"));
    while (second.control(null, 4, 0.5).length < 4);
    const [four, expected] = [second.control([], 4, 1), [[client.fileno(), 8], [server.fileno(), 6]]];
    const readable = four.filter(({ filter }) => filter === READ).map(({ ident, data }) => [ident, data]);
    assertEquals(readable.sort((a, b) => Number(a[0]) - Number(b[0])), expected.sort((a, b) => a[0]! - b[0]!));
    assert(four.every(({ flags, data }) => (flags & KQ_EV_ERROR) === 0 && data > 0));
    for (const filter of [WRITE, READ]) first.control([new Kevent(client, filter, KQ_EV_DELETE)], 0);
    assert(first.control(null, 4, 0).every(({ ident }) => ident === server.fileno()));
  });

  test("pair: two additions and one event in a single call, with the number of bytes", (cleanup) => {
    const [kqueue] = make(cleanup);
    const [left, right] = cleanup.pair();
    const changes = [
      new Kevent(left, READ, KQ_EV_ADD | KQ_EV_ENABLE),
      new Kevent(right, READ, KQ_EV_ADD | KQ_EV_ENABLE),
    ];
    left.send(bytes("hello"));
    const events = kqueue.control(changes, 1, null);
    assertEquals(events.map(({ ident, filter, data, flags }) => [ident, filter, data, flags & KQ_EV_ERROR]), [
      [right.fileno(), READ, 5, 0],
    ]);
  });

  test("issue30058: changes are any iterable of events, and nothing else", (cleanup) => {
    const [kqueue] = make(cleanup);
    const [here] = cleanup.pair();
    const event = new Kevent(here, WRITE);
    const iterables = [[event], new Set([event]), [event].values(), {
      *[Symbol.iterator]() {
        yield event;
      },
      length: 9,
    }]; // deno-fmt-ignore
    for (const changes of iterables) {
      assertEquals(kqueue.control(changes, 0), []);
      assertEquals(brief(kqueue.control(null, 2, 0)), [[here.fileno(), WRITE, 0]]);
      kqueue.control([new Kevent(here, WRITE, KQ_EV_DELETE)], 0);
    }
    for (const strange of [event, 1, {}, undefined, [1], [undefined], [null], [event, {}]]) {
      assertThrows(() => kqueue.control(strange as unknown as Kevent[], 0), TypeError);
    }
    assertEquals(kqueue.control(null, 2, 0), []);
  });

  test("close: once is enough, and control() throws from then on", (cleanup) => {
    const [kqueue] = make(cleanup);
    kqueue.close();
    kqueue.close();
    assertThrows(() => kqueue.control(null, 1), Deno.errors.BadResource, "the kqueue is closed");
  });

  test("fd_non_inheritable: the descriptor is close-on-exec", (cleanup) => {
    const [kqueue] = make(cleanup);
    assertEquals(libc!.fcntl(kqueue.fileno(), F_GETFD), FD_CLOEXEC);
  });

  test("control() refuses numbers and timeouts that are none", (cleanup) => {
    const [kqueue] = make(cleanup);
    for (const count of [-1, 1.5, NaN, 2 ** 31]) {
      assertThrows(() => kqueue.control(null, count, 0), RangeError, "events");
    }
    for (const count of ["1", null, undefined, 1n, true, {}]) {
      assertThrows(() => kqueue.control(null, count as number, 0), TypeError, "events");
    }
    for (const timeout of ["1", true, 1n, {}]) {
      assertThrows(() => kqueue.control(null, 1, timeout as number), TypeError);
    }
    assertThrows(() => kqueue.control(null, 1, -1), RangeError, "Cannot wait for -1: use 0 or more");
    assertThrows(() => kqueue.control(null, 1, NaN), RangeError, "NaN");
  });

  test("control() waits as long as it is told, also when interrupted", async (cleanup) => {
    const [kqueue, kernel] = make(cleanup);
    const [here, there] = cleanup.pair();
    kqueue.control([new Kevent(here, READ)], 0);
    for (const timeout of [0.06, { milliseconds: 60 }]) {
      assertGreaterOrEqual(elapsedMs(() => assertEquals(kqueue.control(null, 1, timeout), [])), 60);
    }
    assertLess(elapsedMs(() => assertEquals(kqueue.control(null, 1, 0), [])), 30_000);
    // EV_ADD of an event that has a life of its own must not be made twice.
    kernel.calls.length = 0;
    kernel.fail.push(EINTR);
    there.send(bytes("x"));
    assertEquals(kqueue.control([new Kevent(here, READ)], 1, 1).length, 1);
    assertEquals(kernel.calls, [1, 0]);
    here.recv(1);
    const signals = await interrupted(() => {
      assertGreaterOrEqual(elapsedMs(() => assertEquals(kqueue.control(null, 1, 0.2), [])), 200);
    });
    assertGreaterOrEqual(signals, 5);
    for (const timeout of [undefined, null, Infinity, 1e300, 1e9]) {
      there.send(bytes("x"));
      assertEquals(kqueue.control(null, 1, timeout).length, 1);
    }
  });

  test("EV_ADD twice changes the event", (cleanup) => {
    const [kqueue] = make(cleanup);
    const [here] = cleanup.pair();
    kqueue.control([new Kevent(here, WRITE, KQ_EV_ADD, 0, 0, 5)], 0);
    kqueue.control([new Kevent(here, WRITE, KQ_EV_ADD, 0, 0, 2n ** 63n)], 0);
    assertEquals(kqueue.control(null, 4, 0).map(({ udata }) => udata), [2n ** 63n]);
  });

  test("errors of changes are entries if there is room, and exceptions if not", (cleanup) => {
    const [kqueue] = make(cleanup);
    const [here] = cleanup.pair();
    const [reader, writer] = cleanup.pipe();
    cleanup.close(reader);
    const wrong = [new Kevent(reader, READ), new Kevent(writer, WRITE, KQ_EV_DELETE), new Kevent(here, 77)];
    const events = kqueue.control(wrong, 4, 1);
    assertEquals(events.map(({ ident, data }) => [ident, data]), [
      [reader, system === "linux" ? EFAULT : EBADF],
      [writer, ENOENT],
      [here.fileno(), EINVAL],
    ]);
    assert(events.every(({ flags }) => (flags & KQ_EV_ERROR) !== 0));
    for (const [index, code] of [system === "linux" ? "EFAULT" : "EBADF", "ENOENT", "EINVAL"].entries()) {
      const error = assertThrows(() => kqueue.control([wrong[index]!], 0), OSError, "kevent");
      assertEquals(error.code, code);
    }
  });

  test("EV_RECEIPT answers a change by an entry, and takes no event", (cleanup) => {
    const [kqueue] = make(cleanup);
    const [here] = cleanup.pair();
    const flags = KQ_EV_ADD | KQ_EV_RECEIPT;
    const events = kqueue.control([new Kevent(here, WRITE, flags), new Kevent(here, READ, flags)], 8, null);
    assertEquals(events.map(({ ident, filter, data }) => [ident, filter, data]), [
      [here.fileno(), WRITE, 0],
      [here.fileno(), READ, 0],
    ]);
  });

  test("a closed descriptor leaves the queue by itself, and its number means what it stands for now", (cleanup) => {
    const [kqueue] = make(cleanup);
    const [reader, writer] = cleanup.pipe();
    const [here] = cleanup.pair();
    kqueue.control([new Kevent(writer, WRITE)], 0);
    libc!.dup2(here.fileno(), writer);
    assertEquals(kqueue.control(null, 4, 0), []);
    assertThrows(() => kqueue.control([new Kevent(writer, WRITE, KQ_EV_DELETE)], 0), OSError, "ENOENT");
    kqueue.control([new Kevent(writer, WRITE)], 0);
    assertEquals(brief(kqueue.control(null, 4, 0)), [[writer, WRITE, 0]]);
    assertGreaterOrEqual(reader, 0);
  });

  test("EV_EOF tells of the end", (cleanup) => {
    const [kqueue] = make(cleanup);
    const [reader, writer] = cleanup.pipe();
    kqueue.control([new Kevent(reader, READ), new Kevent(writer, WRITE)], 0);
    cleanup.close(writer);
    assertEquals(brief(kqueue.control(null, 4, 1)), [[reader, READ, KQ_EV_EOF]]);
  });

  test("EV_ONESHOT, EV_DISPATCH, EV_DISABLE, EV_ENABLE and EV_CLEAR do what they say", (cleanup) => {
    const [kqueue] = make(cleanup);
    const [here, there] = cleanup.pair();
    there.send(bytes("x"));
    const change = (flags: number) => kqueue.control([new Kevent(here, READ, flags)], 0);
    const look = () => kqueue.control(null, 4, 0).length;
    change(KQ_EV_ADD | KQ_EV_ONESHOT);
    assertEquals([look(), look()], [1, 0]);
    assertThrows(() => change(KQ_EV_ENABLE), OSError, "ENOENT");
    change(KQ_EV_ADD | KQ_EV_DISPATCH);
    assertEquals([look(), look()], [1, 0]);
    change(KQ_EV_ENABLE);
    assertEquals([look(), look()], [1, 0]);
    change(KQ_EV_ADD);
    assertEquals([look(), look()], [1, 1]);
    change(KQ_EV_DISABLE);
    assertEquals(look(), 0);
    change(KQ_EV_ENABLE);
    assertEquals(look(), 1);
    change(KQ_EV_DELETE);
    change(KQ_EV_ADD | KQ_EV_CLEAR);
    assertEquals([look(), look()], [1, 0]);
    there.send(bytes("y"));
    assertEquals([look(), look()], [1, 0]);
  });

  test("with too little room, each event has its turn", (cleanup) => {
    const [kqueue] = make(cleanup);
    const fds = Array.from({ length: 6 }, () => cleanup.pair()[0].fileno());
    kqueue.control(fds.map((fd) => new Kevent(fd, WRITE)), 0);
    const seen = [1, 2, 3].flatMap(() => kqueue.control(null, 2, 1).map(({ ident }) => ident));
    assertEquals(seen.length, 6);
    assertEquals(new Set(seen), new Set(fds));
  });

  test("KQ_FILTER_USER is triggered by the program", (cleanup) => {
    const [kqueue] = make(cleanup);
    kqueue.control([new Kevent(2n ** 64n - 1n, USER, KQ_EV_ADD | KQ_EV_CLEAR, 0, 0, 7)], 0);
    assertEquals(kqueue.control(null, 4, 0), []);
    kqueue.control([new Kevent(2n ** 64n - 1n, USER, 0, KQ_NOTE_TRIGGER | KQ_NOTE_FFCOPY | 0x123)], 0);
    const events = kqueue.control(null, 4, 1);
    assertEquals(events.map(({ ident, fflags, udata }) => [ident, fflags, udata]), [[2n ** 64n - 1n, 0x123, 7]]);
    assertEquals(kqueue.control(null, 4, 0), []);
  });

  test("KQ_FILTER_TIMER expires, and says how often", (cleanup) => {
    const [kqueue] = make(cleanup);
    const elapsed = elapsedMs(() => {
      assertEquals(brief(kqueue.control([new Kevent(1, TIMER, KQ_EV_ADD, 0, 30)], 4, 5)), [[1, TIMER, 0]]);
    });
    assertGreaterOrEqual(elapsed, 29);
    assertLess(elapsed, 30_000);
  });
}

function keventTests(): void {
  test("create_event: defaults", (cleanup) => {
    const [here] = cleanup.pair();
    for (const ident of [here, here.fileno()]) {
      const event = new Kevent(ident);
      assertEquals({ ...event }, {
        ident: here.fileno(),
        filter: KQ_FILTER_READ,
        flags: KQ_EV_ADD,
        fflags: 0,
        data: 0,
        udata: 0,
      });
    }
    const event = new Kevent(1, KQ_FILTER_WRITE, KQ_EV_DELETE, 2, -3, 4);
    assertEquals(Object.values(event), [1, KQ_FILTER_WRITE, KQ_EV_DELETE, 2, -3, 4]);
  });

  test("create_event: order and equality", () => {
    const event = new Kevent(5);
    const equal = new Kevent(5, KQ_FILTER_READ, KQ_EV_ADD, 0, 0n, 0n);
    assert(event.equals(equal) && event.equals(event));
    assertEquals(event.compareTo(equal), 0);
    const greater = [
      new Kevent(6, -5),
      new Kevent(2n ** 63n),
      new Kevent(5, KQ_FILTER_READ + 1),
      new Kevent(5, KQ_FILTER_READ, 2),
      new Kevent(5, KQ_FILTER_READ, 1, 1),
      new Kevent(5, KQ_FILTER_READ, 1, 0, 1),
      new Kevent(5, KQ_FILTER_READ, 1, 0, 0, 1),
    ];
    for (const other of greater) {
      assert(event.compareTo(other) < 0 && other.compareTo(event) > 0);
      assertFalse(event.equals(other));
    }
    for (const other of [null, undefined, 1, "ev", { ...event }]) {
      assertFalse(event.equals(other));
      assertThrows(() => event.compareTo(other as Kevent), TypeError);
    }
  });

  test("create_event: numbers as wide as their fields (issue 11973)", () => {
    const [INT64_MAX, UINT64_MAX] = [2n ** 63n - 1n, 2n ** 64n - 1n];
    const event = new Kevent(UINT64_MAX, -32768, 0xffff, 0xffff_ffff, INT64_MAX, UINT64_MAX);
    assertEquals(Object.values(event), [UINT64_MAX, -32768, 0xffff, 0xffff_ffff, INT64_MAX, UINT64_MAX]);
    assertEquals(new Kevent(1, 1, 1, 1, -INT64_MAX - 1n).data, -INT64_MAX - 1n);
    assertEquals(new Kevent(1, 1, 1, KQ_NOTE_EXIT | KQ_NOTE_FORK).fflags, 0xc000_0000);
    assertEquals(new Kevent(5n).ident, 5);
    assertEquals(new Kevent(2n ** 53n).ident, 2n ** 53n);
    const wrong: (() => Kevent)[] = [
      () => new Kevent(-1),
      () => new Kevent(1.5),
      () => new Kevent(2 ** 53),
      () => new Kevent(UINT64_MAX + 1n),
      () => new Kevent(1, KQ_FILTER_NETDEV),
      () => new Kevent(1, 32768),
      () => new Kevent(1, 1, 0x1_0000),
      () => new Kevent(1, 1, -1),
      () => new Kevent(1, 1, 1, 2 ** 32),
      () => new Kevent(1, 1, 1, 1, INT64_MAX + 1n),
      () => new Kevent(1, 1, 1, 1, 1, -1),
      () => new Kevent(1, 1, 1, 1, 1, UINT64_MAX + 1n),
      () => new Kevent(1, 1, 1, 1, 1, NaN),
    ];
    for (const make of wrong) assertThrows(make, RangeError, "of an event");
    for (const value of ["1", null, true, {}, Symbol("1")] as never[]) {
      const made: (() => Kevent)[] = [
        () => new Kevent(1, value),
        () => new Kevent(1, 1, value),
        () => new Kevent(1, 1, 1, value),
        () => new Kevent(1, 1, 1, 1, value),
        () => new Kevent(1, 1, 1, 1, 1, value),
      ];
      for (const make of made) assertThrows(make, TypeError, "of an event");
    }
    for (const ident of ["5", true, undefined]) {
      assertThrows(() => new Kevent(ident as never), TypeError, "of an event");
    }
    assertThrows(() => new Kevent(null as never), TypeError, "file object");
    assertThrows(() => new Kevent({} as number), TypeError, "file object");
  });
}

function layoutTests(): void {
  // Written down once more, from the C declarations.
  const layouts: Record<StandInSystem, number[]> = {
    darwin: [32, 0, 8, 10, 12, 16, 24],
    freebsd: [64, 0, 8, 10, 12, 16, 24],
    netbsd: [40, 0, 8, 12, 16, 24, 32],
    linux: [32, 0, 8, 10, 12, 16, 24],
  };

  test("struct kevent has the size and the offsets of each system", () => {
    assertEquals(Object.keys(KQUEUE_SYSTEMS).sort(), Object.keys(layouts).sort());
    for (const system of SYSTEMS) {
      const { size, ident, filter, flags, fflags, data, udata } = RECORDS[system].kqueue.kevent;
      assertEquals([size, ident, filter, flags, fflags, data, udata], layouts[system], system);
    }
  });

  test("filters have the numbers of each system", () => {
    const bsd = { READ: -1, WRITE: -2, AIO: -3, VNODE: -4, PROC: -5, SIGNAL: -6, TIMER: -7, NETDEV: NaN, USER: -11 };
    const netbsd = { READ: 0, WRITE: 1, AIO: 2, VNODE: 3, PROC: 4, SIGNAL: 5, TIMER: 6, NETDEV: NaN, USER: 8 };
    assertEquals(KQUEUE_SYSTEMS.darwin.filters, { ...bsd, USER: -10 });
    assertEquals(KQUEUE_SYSTEMS.freebsd.filters, bsd);
    assertEquals(KQUEUE_SYSTEMS.netbsd.filters, netbsd);
    assertEquals(KQUEUE_SYSTEMS.linux.filters, bsd);
    assertEquals(SYSTEMS.map((system) => RECORDS[system].kqueue.processMask), [
      0xfff0_0000,
      0xf000_0000,
      0xf000_0000,
      0xf000_0000,
    ]);
    assertEquals(SYSTEMS.map((system) => RECORDS[system].kqueue.confirm), [
      KQ_EV_ENABLE,
      KQ_EV_ENABLE,
      KQ_EV_ENABLE,
      0,
    ]);
    const FIOCLEX = 0x20000000 | "f".charCodeAt(0) << 8 | 1; // _IO('f', 1)
    assertEquals(SYSTEMS.map((system) => RECORDS[system].kqueue.closeOnExec), [FIOCLEX, FIOCLEX, FIOCLEX, 0x5451]);
    const stats = SYSTEMS.map((system) => RECORDS[system].kqueue.stat);
    assertEquals(stats.map(({ st_dev, st_ino, st_mode }) => [st_dev, st_ino, st_mode]), [
      [0, 8, 4],
      [0, 8, 24],
      [0, 16, 8],
      [0, 8, arch === "x86_64" ? 24 : 16],
    ]);
    assertEquals(SYSTEMS.map((system) => RECORDS[system].kqueue.isPollable), [true, true, true, false]);
  });

  test("KQ_EV_* and KQ_NOTE_* are Python's", () => {
    const numbers = Object.fromEntries(
      Object.entries(constants).filter(([name]) => /^KQ_(EV|NOTE)_/.test(name)),
    );
    assertEquals(numbers, {
      KQ_EV_ADD: 1,
      KQ_EV_DELETE: 2,
      KQ_EV_ENABLE: 4,
      KQ_EV_DISABLE: 8,
      KQ_EV_ONESHOT: 16,
      KQ_EV_CLEAR: 32,
      KQ_EV_RECEIPT: 64,
      KQ_EV_DISPATCH: 128,
      KQ_EV_SYSFLAGS: 61440,
      KQ_EV_FLAG1: 8192,
      KQ_EV_ERROR: 16384,
      KQ_EV_EOF: 32768,
      KQ_NOTE_LOWAT: 1,
      KQ_NOTE_DELETE: 1,
      KQ_NOTE_WRITE: 2,
      KQ_NOTE_EXTEND: 4,
      KQ_NOTE_ATTRIB: 8,
      KQ_NOTE_LINK: 16,
      KQ_NOTE_RENAME: 32,
      KQ_NOTE_REVOKE: 64,
      KQ_NOTE_EXIT: 2147483648,
      KQ_NOTE_FORK: 1073741824,
      KQ_NOTE_EXEC: 536870912,
      KQ_NOTE_PCTRLMASK: 4026531840,
      KQ_NOTE_PDATAMASK: 1048575,
      KQ_NOTE_TRACK: 1,
      KQ_NOTE_TRACKERR: 2,
      KQ_NOTE_CHILD: 4,
      KQ_NOTE_LINKUP: 1,
      KQ_NOTE_LINKDOWN: 2,
      KQ_NOTE_LINKINV: 4,
      KQ_NOTE_TRIGGER: 0x1000000,
      KQ_NOTE_FFNOP: 0,
      KQ_NOTE_FFAND: 0x40000000,
      KQ_NOTE_FFOR: 0x80000000,
      KQ_NOTE_FFCOPY: 0xc0000000,
      KQ_NOTE_FFCTRLMASK: 0xc0000000,
      KQ_NOTE_FFLAGSMASK: 0xffffff,
    });
    assertEquals([KQ_FILTER_READ, KQ_FILTER_WRITE, KQ_FILTER_TIMER, KQ_FILTER_USER], FILTERS.linux);
    assertEquals(KQ_EV_SYSFLAGS & KQ_EV_FLAG1, KQ_EV_FLAG1);
  });

  const HEADER = "/usr/include/kqueue/sys/event.h";
  const layoutOfHeader = askCompiler(HEADER);
  const title = "struct kevent and its numbers are those of libkqueue's header";
  if (layoutOfHeader === null) skip(title, `there is no ${HEADER} (package libkqueue-dev), or no C compiler \`cc\``);
  else {
    test(title, () => {
      const { READ, WRITE, VNODE, PROC, SIGNAL, TIMER, USER } = KQUEUE_SYSTEMS.linux.filters;
      assertEquals(layoutOfHeader, [...layouts.linux, READ, WRITE, VNODE, PROC, SIGNAL, TIMER, USER]);
    });
  }

  test("the instance leaves nothing open if close-on-exec cannot be set", () => {
    kqueueStandIn("darwin").install("linux"); // whose request for that is another
    assertEquals(assertThrows(() => new KqueueInstance(), OSError, "ioctl").code, "EINVAL");
  });

  test("the stand-in throws rather than sleep for ever, or be asked for ever", (cleanup) => {
    for (const timeout of [undefined, 60]) {
      const [selector, kernel] = selectorOn("darwin");
      cleanup.add(selector);
      kernel.patienceMs = 20;
      selector.register(cleanup.pair()[0], EVENT_READ);
      const elapsed = elapsedMs(() => assertThrows(() => selector.select(timeout), Error, "what does not come"));
      assertLess(elapsed, 30_000);
      assertEquals(selector.select(0), []);
      kernel.looks = 100;
      assertThrows(
        () => {
          for (;;) selector.select(0);
        },
        Error,
        "over and over",
      );
    }
  });

  test("KqueueSelector is the default where there is kqueue", () => {
    for (const system of ["darwin", "freebsd", "netbsd"] as const) {
      assertEquals(selectorFor(RECORDS[system]), KqueueSelector);
    }
    for (const system of ["linux", "android", "windows", "solaris"] as const) {
      assert(selectorFor(RECORDS[system]) !== KqueueSelector);
    }
  });

  test("a TCP connection comes out as both, and its end as readable", (cleanup) => {
    const [selector] = selectorOn("darwin");
    cleanup.add(selector);
    const [here, there] = cleanup.pair(AF_INET);
    selector.register(here, BOTH);
    there.close();
    while (readyFds(selector)[0]![1] !== BOTH);
    assertEquals(readyFds(selector), [[here.fileno(), BOTH]]);
  });
}

/** Layout and filters in the order of the test, or null if there is nobody to ask. */
function askCompiler(header: string): number[] | null {
  const directory = Deno.makeTempDirSync();
  try {
    Deno.statSync(header);
    const fields = ["ident", "filter", "flags", "fflags", "data", "udata"];
    const filters = ["READ", "WRITE", "VNODE", "PROC", "SIGNAL", "TIMER", "USER"];
    const values = ["sizeof(struct kevent)", ...fields.map((field) => `offsetof(struct kevent, ${field})`)]
      .concat(filters.map((filter) => `EVFILT_${filter}`));
    const lines = values.map((value) => `printf("%d\\n", (int)(${value}));`).join("\n");
    const [source, binary] = [join(directory, "kevent.c"), join(directory, "kevent")];
    Deno.writeTextFileSync(
      source,
      `#include <stddef.h>\n#include <stdio.h>\n#include "${header}"\nint main(void) { ${lines} return 0; }`,
    );
    const compiled = new Deno.Command("cc", { args: ["-o", binary, source] }).outputSync();
    assert(compiled.success, new TextDecoder().decode(compiled.stderr));
    const { stdout } = new Deno.Command(binary).outputSync();
    return new TextDecoder().decode(stdout).trim().split("\n").map(Number);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return null;
    throw error;
  } finally {
    Deno.removeSync(directory, { recursive: true });
  }
}
