/**
 * What is peculiar to Winsock: descriptors that are sockets, pairs made by connecting, sets that are arrays.
 *
 * @module
 */

import {
  assert,
  assertEquals,
  assertGreaterOrEqual,
  assertLess,
  assertMatch,
  assertStringIncludes,
  assertThrows,
} from "@std/assert";
import { describe } from "@std/testing/bdd";
import { EBADF, EOPNOTSUPP, errnoCode } from "../ffi/os/errno.ts";
import { IN_EXCEPT, IN_READ, IN_WRITE } from "../ffi/os/select_set.ts";
import { CountedSelectSet } from "../ffi/os/select_windows.ts";
import { select } from "../ffi/select/select.ts";
import {
  AF_INET,
  AF_INET6,
  AF_UNIX,
  AI_CANONNAME,
  AI_NUMERICHOST,
  close,
  createServer,
  getaddrinfo,
  OSError,
  pipe,
  read,
  SO_ERROR,
  SO_EXCLUSIVEADDRUSE,
  SO_LINGER,
  SO_REUSEADDR,
  SOCK_DGRAM,
  SOCK_STREAM,
  Socket,
  socketpair,
  SOL_SOCKET,
  write,
} from "../ffi/socket/mod.ts";
import * as winsock from "../ffi/os/winsock.ts";
import { Timeval } from "../ffi/os/timeout.ts";
import { EpollSelector, EVENT_READ, EVENT_WRITE, PollSelector, SelectSelector } from "../mod.ts";
import {
  bytes,
  Cleanup,
  elapsedMs,
  gathered,
  isWindows,
  readyFds,
  RESET_ON_CLOSE,
  skip,
  test as declare,
  text,
} from "./support/util.ts";

const test = isWindows ? declare : (name: string) => skip(name, "only Windows has Winsock");

/** Whether child processes inherit a socket. */
function isInherited(fd: number): boolean {
  const kernel32 = Deno.dlopen("kernel32.dll", {
    GetHandleInformation: { parameters: ["usize", "buffer"], result: "i32" },
  });
  const flags = new Uint32Array(1);
  assertEquals(kernel32.symbols.GetHandleInformation(BigInt(fd), flags), 1);
  kernel32.close();
  return (flags[0]! & 1) !== 0;
}

/** Winsock as a test wants it: what it was asked, and what it answers next, by the names of its functions. */
interface FakeWinsock {
  /** The calls but for WSAGetLastError(): name and arguments, arrays as the hexadecimal digits of their bytes. */
  calls: unknown[][];
  /** Results; of a call that has none left, 0. A negative one is -1 and the error that WSAGetLastError() gives then. */
  results: Record<string, number[]>;
  /** What getsockname(), getpeername() and getsockopt() write, by their names and the socket, in hexadecimal digits. */
  writes: Record<string, string>;
  /** `winsock.ts`, once more and by itself, over these functions. */
  module: typeof winsock;
}

/** What a fake of Winsock says: one for all tests, since a library is opened once. */
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

