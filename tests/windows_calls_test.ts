/**
 * The calls and the bytes that the package passes to Winsock, over a fake of its functions.
 *
 * @module
 */

import { assertEquals, assertLess } from "@std/assert";
import { describe } from "@std/testing/bdd";
import type * as winsock from "../ffi/os/winsock.ts";
import { WINSOCK } from "./support/needs.ts";
import { Cleanup, testNeeding } from "./support/util.ts";

const test = testNeeding(WINSOCK);

/** A fake Winsock that records calls and returns prepared results. */
interface FakeWinsock {
  /** Calls except WSAGetLastError(): the name and the arguments, with arrays as hexadecimal digits. */
  calls: unknown[][];
  /** Results by function; 0 if none is left. A negative result stands for -1 and an error for WSAGetLastError(). */
  results: Record<string, number[]>;
  /** Bytes that getsockname(), getpeername() and getsockopt() write, as hexadecimal digits, by name and socket. */
  writes: Record<string, string>;
  /** Another instance of `winsock.ts`, over the fake functions. */
  module: typeof winsock;
}

/** The state of the fake. All tests share it, because the package opens a library only once. */
const fake: Omit<FakeWinsock, "module"> = { calls: [], results: {}, writes: {} };

async function fakeWinsock(cleanup: Cleanup): Promise<FakeWinsock> {
  let error = 0;
  const call = (name: string, ...args: unknown[]): number => {
    if (name === "WSAGetLastError") return error;
    fake.calls.push([name, ...args.map((arg) => ArrayBuffer.isView(arg) ? bytesOf(arg).toHex() : arg)]);
    assertLess(fake.calls.length, 100, "Winsock is asked over and over");
    const written = fake.writes[`${name} ${args[0]}`];
    if (written !== undefined) bytesOf(args.find(ArrayBuffer.isView)!).set(Uint8Array.fromHex(written));
    const returned = fake.results[name]?.shift() ?? 0;
    error = returned < 0 ? -returned : 0;
    return returned < 0 ? -1 : returned;
  };
  const symbols = new Proxy({}, { get: (_, name: string) => (...args: unknown[]) => call(name, ...args) });
  const { dlopen } = Deno;
  cleanup.defer(() => Object.assign(Deno, { dlopen }));
  cleanup.defer(() => Object.assign(fake, { calls: [], results: {}, writes: {} }));
  Object.assign(Deno, { dlopen: () => ({ symbols }) });
  return { ...fake, module: await import("../ffi/os/winsock.ts?fake") };
}

function bytesOf(view: ArrayBufferView): Uint8Array {
  return new Uint8Array(view.buffer, view.byteOffset, view.byteLength);
}

