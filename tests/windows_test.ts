/**
 * Sockets on Windows: descriptors, errors, and socket pairs that are TCP or UDP connections.
 *
 * @module
 */

import {
  assert,
  assertEquals,
  assertGreaterOrEqual,
  assertMatch,
  assertStringIncludes,
  assertThrows,
} from "@std/assert";
import { describe } from "@std/testing/bdd";
import { EBADF, EOPNOTSUPP, errnoCode } from "../ffi/os/errno.ts";
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
import { EpollSelector, PollSelector } from "../mod.ts";
import { WINSOCK } from "./support/needs.ts";
import { bytes, Cleanup, elapsedMs, testNeeding, text } from "./support/util.ts";

const test = testNeeding(WINSOCK);

/** Returns true if child processes would inherit a socket. */
function isInherited(fd: number): boolean {
  const kernel32 = Deno.dlopen("kernel32.dll", {
    GetHandleInformation: { parameters: ["usize", "buffer"], result: "i32" },
  });
  const flags = new Uint32Array(1);
  assertEquals(kernel32.symbols.GetHandleInformation(BigInt(fd), flags), 1);
  kernel32.close();
  return (flags[0]! & 1) !== 0;
}

describe("winsock", () => {
  test("winsock opens sockets that child processes do not inherit", () => {
    using cleanup = new Cleanup();
    const server = cleanup.add(createServer({ hostname: "127.0.0.1", port: 0 }));
    const client = cleanup.add(new Socket());
    client.connect(server.getsockname());
    const connection = cleanup.add(server.accept()[0]);
    const sockets = [server, client, connection, ...cleanup.pair()];
    assertEquals(sockets.filter((socket) => isInherited(socket.fileno())), []);
  });

  test("winsock returns -EBADF for a closed socket, and for a number that is not a socket", () => {
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

  test("send() distinguishes handles that share a cache slot", () => {
    using cleanup = new Cleanup();
    const [here, there] = cleanup.pair();
    for (let round = 0; round < 3; round++) {
      assertEquals(winsock.send(here.fileno() + 4 * 4096, bytes("x"), 0), -EBADF);
      assertEquals(here.send(bytes("y")), 1);
      assertEquals(text(there.recv(10)), "y");
    }
  });

  test("getBlocking() remembers setBlocking() until another socket reuses the number", () => {
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

  test("getBlocking() forgets a former socket with the same number", () => {
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

  test("accept() of a non-blocking listener returns a blocking connection", () => {
    using cleanup = new Cleanup();
    const server = cleanup.add(createServer({ hostname: "127.0.0.1", port: 0 }));
    server.setBlocking(false);
    const client = cleanup.add(new Socket());
    client.connect(server.getsockname());
    const connection = cleanup.add(server.accept()[0]);
    assert(connection.getBlocking());
    // No data arrives for a while, so a nonblocking socket would fail at once.
    connection.setsockopt(SOL_SOCKET, 0x1006, 50); // SO_RCVTIMEO, in milliseconds
    assertGreaterOrEqual(elapsedMs(() => assertThrows(() => connection.recv(1), OSError)), 30);
  });

  test("fromFd() recognizes an unbound socket of either family and type", () => {
    for (const family of [AF_INET, AF_INET6]) {
      for (const type of [SOCK_STREAM, SOCK_DGRAM]) {
        using socket = Socket.fromFd(new Socket(family, type).detach());
        assertEquals([socket.family, socket.type, socket.protocol], [family, type, type === SOCK_STREAM ? 6 : 17]);
      }
    }
  });

  test("recv() truncates a datagram that is longer than the buffer", () => {
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

  test("SO_ERROR returns the reason for a failed connection", () => {
    using cleanup = new Cleanup();
    const dead = cleanup.add(new Socket());
    dead.bind({ hostname: "127.0.0.1", port: 0 });
    const client = cleanup.add(new Socket());
    client.setBlocking(false);
    assertEquals(client.connectEx(dead.getsockname()), "EINPROGRESS");
    assertEquals(select([], [client], [client], 10)[2], [client]);
    assertEquals(errnoCode(client.getsockopt(SOL_SOCKET, SO_ERROR)), "ECONNREFUSED");
  });

  test("new PollSelector() and new EpollSelector() throw an error that names the system and another selector", () => {
    for (const make of [() => new PollSelector(), () => new EpollSelector()]) {
      assertMatch(assertThrows(make, Deno.errors.NotSupported).message, /windows.*; use DefaultSelector$/);
    }
  });

  test("pipe() throws an error that names socketpair()", () => {
    const error = assertThrows(() => pipe(), Deno.errors.NotSupported);
    assertStringIncludes(error.message, "socketpair()");
  });

  test("read(), write() and close() accept a socket", () => {
    const [here, there] = socketpair().map((socket) => socket.detach()) as [number, number];
    assertEquals(write(here, bytes("abc")), 3);
    const buffer = new Uint8Array(10);
    assertEquals(read(there, buffer), 3);
    close(here);
    assertEquals(read(there, buffer), 0);
    close(there);
  });

  test("createServer() shares its port with no other socket, even with SO_REUSEADDR", () => {
    using cleanup = new Cleanup();
    const server = cleanup.add(createServer({ hostname: "127.0.0.1", port: 0 }));
    assertEquals(server.getsockopt(SOL_SOCKET, SO_EXCLUSIVEADDRUSE) !== 0, true);
    const thief = cleanup.add(new Socket());
    thief.setsockopt(SOL_SOCKET, SO_REUSEADDR, true);
    const error = assertThrows(() => thief.bind(server.getsockname()), OSError);
    assert(["EADDRINUSE", "EACCES"].includes(error.code), error.code);
  });

  test("SO_LINGER is two 16-bit integers", () => {
    using cleanup = new Cleanup();
    const socket = cleanup.add(new Socket());
    socket.setsockopt(SOL_SOCKET, SO_LINGER, new Uint8Array(new Uint16Array([1, 7]).buffer));
    assertEquals([...new Uint16Array(socket.getsockopt(SOL_SOCKET, SO_LINGER, 4).slice().buffer)], [1, 7]);
  });
});

describe("socketpair on Windows", () => {
  test("socketpair() returns TCP sockets by default, UDP sockets on request, and throws for other types", () => {
    using cleanup = new Cleanup();
    const [here, there] = cleanup.pair();
    assertEquals([here.family, here.type, there.family, there.type], [AF_INET, SOCK_STREAM, AF_INET, SOCK_STREAM]);
    assertEquals([here.getpeername(), there.getpeername()], [there.getsockname(), here.getsockname()]);
    for (const [family, type] of [[AF_UNIX, SOCK_STREAM], [AF_UNIX, SOCK_DGRAM], [AF_INET6, SOCK_STREAM]] as const) {
      assertEquals(winsock.socketpair(family, type, 0, new Int32Array(2)), -EOPNOTSUPP);
    }
  });

  test("socketpair() of UDP sockets exchanges datagrams only with its peer, even if they are empty", () => {
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

  test("socketpair() closes the connection of another client that connects first", () => {
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
