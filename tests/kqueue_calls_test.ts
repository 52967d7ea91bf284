/**
 * The bytes that the package passes to `kevent()` on macOS, FreeBSD, NetBSD and libkqueue. No stand-in for a kernel
 * interprets them.
 *
 * @module
 */

import { assertEquals, assertGreaterOrEqual } from "@std/assert";
import { describe } from "@std/testing/bdd";
import { Kevent, Kqueue } from "../ffi/select/mod.ts";
import { KqueueInstance } from "../ffi/os/kqueue_instance.ts";
import { standIn } from "../ffi/os/library.ts";
import { os } from "../ffi/os/systems.ts";
import { EVENT_READ, EVENT_WRITE, KqueueSelector } from "../mod.ts";
import type { StandInSystem } from "./standins/kqueue_standin.ts";
import { FILTERS, NO_STAND_IN, SYSTEMS, test } from "./support/kqueue.ts";
import { BOTH, readyFds, skip } from "./support/util.ts";

/** The arguments of a kevent() call. Lists are hexadecimal digits for each entry, and null stands for NULL. */
interface KeventCall {
  kq: number;
  changelist: string[] | null;
  nchanges: bigint;
  eventlist: "array" | "address" | null;
  nevents: bigint;
  timeout: string | null;
}

/** The fields of a `struct kevent` in hexadecimal digits, with the lowest byte first. */
interface Fields {
  ident: string;
  filter: "READ" | "WRITE";
  flags: string;
  fflags: string;
  data: string;
  udata: string;
}

/** Returns a `struct kevent` with the layout of a system's header, in hexadecimal digits. */
function struct(system: StandInSystem, { ident, filter, flags, fflags, data, udata }: Fields): string {
  if (system === "netbsd") {
    const number = { READ: "00000000", WRITE: "01000000" }[filter];
    return ident + number + flags + "0000" + fflags + "00000000" + data + udata;
  }
  const number = { READ: "ffff", WRITE: "feff" }[filter];
  const ext = system === "freebsd" ? "00".repeat(32) : "";
  return ident + number + flags + fflags + data + udata + ext;
}

/** Returns a change to a descriptor's filter. The descriptor and the tag have four bytes each. */
function change(
  system: StandInSystem,
  fd: string,
  filter: "READ" | "WRITE",
  flags: string,
  tag: string,
): string {
  const fields = { ident: `${fd}00000000`, filter, flags, fflags: "00000000", udata: `${tag}00000000` };
  return struct(system, { ...fields, data: "0000000000000000" });
}

// EV_ADD, EV_DELETE and EV_ENABLE, each with EV_RECEIPT.
const [ADD, DELETE, ENABLE] = ["4100", "4200", "4400"];

/** The flag of a receipt: EV_ERROR. */
const RECEIPT = "0040";

/** Installs functions that record their arguments byte for byte and return a test's answers, without a real queue. */
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
    fstat: () => -1, // fails as for a closed descriptor
    close: record("close", 0),
  };
  standIn("kqueue", functions, system);
  return { calls, answers, others };
}

function callTests(system: StandInSystem): void {
  const NO_TIME = "00".repeat(16);
  const FIOCLEX = system === "linux" ? 0x5451n : 0x20006601n;

  /** Returns a call that makes changes, with room for one receipt per change, and that does not wait. */
  function changing(...changelist: string[]): KeventCall {
    const count = BigInt(changelist.length);
    return { kq: 0x77, changelist, nchanges: count, eventlist: "array", nevents: count, timeout: NO_TIME };
  }

  /** Returns a call that waits. */
  function waiting(nevents: bigint, timeout: string | null): KeventCall {
    return { kq: 0x77, changelist: null, nchanges: 0n, eventlist: "address", nevents, timeout };
  }

  test("change() passes each change with EV_RECEIPT, and with room for its receipt", () => {
    const cases: [readFlags: number, writeFlags: number, changes: (fd: string, tag: string) => string[]][] = [
      [1, 0, (fd, tag) => [change(system, fd, "READ", ADD, tag)]],
      [0, 1, (fd, tag) => [change(system, fd, "WRITE", ADD, tag)]],
      [1, 1, (fd, tag) => [change(system, fd, "READ", ADD, tag), change(system, fd, "WRITE", ADD, tag)]],
      [4, 1, (fd, tag) => [change(system, fd, "READ", ENABLE, tag), change(system, fd, "WRITE", ADD, tag)]],
      [1, 4, (fd, tag) => [change(system, fd, "READ", ADD, tag), change(system, fd, "WRITE", ENABLE, tag)]],
      [1, 2, (fd, tag) => [change(system, fd, "READ", ADD, tag), change(system, fd, "WRITE", DELETE, tag)]],
      // READ is removed last.
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

  test("change() returns the first error among the receipts", () => {
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
      // A system without EV_RECEIPT may return an event, whose data is not an errno, or nothing.
      [[receipt("READ", "0180", "0c00000000000000")], 0],
      [[], 0],
    ];
    for (const [receipts, outcome] of cases) {
      answers.push(receipts);
      assertEquals(instance.change(3, 1, 1, 1), outcome);
    }
    assertEquals(calls.length, cases.length);
  });

  test("wait() passes no changes, the address of its buffer, and the timeout", () => {
    const { calls, answers } = recorder(system);
    const instance = new KqueueInstance();
    // The longest timeouts: 2^31-1 milliseconds, and 100,000,000 seconds.
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
      // Reads only as many entries as it allowed the kernel to write.
      assertEquals([instance.fdAt(room - 1), instance.fdAt(room)], [0, undefined as unknown as number]);
    }
  });

  test("select() and control() continue a wait longer than kevent() allows", (cleanup) => {
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
    assertEquals(kqueue.control([], 0, seconds), []); // returns without waiting
    assertEquals(calls.length, 5);
    assertEquals(new Set(calls.map(({ timeout }) => timeout)).size, 1);
  });

  test("KqueueSelector makes exactly these calls", (cleanup) => {
    const { calls, answers, others } = recorder(system);
    const [here, there] = [0x21, 0x0143]; // not open; no kernel checks these numbers
    const selector = cleanup.add(new KqueueSelector());
    assertEquals(others.splice(0), [["kqueue"], ["ioctl", 0x77, FIOCLEX]]);
    const first = (filter: "READ" | "WRITE", flags: string) => change(system, "21000000", filter, flags, "01000000");
    const second = (filter: "READ" | "WRITE", flags: string) => change(system, "43010000", filter, flags, "02000000");
    const untagged = (filter: "READ" | "WRITE") => change(system, "43010000", filter, DELETE, "00000000");
    // With libkqueue, the package does not check that a filter still exists.
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

  test("control() passes and reads every field", (cleanup) => {
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

if (os === "linux") {
  for (const system of SYSTEMS) describe(`kevent() as on ${system}: calls`, () => callTests(system));
} else {
  skip("kevent() over a stand-in", NO_STAND_IN);
}