// First, since where the numbers are wrong a real socket may wait for ever, in a call that nobody can end.
describe("winsock: what Windows is asked", () => {
  const NO_NAME = "00".repeat(16);
  /** The address of a port of 127.0.0.1, whose number has four hexadecimal digits. */
  const at = (port: string) => `0200${port}7f000001${"00".repeat(8)}`;
  const [LISTENER, CLIENT] = [0x64n, 0x68n];
  /** The calls by which a socket is made. */
  const made = ["WSASocketW", 2, 1, 0, null, 0, 0x81];

  test("socketpair() connects two sockets, and sends everyone else away", async () => {
    using cleanup = new Cleanup();
    const { calls, results, writes, module } = await fakeWinsock(cleanup);
    Object.assign(results, {
      WSASocketW: [0x64, 0x68],
      // Two that have gone, by either name; one from another port, one to another, and one that has no name any more.
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

  test("socketpair() gives the first failure, and closes what it has made", async () => {
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

  test("each function gives Winsock what it is given, and says EBADF of what is no socket", async () => {
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

  test("Winsock is told the true length of an array that claims to have another", async () => {
    using cleanup = new Cleanup();
    const { calls, results, module } = await fakeWinsock(cleanup);
    // It claims to be shorter, since the fake reads as many bytes as it claims to have.
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

  test("what Winsock calls otherwise has the names that it has elsewhere", async () => {
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

describe("winsock", () => {
  test("every way to make a socket makes one that child processes do not inherit", () => {
    using cleanup = new Cleanup();
    const server = cleanup.add(createServer({ hostname: "127.0.0.1", port: 0 }));
    const client = cleanup.add(new Socket());
    client.connect(server.getsockname());
    const connection = cleanup.add(server.accept()[0]);
    const sockets = [server, client, connection, ...cleanup.pair()];
    assertEquals(sockets.filter((socket) => isInherited(socket.fileno())), []);
  });

  test("a number that is no socket, or no more, is EBADF, whoever asks", () => {
    using cleanup = new Cleanup();
    const [here] = cleanup.pair();
    const fd = here.fileno();
    here.close();
    for (const number of [fd, -1, 2, 0x7fff_fffc]) {
      const one = new Uint8Array(1);
      const length = new Uint32Array([1]);
      const outcomes = [
        winsock.bind(number, new Uint8Array([2, 0, 0, 0, 127, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0])),
        winsock.listen(number, 1),
        winsock.accept(number, new Uint8Array(16), new Uint32Array([16])),
        winsock.connect(number, new Uint8Array([2, 0, 0, 9, 127, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0])),
        winsock.recv(number, one, 0),
        winsock.recvfrom(number, one, 0, new Uint8Array(16), new Uint32Array([16])),
        winsock.send(number, one, 0),
        winsock.sendto(number, one, 0, new Uint8Array(16)),
        winsock.read(number, one),
        winsock.write(number, one),
        winsock.shutdown(number, 0),
        winsock.getsockname(number, new Uint8Array(16), new Uint32Array([16])),
        winsock.getpeername(number, new Uint8Array(16), new Uint32Array([16])),
        winsock.setsockopt(number, SOL_SOCKET, SO_REUSEADDR, new Uint8Array(4)),
        winsock.getsockopt(number, SOL_SOCKET, SO_ERROR, one, length),
        winsock.kindOf(number, new Int32Array(3)),
        winsock.setBlocking(number, false),
        winsock.getBlocking(number),
        winsock.close(number),
      ];
      assertEquals(outcomes, outcomes.map(() => -EBADF), `Number ${number}`);
    }
  });

  test("handles whose cache slots are the same are told apart", () => {
    using cleanup = new Cleanup();
    const [here, there] = cleanup.pair();
    for (let round = 0; round < 3; round++) {
      assertEquals(winsock.send(here.fileno() + 4 * 4096, bytes("x"), 0), -EBADF);
      assertEquals(here.send(bytes("y")), 1);
      assertEquals(text(there.recv(10)), "y");
    }
  });

  test("setBlocking() is remembered, until the number is another socket's", () => {
    using cleanup = new Cleanup();
    const first = new Socket();
    const fd = first.fileno();
    assert(first.getBlocking());
    first.setBlocking(false);
    assertEquals(first.getBlocking(), false);
    first.setBlocking(true);
    assert(first.getBlocking());
    first.setBlocking(false);
    first.close();
    for (let made = 0; made < 100; made++) {
      const socket = cleanup.add(new Socket());
      assert(socket.getBlocking());
      if (socket.fileno() === fd) break;
    }
  });

  test("getBlocking() says nothing of a socket that had the number before, whoever closed or made either", () => {
    using cleanup = new Cleanup();
    const { symbols } = Deno.dlopen("ws2_32.dll", {
      WSASocketW: { parameters: ["i32", "i32", "i32", "pointer", "u32", "u32"], result: "usize" },
      closesocket: { parameters: ["usize"], result: "i32" },
    });
    const makeOwn = () => new Socket().detach();
    const makeRaw = () => Number(symbols.WSASocketW(AF_INET, SOCK_STREAM, 0, null, 0, 0x81));
    const cases = [
      [(fd: number) => close(fd), makeRaw],
      [(fd: number) => symbols.closesocket(BigInt(fd)), makeOwn],
    ] as const;
    for (const [closeIt, makeNext] of cases) {
      const fd = new Socket().detach();
      winsock.setBlocking(fd, false);
      closeIt(fd);
      let next: number;
      do {
        next = makeNext();
        cleanup.add(Socket.fromFd(next));
        assertEquals(winsock.getBlocking(next), 1);
      } while (next !== fd);
    }
  });

  test("a connection that is accepted from a listener that does not block blocks", () => {
    using cleanup = new Cleanup();
    const server = cleanup.add(createServer({ hostname: "127.0.0.1", port: 0 }));
    server.setBlocking(false);
    const client = cleanup.add(new Socket());
    client.connect(server.getsockname());
    const connection = cleanup.add(server.accept()[0]);
    assert(connection.getBlocking());
    // Nothing comes for a while: a socket that does not block says so at once.
    connection.setsockopt(SOL_SOCKET, 0x1006, 50); // SO_RCVTIMEO, in milliseconds
    assertGreaterOrEqual(elapsedMs(() => assertThrows(() => connection.recv(1), OSError)), 30);
  });

  test("fromFd() knows a socket that is bound to nothing, of either family and type", () => {
    for (const family of [AF_INET, AF_INET6]) {
      for (const type of [SOCK_STREAM, SOCK_DGRAM]) {
        using socket = Socket.fromFd(new Socket(family, type).detach());
        assertEquals([socket.family, socket.type, socket.protocol], [family, type, type === SOCK_STREAM ? 6 : 17]);
      }
    }
  });

  test("a datagram that is longer than the buffer is cut off, as elsewhere", () => {
    using cleanup = new Cleanup();
    const [receiver, sender] = [0, 1].map(() => cleanup.add(new Socket(AF_INET, SOCK_DGRAM))) as [Socket, Socket];
    receiver.bind({ hostname: "127.0.0.1", port: 0 });
    sender.bind({ hostname: "127.0.0.1", port: 0 });
    for (let sent = 0; sent < 2; sent++) sender.sendTo(bytes("abcdef"), receiver.getsockname());
    assertEquals(text(receiver.recv(3)), "abc");
    assertEquals(receiver.recvFrom(2), [bytes("ab"), sender.getsockname()]);
  });

  test("getaddrinfo() throws an OSError with the resolver's own code", () => {
    const error = assertThrows(() => getaddrinfo("not.numeric", 80, { flags: AI_NUMERICHOST }), OSError);
    assertEquals(error.message, "getaddrinfo not.numeric: Name or service not known (EAI_NONAME)");
    assertEquals(error.errno, 11_001);
    assertEquals(getaddrinfo("127.0.0.1", 80, { flags: AI_CANONNAME })[0].canonname, "127.0.0.1");
    assertEquals(getaddrinfo("::1", 80)[0].address, { hostname: "::1", port: 80 });
  });

  test("SO_ERROR says why a connection could not be made", () => {
    using cleanup = new Cleanup();
    const dead = cleanup.add(new Socket());
    dead.bind({ hostname: "127.0.0.1", port: 0 });
    const client = cleanup.add(new Socket());
    client.setBlocking(false);
    assertEquals(client.connectEx(dead.getsockname()), "EINPROGRESS");
    assertEquals(select([], [client], [client], 10)[2], [client]);
    assertEquals(errnoCode(client.getsockopt(SOL_SOCKET, SO_ERROR)), "ECONNREFUSED");
  });

  test("new PollSelector() and new EpollSelector() name the system, and what to use instead", () => {
    for (const make of [() => new PollSelector(), () => new EpollSelector()]) {
      assertMatch(assertThrows(make, Deno.errors.NotSupported).message, /windows.*; use DefaultSelector$/);
    }
  });

  test("pipe() says that there is none, and what there is", () => {
    const error = assertThrows(() => pipe(), Deno.errors.NotSupported);
    assertStringIncludes(error.message, "socketpair()");
  });

  test("read(), write() and close() take the number of a socket", () => {
    const [here, there] = socketpair().map((socket) => socket.detach()) as [number, number];
    assertEquals(write(here, bytes("abc")), 3);
    const buffer = new Uint8Array(10);
    assertEquals(read(there, buffer), 3);
    close(here);
    assertEquals(read(there, buffer), 0);
    close(there);
  });

  test("createServer() shares its port with nobody, not even by SO_REUSEADDR", () => {
    using cleanup = new Cleanup();
    const server = cleanup.add(createServer({ hostname: "127.0.0.1", port: 0 }));
    assertEquals(server.getsockopt(SOL_SOCKET, SO_EXCLUSIVEADDRUSE) !== 0, true);
    const thief = cleanup.add(new Socket());
    thief.setsockopt(SOL_SOCKET, SO_REUSEADDR, true);
    const error = assertThrows(() => thief.bind(server.getsockname()), OSError);
    assert(["EADDRINUSE", "EACCES"].includes(error.code), error.code);
  });

  test("SO_LINGER has two integers of 16 bits", () => {
    using cleanup = new Cleanup();
    const socket = cleanup.add(new Socket());
    socket.setsockopt(SOL_SOCKET, SO_LINGER, new Uint8Array(new Uint16Array([1, 7]).buffer));
    assertEquals([...new Uint16Array(socket.getsockopt(SOL_SOCKET, SO_LINGER, 4).slice().buffer)], [1, 7]);
  });
});

describe("socketpair on Windows", () => {
  test("socketpair() makes TCP sockets by default, and no others than those and UDP's", () => {
    using cleanup = new Cleanup();
    const [here, there] = cleanup.pair();
    assertEquals([here.family, here.type, there.family, there.type], [AF_INET, SOCK_STREAM, AF_INET, SOCK_STREAM]);
    assertEquals([here.getpeername(), there.getpeername()], [there.getsockname(), here.getsockname()]);
    for (const [family, type] of [[AF_UNIX, SOCK_STREAM], [AF_UNIX, SOCK_DGRAM], [AF_INET6, SOCK_STREAM]] as const) {
      assertEquals(winsock.socketpair(family, type, 0, new Int32Array(2)), -EOPNOTSUPP);
    }
  });

  test("a pair of UDP sockets hear each other, an empty datagram too, and no stranger", () => {
    using cleanup = new Cleanup();
    const [here, there] = socketpair(AF_INET, SOCK_DGRAM).map((socket) => cleanup.add(socket)) as [Socket, Socket];
    assert(here.getBlocking() && there.getBlocking());
    assertEquals([here.getpeername(), there.getpeername()], [there.getsockname(), here.getsockname()]);
    const stranger = cleanup.add(new Socket(AF_INET, SOCK_DGRAM));
    stranger.sendTo(bytes("strange"), here.getsockname());
    there.send(bytes("mine"));
    there.send(new Uint8Array());
    assertEquals([text(here.recv(100)), text(here.recv(100))], ["mine", ""]);
    here.send(bytes("yours"));
    assertEquals(text(there.recv(100)), "yours");
    here.setBlocking(false);
    assertEquals(here.tryRecvInto(new Uint8Array(100)), null);
  });

  test("a stranger who connects first is sent away, and the pair is a pair", () => {
    using cleanup = new Cleanup();
    const listener = cleanup.add(createServer({ hostname: "127.0.0.1", port: 0 }));
    const strangers = [0, 1, 2].map(() => {
      const stranger = cleanup.add(new Socket());
      stranger.connect(listener.getsockname());
      return stranger;
    });
    const pair = new Int32Array(2);
    assertEquals(winsock.connectPair(listener.fileno(), 0, pair), 0);
    const [here, there] = [...pair].map((fd) => cleanup.add(Socket.fromFd(fd))) as [Socket, Socket];
    here.send(bytes("mine"));
    assertEquals(text(there.recv(100)), "mine");
    there.send(bytes("yours"));
    assertEquals(text(here.recv(100)), "yours");
    for (const stranger of strangers) assertEquals(stranger.recv(1).length, 0);
    assert(here.getBlocking() && there.getBlocking());
  });
});

describe("CountedSelectSet", () => {
  test("CountedSelectSet finds what is ready in each of its sets, and counts it", () => {
    using cleanup = new Cleanup();
    const [here, there] = cleanup.pair();
    const [idle] = cleanup.pair();
    there.send(bytes("x"));
    const set = new CountedSelectSet();
    set.set(here.fileno(), IN_READ | IN_WRITE | IN_EXCEPT);
    set.set(idle.fileno(), IN_READ | IN_EXCEPT);
    assertEquals(set.wait(1000), 2);
    assertEquals(gathered(set, 2), [[here.fileno(), IN_READ | IN_WRITE]]);
    assert(set.isReady(here.fileno(), IN_READ) && set.isReady(here.fileno(), IN_WRITE));
    assertEquals(set.isReady(here.fileno(), IN_EXCEPT) || set.isReady(idle.fileno(), IN_READ), false);
    set.set(here.fileno(), IN_EXCEPT);
    assertEquals([set.wait(0), gathered(set, 0)], [0, []]);
    assertEquals(set.isReady(here.fileno(), IN_READ), false);
  });

  test("CountedSelectSet keeps the others, whichever is taken out, at any size", () => {
    using cleanup = new Cleanup();
    const sockets = Array.from({ length: 90 }, () => cleanup.pair()).flat().map((socket) => socket.fileno());
    const set = new CountedSelectSet();
    const members = new Set<number>();
    const check = () => {
      assertEquals(set.wait(0), members.size);
      assertEquals(
        gathered(set, members.size).map(([fd]) => fd).sort((a, b) => a - b),
        [...members].sort((a, b) => a - b),
      );
    };
    for (const [index, fd] of sockets.entries()) {
      set.set(fd, IN_WRITE);
      set.set(fd, IN_WRITE); // once is enough
      members.add(fd);
      if (index % 30 === 3 || (index > 60 && index < 68)) check();
    }
    check();
    for (const [index, fd] of sockets.entries()) {
      if (index % 7 === 2 || index > 150) set.set(fd, 0), members.delete(fd);
    }
    check();
    for (const fd of [...members]) set.set(fd, 0), set.set(fd, 0), members.delete(fd);
    check();
  });

  test("CountedSelectSet waits out its timeout, or nearly, with empty sets too", () => {
    using cleanup = new Cleanup();
    const [here] = cleanup.pair();
    const set = new CountedSelectSet();
    for (let round = 0; round < 2; round++) {
      assertEquals(set.wait(0), 0);
      let outcome = 0;
      const elapsed = elapsedMs(() => outcome = set.wait(30));
      assertEquals(outcome, 0);
      assertGreaterOrEqual(elapsed, 15);
      set.set(here.fileno(), IN_READ);
    }
  });

  test("CountedSelectSet says EBADF if a socket was closed", () => {
    using cleanup = new Cleanup();
    const [here] = cleanup.pair();
    const set = new CountedSelectSet();
    set.set(here.fileno(), IN_READ);
    here.close();
    assertEquals(set.wait(0), -EBADF);
  });

  test("a connection that is refused is writable for a selector that waits for nothing else", () => {
    using cleanup = new Cleanup();
    const dead = cleanup.add(new Socket());
    dead.bind({ hostname: "127.0.0.1", port: 0 });
    const client = cleanup.add(new Socket());
    client.setBlocking(false);
    assertEquals(client.connectEx(dead.getsockname()), "EINPROGRESS");
    using selector = new SelectSelector();
    selector.register(client, EVENT_READ | EVENT_WRITE);
    const [[, events]] = readyFds(selector, 10) as [[number, number]];
    assertEquals(events & EVENT_WRITE, EVENT_WRITE);
  });

  test("a connection that was reset is readable", () => {
    using cleanup = new Cleanup();
    const [here, there] = cleanup.pair();
    there.setsockopt(SOL_SOCKET, SO_LINGER, RESET_ON_CLOSE);
    there.close();
    using selector = new SelectSelector();
    selector.register(here, EVENT_READ);
    assertEquals(readyFds(selector, 10), [[here.fileno(), EVENT_READ]]);
    assertEquals(assertThrows(() => here.recv(1), OSError).code, "ECONNRESET");
  });
});

describe("Timeval", () => {
  declare("Timeval is rounded up to microseconds, and bounded", () => {
    const cases: [ms: number, seconds: number, microseconds: number][] = [
      [0, 0, 0],
      [1e-9, 0, 1],
      [0.001, 0, 1],
      [0.0011, 0, 2],
      [999.9999, 1, 0],
      [1500.25, 1, 500_250],
      [1e300, 100_000_000, 0],
    ];
    for (const [ms, seconds, microseconds] of cases) {
      assertEquals([...new Timeval().set(ms)], [seconds, microseconds], `${ms} ms`);
    }
  });
});