// A fake, because a real socket with wrong numbers may hang in a call that cannot be interrupted.
describe("winsock: calls", () => {
  const NO_NAME = "00".repeat(16);
  /** Returns the address of a port on 127.0.0.1; the port is given in four hexadecimal digits. */
  const at = (port: string) => `0200${port}7f000001${"00".repeat(8)}`;
  const [LISTENER, CLIENT] = [0x64n, 0x68n];
  /** The calls that create a socket. */
  const made = ["WSASocketW", 2, 1, 0, null, 0, 0x81];

  test("socketpair() connects two sockets, and closes other connections", async () => {
    using cleanup = new Cleanup();
    const { calls, results, writes, module } = await fakeWinsock(cleanup);
    Object.assign(results, {
      WSASocketW: [0x64, 0x68],
      // Two closed connections, by either name; one from another port, one to another port, and one without a name.
      accept: [-10054, -10053, 0x6c, 0x70, 0x74, 0x78],
    });
    Object.assign(writes, {
      "getsockname 100": at("1388"),
      "getsockname 104": at("1770"),
      "getpeername 104": at("1388"),
      "getpeername 108": at("1771"),
      "getsockname 108": at("1388"),
      "getpeername 112": at("1770"),
      "getsockname 112": at("1389"),
      "getpeername 120": at("1770"),
      "getsockname 120": at("1388"),
    });
    const pair = new Int32Array(2);
    assertEquals(module.socketpair(2, 1, 0, pair), 0);
    assertEquals([...pair], [0x68, 0x78]);
    const accepting = ["accept", LISTENER, NO_NAME, "10000000"];
    const accepted = (socket: bigint) => [
      accepting,
      ["SetHandleInformation", socket, 1, 0],
      ["ioctlsocket", socket, 0x8004_667e, "00000000"],
      ["getsockname", CLIENT, NO_NAME, "10000000"],
      ["getpeername", socket, NO_NAME, "10000000"],
    ];
    const compared = (socket: bigint) => [
      ["getpeername", CLIENT, NO_NAME, "10000000"],
      ["getsockname", socket, NO_NAME, "10000000"],
    ];
    assertEquals(calls, [
      made,
      ["setsockopt", LISTENER, 0xffff, -5, "01000000", 4], // SOL_SOCKET, SO_EXCLUSIVEADDRUSE
      ["bind", LISTENER, at("0000"), 16],
      ["listen", LISTENER, 16],
      made,
      ["getsockname", LISTENER, NO_NAME, "10000000"],
      ["connect", CLIENT, at("1388"), 16],
      ["setsockopt", CLIENT, 6, 1, "01000000", 4], // IPPROTO_TCP, TCP_NODELAY
      accepting,
      accepting,
      ...accepted(0x6cn),
      ["closesocket", 0x6cn],
      ...accepted(0x70n),
      ...compared(0x70n),
      ["closesocket", 0x70n],
      ...accepted(0x74n),
      ["closesocket", 0x74n],
      ...accepted(0x78n),
      ...compared(0x78n),
      ["setsockopt", 0x78n, 6, 1, "01000000", 4],
      ["closesocket", LISTENER],
    ]);
  });

  test("socketpair() returns the first failure, and closes its sockets", async () => {
    const cases: [call: string, earlier: number[], closed: bigint[]][] = [
      ["WSASocketW", [], []],
      ["WSASocketW", [0x64], [LISTENER]],
      ["setsockopt", [], [LISTENER]],
      ["bind", [], [LISTENER]],
      ["listen", [], [LISTENER]],
      ["getsockname", [], [CLIENT, LISTENER]],
      ["connect", [], [CLIENT, LISTENER]],
      ["setsockopt", [0], [CLIENT, LISTENER]],
      ["accept", [], [CLIENT, LISTENER]],
      ["ioctlsocket", [], [0x6cn, CLIENT, LISTENER]],
    ];
    for (const [call, earlier, closed] of cases) {
      using cleanup = new Cleanup();
      const { calls, results, module } = await fakeWinsock(cleanup);
      Object.assign(results, { WSASocketW: [0x64, 0x68], accept: [0x6c], [call]: [...earlier, -10055] });
      assertEquals(module.socketpair(2, 1, 0, new Int32Array(2)), -10055, call);
      assertEquals(calls.filter(([name]) => name === "closesocket").map(([, socket]) => socket), closed, call);
    }
  });

  test("winsock.ts passes arguments to Winsock, and returns -EBADF for a number that is not a socket", async () => {
    using cleanup = new Cleanup();
    const { calls, results, module } = await fakeWinsock(cleanup);
    const [name, two, option] = [new Uint8Array(16).fill(7), new Uint8Array([1, 2]), new Uint8Array([3, 0, 0, 0])];
    const length = () => new Uint32Array([16]);
    const NAME = "07".repeat(16);
    const cases: [(fd: number) => number, call: (socket: bigint) => unknown[]][] = [
      [(fd) => module.bind(fd, name), (socket) => ["bind", socket, NAME, 16]],
      [(fd) => module.listen(fd, 5), (socket) => ["listen", socket, 5]],
      [(fd) => module.accept(fd, name, length()), (socket) => ["accept", socket, NAME, "10000000"]],
      [(fd) => module.connect(fd, name), (socket) => ["connect", socket, NAME, 16]],
      [(fd) => module.recv(fd, two, 8), (socket) => ["recv", socket, "0102", 2, 8]],
      [(fd) => module.recvfrom(fd, two, 8, name, length()), (socket) => [
        "recvfrom",
        socket,
        "0102",
        2,
        8,
        NAME,
        "10000000",
      ]],
      [(fd) => module.send(fd, two, 1), (socket) => ["send", socket, "0102", 2, 1]],
      [(fd) => module.sendto(fd, two, 1, name), (socket) => ["sendto", socket, "0102", 2, 1, NAME, 16]],
      [(fd) => module.read(fd, two), (socket) => ["recv", socket, "0102", 2, 0]],
      [(fd) => module.write(fd, two), (socket) => ["send", socket, "0102", 2, 0]],
      [(fd) => module.shutdown(fd, 1), (socket) => ["shutdown", socket, 1]],
      [(fd) => module.getsockname(fd, name, length()), (socket) => ["getsockname", socket, NAME, "10000000"]],
      [(fd) => module.getpeername(fd, name, length()), (socket) => ["getpeername", socket, NAME, "10000000"]],
      [(fd) => module.setsockopt(fd, 6, 1, option), (socket) => ["setsockopt", socket, 6, 1, "03000000", 4]],
      [(fd) => module.getsockopt(fd, 6, 1, option, length()), (socket) => [
        "getsockopt",
        socket,
        6,
        1,
        "03000000",
        "10000000",
      ]],
      [(fd) => module.kindOf(fd, new Int32Array(3)), (socket) => [
        "getsockopt",
        socket,
        0xffff,
        0x2005,
        "00".repeat(628),
        "74020000",
      ]],
      [(fd) => module.setBlocking(fd, true), (socket) => ["ioctlsocket", socket, 0x8004_667e, "00000000"]],
      [(fd) => module.setBlocking(fd, false), (socket) => ["ioctlsocket", socket, 0x8004_667e, "01000000"]],
      [(fd) => module.getBlocking(fd), (socket) => ["getsockopt", socket, 0xffff, 0x1008, "00000000", "04000000"]],
      [(fd) => module.close(fd), (socket) => ["closesocket", socket]],
    ];
    const numbers: [fd: number, socket: bigint][] = [[0x64, 0x64n], [0x7123_4564, 0x7123_4564n], [-1, 2n ** 64n - 1n]];
    for (const [fd, socket] of numbers) {
      for (const [call, asked] of cases) {
        results[asked(socket)[0] as string] = [-10038];
        assertEquals(call(fd), -10009);
        assertEquals(calls.splice(0), [asked(socket)]);
      }
    }
  });

  test("winsock.ts passes the true length of an array that claims another length", async () => {
    using cleanup = new Cleanup();
    const { calls, results, module } = await fakeWinsock(cleanup);
    // This array claims a shorter length, because the fake reads as many bytes as an array claims to have.
    const three = Object.defineProperty(new Uint8Array(3), "byteLength", { value: 1 });
    const [name, length] = [new Uint8Array(2), new Uint32Array([2])];
    results.recv = [-10040]; // WSAEMSGSIZE
    assertEquals(module.recv(0x64, three, 0), 3);
    module.recvfrom(0x64, three, 0, name, length);
    module.read(0x64, three);
    module.send(0x64, three, 0);
    module.sendto(0x64, three, 0, name);
    module.write(0x64, three);
    module.setsockopt(0x64, 1, 2, three);
    assertEquals(calls, [
      ["recv", LISTENER, "00", 3, 0],
      ["recvfrom", LISTENER, "00", 3, 0, "0000", "02000000"],
      ["recv", LISTENER, "00", 3, 0],
      ["send", LISTENER, "00", 3, 0],
      ["sendto", LISTENER, "00", 3, 0, "0000", 2],
      ["send", LISTENER, "00", 3, 0],
      ["setsockopt", LISTENER, 1, 2, "00", 3],
    ]);
  });

  test("winsock.ts translates Winsock's errors and constants to Unix", async () => {
    using cleanup = new Cleanup();
    const { results, writes, module } = await fakeWinsock(cleanup);
    const [name, three] = [new Uint8Array(16), new Uint8Array(3)];
    const length = new Uint32Array([16]);
    Object.assign(results, {
      connect: [-10035, -10061, 0],
      recv: [-10040, -10054, 2],
      recvfrom: [-10040, -10054, 2],
      accept: [-10054, -10053, -10035],
    });
    const outcomes = (call: () => number) => [call(), call(), call()];
    assertEquals(outcomes(() => module.connect(0x64, name)), [-10036, -10061, 0]); // WSAEINPROGRESS
    assertEquals(outcomes(() => module.recv(0x64, three, 0)), [3, -10054, 2]);
    assertEquals(outcomes(() => module.recvfrom(0x64, three, 0, name, length)), [3, -10054, 2]);
    assertEquals(outcomes(() => module.accept(0x64, name, length)), [-10053, -10053, -10035]); // WSAECONNABORTED
    const [family, type, protocol] = ["17000000", "02000000", "11000000"];
    writes["getsockopt 100"] = "ff".repeat(76) + family + "ff".repeat(8) + type + protocol + "ff".repeat(532);
    const kind = new Int32Array(3);
    assertEquals(module.kindOf(0x64, kind), 0);
    assertEquals([...kind], [23, 2, 17]);
  });
});
