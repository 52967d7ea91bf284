import {
  assert,
  assertEquals,
  assertFalse,
  assertGreater,
  assertGreaterOrEqual,
  assertInstanceOf,
  assertLess,
  assertMatch,
  assertNotEquals,
  assertStrictEquals,
  assertStringIncludes,
  assertThrows,
} from "@std/assert";
import { describe } from "@std/testing/bdd";
import { Buffer } from "node:buffer";
import { once } from "node:events";
import net from "node:net";
import { errnoCode } from "../ffi/os/errno.ts";
import { os } from "../ffi/os/systems.ts";
import * as posix from "../ffi/os/posix.ts";
import { select } from "../ffi/select/mod.ts";
import { SOCK_CLOEXEC, SOCK_NONBLOCK } from "../ffi/os/socket_constants.ts";
import {
  type Address,
  AF_INET,
  AF_INET6,
  AF_UNIX,
  AF_UNSPEC,
  AI_CANONNAME,
  AI_NUMERICHOST,
  AI_PASSIVE,
  close,
  createServer,
  getaddrinfo,
  type InetAddress,
  IP_TTL,
  IPPROTO_IP,
  IPPROTO_IPV6,
  IPPROTO_TCP,
  IPPROTO_UDP,
  IPV6_UNICAST_HOPS,
  IPV6_V6ONLY,
  MSG_DONTWAIT,
  MSG_NOSIGNAL,
  MSG_OOB,
  MSG_PEEK,
  MSG_TRUNC,
  MSG_WAITALL,
  OSError,
  pipe,
  read,
  setBlocking,
  SHUT_RD,
  SHUT_RDWR,
  SHUT_WR,
  SO_ACCEPTCONN,
  SO_ERROR,
  SO_KEEPALIVE,
  SO_LINGER,
  SO_OOBINLINE,
  SO_PROTOCOL,
  SO_RCVBUF,
  SO_REUSEADDR,
  SO_SNDBUF,
  SO_TYPE,
  SOCK_DGRAM,
  SOCK_SEQPACKET,
  SOCK_STREAM,
  Socket,
  socketpair,
  SOL_SOCKET,
  TCP_NODELAY,
  write,
} from "../ffi/socket/mod.ts";
import { encodeUnix } from "../ffi/socket/sockaddr.ts";
import { lackedBy, LINUX } from "./support/needs.ts";
import {
  BROKEN_CODES,
  bytes,
  Cleanup,
  F_GETFD,
  FD_CLOEXEC,
  isLinux,
  isWindows,
  libc,
  moduleOf,
  type Need,
  printedBy,
  RESET_ON_CLOSE,
  skip,
  tcpPair,
  test,
  text,
} from "./support/util.ts";

/** Sockets with paths, and all their types. */
const UNIX_SOCKETS = lackedBy({ windows: "Windows has no sockets with paths here, or no such type of them" });
/** Errors of Unix. */
const UNIX_ERRORS = lackedBy({ windows: "Winsock gives another error, or none" });
/** Pipes. */
const PIPES = lackedBy({ windows: "Windows has no pipes that can be waited for" });
/** MSG_TRUNC as a flag of `recv()`. */
const MSG_TRUNC_LENGTH = lackedBy({
  darwin: "recv() of macOS ignores MSG_TRUNC",
  windows: "Winsock has no such flag",
});
/** MSG_DONTWAIT as a flag of `send()`, and of `recv()`. */
const SEND_DONTWAIT = lackedBy({
  darwin: "send() of macOS ignores MSG_DONTWAIT",
  windows: "Winsock has no such flag",
});
const RECV_DONTWAIT = lackedBy({ windows: "Winsock has no such flag" });
/** `shutdown(SHUT_RD)` that stops the peer of a Unix socket. */
const SHUTDOWN_READ = lackedBy({
  darwin: "shutdown(SHUT_RD) on macOS lets the peer of a Unix socket go on sending",
  windows: "Winsock gives another error, or none",
});
/** Urgent data. */
const OOB = lackedBy({ windows: "the second half of it waits for ever under Wine" });
/** The cache of sizes. */
const SIZE_CACHE = lackedBy({ windows: "only Unix has this cache" });
/** The name of a socket that is not bound. */
const UNBOUND_NAMES = lackedBy({ windows: "Winsock says EINVAL of it" });
/** `struct linger` of two integers. */
const LINGER = lackedBy({ windows: "SO_LINGER is another struct: see windows_test.ts" });
/** Options of any size. */
const ANY_OPTION = lackedBy({ emulated: "the emulator does not know this option, or not at this size" });
/** Interfaces with names. */
const INTERFACE_NAMES = lackedBy({ windows: "Windows knows interfaces by their numbers" });
/** `node:net` on a descriptor. */
const NODE_NET = lackedBy({ windows: "node:net does not answer there under Wine" });
/** SOCK_NONBLOCK. */
const NONBLOCK_FLAG = SOCK_NONBLOCK === 0 ? `${os} has no such flag` : null;

/** Traffic on `::1`. */
const IPV6 = hasInet6() ? null : "this machine has no ::1";

/** More bytes than an unsigned integer of 32 bits can count. */
const LONG = 2 ** 32 + 5;

/** Arrays of that many bytes. */
const LONG_ARRAYS = isWindows || hasRoom() ? null : "this machine refuses an array of 4 GiB";

function hasRoom(): boolean {
  try {
    return new Uint8Array(LONG).length === LONG;
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    return false;
  }
}

/** An IPv6 address that means nothing without the name of its interface. */
const linkLocal = Deno.networkInterfaces().find(({ family, address }) =>
  family === "IPv6" && address.startsWith("fe80:")
);

function hasInet6(): boolean {
  try {
    using socket = new Socket(AF_INET6);
    socket.bind({ hostname: "::1", port: 0 });
    return true;
  } catch (error) {
    if (!(error instanceof OSError)) throw error;
    return false;
  }
}

/** Where other programs import the module from. */
const SOCKET = JSON.stringify(new URL("../ffi/socket/mod.ts", import.meta.url).href);

/** Address of this machine on which a new socket may be bound, for each family. */
const LOOPBACK: Readonly<Record<number, string>> = { [AF_INET]: "127.0.0.1", [AF_INET6]: "::1" };

/** A socket that listens on the loopback address. */
function listener(cleanup: Cleanup, family: number = AF_INET, backlog?: number): Socket {
  const socket = cleanup.add(new Socket(family));
  socket.bind({ hostname: LOOPBACK[family]!, port: 0 });
  socket.listen(backlog);
  return socket;
}

/** A datagram socket that is bound to the loopback address. */
function udp(cleanup: Cleanup, family: number = AF_INET): Socket {
  const socket = cleanup.add(new Socket(family, SOCK_DGRAM));
  socket.bind({ hostname: LOOPBACK[family]!, port: 0 });
  return socket;
}

/** A folder for the paths of sockets, with a short name. */
function folder(cleanup: Cleanup): string {
  const path = Deno.makeTempDirSync();
  cleanup.defer(() => Deno.removeSync(path, { recursive: true }));
  return path;
}

function portOf(socket: Socket): number {
  return (socket.getsockname() as InetAddress).port;
}

/** An address at which nobody listens, since the socket that has it does not. */
function deadAddress(cleanup: Cleanup): Address {
  const socket = cleanup.add(new Socket());
  socket.bind({ hostname: "127.0.0.1", port: 0 });
  return socket.getsockname();
}

function assertCode(body: () => unknown, code: string, syscall?: string): void {
  const error = assertThrows(body, OSError);
  assertEquals(error.code, code);
  if (syscall !== undefined) assertEquals(error.syscall, syscall);
}

function assertBroken(body: () => unknown, syscall?: string): void {
  const error = assertThrows(body, OSError);
  assert(BROKEN_CODES.includes(error.code), error.message);
  if (syscall !== undefined) assertEquals(error.syscall, syscall);
}

function waitReadable(socket: Socket): void {
  assertEquals(select([socket], [], [], 10)[0], [socket], "Nothing has come within 10 seconds");
}

function detached(): Uint8Array {
  const array = new Uint8Array(8);
  structuredClone(array, { transfer: [array.buffer] });
  return array;
}

/** What takes bytes, each on a socket of a connected pair of datagram sockets. */
const BYTE_CALLS: readonly [name: string, call: (socket: Socket, data: Uint8Array) => unknown][] = [
  ["recvInto()", (socket, data) => socket.recvInto(data)],
  ["tryRecvInto()", (socket, data) => socket.tryRecvInto(data)],
  ["send()", (socket, data) => socket.send(data)],
  ["trySend()", (socket, data) => socket.trySend(data)],
  ["sendAll()", (socket, data) => socket.sendAll(data)],
  ["sendTo()", (socket, data) => socket.sendTo(data, { hostname: "127.0.0.1", port: 9 })],
  ["read()", (socket, data) => read(socket.fileno(), data)],
  ["write()", (socket, data) => write(socket.fileno(), data)],
];

/** A Uint8Array whose every property describes an array of 60,000 bytes. */
class Liar extends Uint8Array<ArrayBuffer> {
  static override [Symbol.hasInstance](): boolean {
    return true;
  }

  override get byteLength(): number {
    return 60_000;
  }

  override get length(): number {
    return 60_000;
  }

  override get byteOffset(): number {
    return 0;
  }

  override get buffer(): ArrayBuffer {
    return new ArrayBuffer(60_000);
  }

  override subarray(): Uint8Array<ArrayBuffer> {
    return new Uint8Array(60_000);
  }

  override slice(): Uint8Array<ArrayBuffer> {
    return new Uint8Array(60_000);
  }
}

/** A Uint8Array whose parts are arrays of 60,000 bytes. */
class Growing extends Uint8Array<ArrayBuffer> {
  static get [Symbol.species](): unknown {
    return function () {
      return new Uint8Array(60_000);
    };
  }
}

/** Gives an array own properties that describe an array of another size. */
function lying(array: Uint8Array, size: number): Uint8Array {
  const fields = { byteLength: size, length: size, byteOffset: 0, buffer: new ArrayBuffer(size) };
  for (const [name, value] of Object.entries(fields)) Object.defineProperty(array, name, { value });
  return Object.defineProperty(array, "subarray", { value: () => new Uint8Array(size) });
}

/** Values that no C `int` can carry, and what is thrown for them. */
const NOT_INTEGERS: readonly [error: typeof RangeError | typeof TypeError, values: unknown[]][] = [
  [RangeError, [NaN, 1.5, 2 ** 32 + 2, 2 ** 31, Infinity]],
  [TypeError, ["2", null, true, 2n, {}]],
];

/** Ways to make an array of 100 bytes, 50 bytes into memory of 1,000, that claims to have another length. */
const LIARS: readonly [name: string, make: (memory: ArrayBuffer) => Uint8Array][] = [
  ["a subclass", (memory) => new Liar(memory, 50, 100)],
  ["a species", (memory) => new Growing(memory, 50, 100)],
  ["own properties", (memory) => lying(new Uint8Array(memory, 50, 100), 60_000)],
  ["own properties that say less", (memory) => lying(new Uint8Array(memory, 50, 100), 1)],
  ["a prototype", (memory) => Object.setPrototypeOf(new Uint8Array(memory, 50, 100), Liar.prototype)],
];

/** A socket whose send() takes few bytes at a time: a blocking one does so only if it is interrupted. */
class InParts extends Socket {
  override send(data: Uint8Array, flags?: number): number {
    return super.send(new Uint8Array(data).subarray(0, 3), flags);
  }
}

/** What takes an address. */
const ADDRESS_CALLS: readonly [name: string, call: (socket: Socket, address: Address) => unknown][] = [
  ["bind()", (socket, address) => socket.bind(address)],
  ["connect()", (socket, address) => socket.connect(address)],
  ["connectEx()", (socket, address) => socket.connectEx(address)],
  ["sendTo()", (socket, address) => socket.sendTo(bytes("x"), address)],
];

describe("Socket", () => {
  describe("stream", () => {
    for (const [name, family] of [["IPv4", AF_INET], ["IPv6", AF_INET6]] as const) {
      const needs = [family === AF_INET ? null : IPV6];

      test(`accept() gives a connection and its peer's address over ${name}`, { needs }, () => {
        using cleanup = new Cleanup();
        const server = listener(cleanup, family);
        const client = cleanup.add(new Socket(family));
        client.connect(server.getsockname());
        const [connection, address] = server.accept();
        cleanup.add(connection);

        assertEquals(address, client.getsockname());
        assertEquals(connection.getpeername(), client.getsockname());
        assertEquals(client.getpeername(), server.getsockname());
        assertEquals((address as InetAddress).hostname, LOOPBACK[family]);
        assertGreater((address as InetAddress).port, 0);
        assertEquals([connection.family, connection.type], [family, SOCK_STREAM]);
        client.sendAll(bytes("hello"));
        assertEquals(text(connection.recv(100)), "hello");
        connection.sendAll(bytes("good day"));
        assertEquals(text(client.recv(100)), "good day");
        client.close();
        assertEquals(connection.recv(100), new Uint8Array(0));
      });

      test(`connect() throws ECONNREFUSED if nobody listens over ${name}`, { needs }, () => {
        using cleanup = new Cleanup();
        const dead = cleanup.add(new Socket(family));
        dead.bind({ hostname: LOOPBACK[family]!, port: 0 });
        const client = cleanup.add(new Socket(family));
        const error = assertThrows(() => client.connect(dead.getsockname()), OSError);
        const shown = family === AF_INET ? "127.0.0.1" : "[::1]";
        assertEquals(error.message, `connect ${shown}:${portOf(dead)}: Connection refused (ECONNREFUSED)`);
        assertEquals([error.code, error.syscall], ["ECONNREFUSED", "connect"]);
      });
    }

    test("accept() gives a connection over a Unix path, and the file stays until it is removed", {
      needs: [UNIX_SOCKETS],
    }, () => {
      using cleanup = new Cleanup();
      const path = `${folder(cleanup)}/server`;
      const server = cleanup.add(new Socket(AF_UNIX));
      server.bind({ path });
      server.listen();
      assertEquals(server.getsockname(), { path });
      const client = cleanup.add(new Socket(AF_UNIX));
      client.connect({ path });
      const [connection, address] = server.accept();
      cleanup.add(connection);
      assertEquals(address, { path: "" });
      assertEquals(client.getpeername(), { path });
      assertEquals(client.getsockname(), { path: "" });
      client.sendAll(bytes("hello"));
      assertEquals(text(connection.recv(100)), "hello");

      const second = cleanup.add(new Socket(AF_UNIX));
      assertCode(() => second.bind({ path }), "EADDRINUSE", "bind");
    });

    test("accept() gives the path of a peer that is bound", { needs: [UNIX_SOCKETS] }, () => {
      using cleanup = new Cleanup();
      const path = folder(cleanup);
      const server = cleanup.add(new Socket(AF_UNIX));
      server.bind({ path: `${path}/sërver` });
      server.listen();
      const client = cleanup.add(new Socket(AF_UNIX));
      client.bind({ path: `${path}/client` });
      client.connect({ path: `${path}/sërver` });
      const [connection, address] = server.accept();
      cleanup.add(connection);
      assertEquals(address, { path: `${path}/client` });
      assertEquals(client.getpeername(), { path: `${path}/sërver` });
    });

    test("bind() takes an abstract name, which has no file and may have zeros within", { needs: [LINUX] }, () => {
      using cleanup = new Cleanup();
      const path = `\0selectors ${crypto.randomUUID()}\0 and more`;
      const server = cleanup.add(new Socket(AF_UNIX));
      server.bind({ path });
      server.listen();
      assertEquals(server.getsockname(), { path });
      const client = cleanup.add(new Socket(AF_UNIX));
      client.connect({ path });
      cleanup.add(server.accept()[0]);
      assertEquals(client.getpeername(), { path });
      const other = cleanup.add(new Socket(AF_UNIX));
      assertEquals(other.connectEx({ path: path.slice(0, path.lastIndexOf("\0")) }), "ECONNREFUSED");
    });

    test("bind() of an empty path chooses an abstract name", { needs: [LINUX] }, () => {
      using cleanup = new Cleanup();
      const socket = cleanup.add(new Socket(AF_UNIX));
      socket.bind({ path: "" });
      assertMatch((socket.getsockname() as { path: string }).path, /^\0[0-9a-f]{5}$/);
    });

    test("connect() throws ENOENT for a path that is not there", { needs: [UNIX_SOCKETS] }, () => {
      using cleanup = new Cleanup();
      const socket = cleanup.add(new Socket(AF_UNIX));
      const path = `${folder(cleanup)}/none`;
      const error = assertThrows(() => socket.connect({ path }), OSError);
      assertEquals(error.message, `connect ${JSON.stringify(path)}: No such file or directory (ENOENT)`);
      assertEquals(socket.connectEx({ path }), "ENOENT");
    });

    test("SOCK_SEQPACKET keeps the bounds of records", { needs: [LINUX] }, () => {
      using cleanup = new Cleanup();
      const path = `${folder(cleanup)}/server`;
      const server = cleanup.add(new Socket(AF_UNIX, SOCK_SEQPACKET));
      server.bind({ path });
      server.listen();
      const client = cleanup.add(new Socket(AF_UNIX, SOCK_SEQPACKET));
      client.connect({ path });
      const connection = cleanup.add(server.accept()[0]);
      assertEquals([connection.family, connection.type], [AF_UNIX, SOCK_SEQPACKET]);
      client.send(bytes("one"));
      client.send(bytes("two and a half"));
      assertEquals(text(connection.recv(100)), "one");
      assertEquals(text(connection.recv(3)), "two");
      client.close();
      assertEquals(connection.recv(100).length, 0);
    });

    test("bind() throws EADDRINUSE for an address that is taken", () => {
      using cleanup = new Cleanup();
      const server = listener(cleanup);
      const second = cleanup.add(new Socket());
      const error = assertThrows(() => second.bind(server.getsockname()), OSError);
      assertEquals(error.message, `bind 127.0.0.1:${portOf(server)}: Address already in use (EADDRINUSE)`);
    });

    test("bind() throws EADDRNOTAVAIL for an address that is not this machine's", () => {
      using cleanup = new Cleanup();
      const socket = cleanup.add(new Socket());
      // 192.0.2.0/24 and 203.0.113.0/24 are for documentation.
      assertCode(() => socket.bind({ hostname: "203.0.113.77", port: 0 }), "EADDRNOTAVAIL", "bind");
    });

    test("tryAccept() gives null if there is no connection, and accept() throws EAGAIN", () => {
      using cleanup = new Cleanup();
      const server = listener(cleanup);
      server.setBlocking(false);
      assertEquals(server.tryAccept(), null);
      assertCode(() => server.accept(), "EAGAIN", "accept");
      const client = cleanup.add(new Socket());
      client.connect(server.getsockname());
      waitReadable(server);
      const accepted = server.tryAccept();
      assert(accepted !== null);
      cleanup.add(accepted[0]);
      assertEquals(accepted[1], client.getsockname());
      assert(accepted[0].getBlocking(), "A connection blocks, whatever its listener does");
      assertEquals(server.tryAccept(), null);
    });

    test("accept() throws EINVAL on a socket that does not listen", () => {
      using cleanup = new Cleanup();
      const socket = cleanup.add(new Socket());
      assertCode(() => socket.accept(), "EINVAL", "accept");
      assertCode(() => socket.tryAccept(), "EINVAL", "accept");
    });

    test("connectEx() gives null if the connection is made, and the code if it is not", () => {
      using cleanup = new Cleanup();
      const server = listener(cleanup);
      const client = cleanup.add(new Socket());
      assertEquals(client.connectEx(server.getsockname()), null);
      assertEquals(client.connectEx(server.getsockname()), "EISCONN");
      assertCode(() => client.connect(server.getsockname()), "EISCONN", "connect");
      assertEquals(cleanup.add(new Socket()).connectEx(deadAddress(cleanup)), "ECONNREFUSED");
    });

    test("connectEx() gives EINPROGRESS, then the socket is writable and SO_ERROR is 0", () => {
      using cleanup = new Cleanup();
      const server = listener(cleanup);
      const client = cleanup.add(new Socket());
      client.setBlocking(false);
      assertEquals(client.connectEx(server.getsockname()), "EINPROGRESS");
      assertEquals(select([], [client], [], 10)[1], [client]);
      assertEquals(client.getsockopt(SOL_SOCKET, SO_ERROR), 0);
      assertEquals(client.getpeername(), server.getsockname());
    });

    test("connect() throws EINPROGRESS, then SO_ERROR says once that the connection is refused", {
      needs: [lackedBy({ windows: "Winsock says it each time" })],
    }, () => {
      using cleanup = new Cleanup();
      const client = cleanup.add(new Socket());
      client.setBlocking(false);
      assertCode(() => client.connect(deadAddress(cleanup)), "EINPROGRESS", "connect");
      assertEquals(select([], [client], [], 10)[1], [client]);
      assertEquals(errnoCode(client.getsockopt(SOL_SOCKET, SO_ERROR)), "ECONNREFUSED");
      assertEquals(client.getsockopt(SOL_SOCKET, SO_ERROR), 0);
    });

    test("connectEx() gives EAGAIN if a Unix listener's backlog is full, and null once there is room", {
      needs: [LINUX],
    }, () => {
      using cleanup = new Cleanup();
      const path = `${folder(cleanup)}/server`;
      const server = cleanup.add(new Socket(AF_UNIX));
      server.bind({ path });
      server.listen(2);
      const outcomes: (string | null)[] = [];
      let client: Socket;
      do {
        client = cleanup.add(new Socket(AF_UNIX));
        client.setBlocking(false);
        outcomes.push(client.connectEx({ path }));
      } while (outcomes.at(-1) === null && outcomes.length < 10);
      assertEquals(outcomes, [null, null, null, "EAGAIN"]);
      cleanup.add(server.accept()[0]);
      assertEquals(client.connectEx({ path }), null);
    });

    test("connectEx() stays in progress while a TCP listener's backlog is full", { needs: [LINUX] }, () => {
      using cleanup = new Cleanup();
      const server = listener(cleanup, AF_INET, 0);
      cleanup.add(new Socket()).connect(server.getsockname());
      waitReadable(server);
      const client = cleanup.add(new Socket());
      client.setBlocking(false);
      assertEquals(client.connectEx(server.getsockname()), "EINPROGRESS");
      assertEquals(select([], [client], [], 0.02)[1], []);
      assertEquals(client.connectEx(server.getsockname()), "EALREADY");
    });

    test("recv() throws ECONNRESET if the peer has reset the connection, and send() EPIPE after it", {
      needs: [UNIX_ERRORS],
    }, () => {
      using cleanup = new Cleanup();
      const [client, server] = cleanup.pair(AF_INET);
      server.setsockopt(SOL_SOCKET, SO_LINGER, RESET_ON_CLOSE);
      server.close();
      assertCode(() => client.recv(1), "ECONNRESET", "recv");
      assertBroken(() => client.send(bytes("x")), "send");
      assertEquals(client.recv(1).length, 0);
    });

    test("send(), trySend(), sendAll() throw EPIPE if the peer is closed, and the process lives on", {
      needs: [lackedBy({ windows: "the first send() to a TCP peer that has closed still succeeds" })],
    }, () => {
      using cleanup = new Cleanup();
      const [here, there] = cleanup.pair();
      there.close();
      for (const flags of [0, MSG_NOSIGNAL]) {
        assertBroken(() => here.send(bytes("x"), flags), "send");
        assertBroken(() => here.trySend(bytes("x"), flags), "send");
        assertBroken(() => here.sendAll(bytes("x"), flags), "send");
      }
      assertEquals(here.recv(1).length, 0);
    });
  });

  describe("datagram", () => {
    for (const [name, family] of [["IPv4", AF_INET], ["IPv6", AF_INET6]] as const) {
      test(
        `recvFrom() gives a datagram and its sender over ${name}`,
        { needs: [family === AF_INET ? null : IPV6] },
        () => {
          using cleanup = new Cleanup();
          const receiver = udp(cleanup, family);
          const sender = udp(cleanup, family);
          assertEquals(sender.sendTo(bytes("first"), receiver.getsockname()), 5);
          assertEquals(sender.sendTo(bytes(""), receiver.getsockname()), 0);
          assertEquals(sender.sendTo(bytes("third"), receiver.getsockname()), 5);
          assertEquals(receiver.recvFrom(100), [bytes("first"), sender.getsockname()]);
          assertEquals(receiver.recvFrom(100), [bytes(""), sender.getsockname()]);
          assertEquals(receiver.recvFrom(2, MSG_PEEK), [bytes("th"), sender.getsockname()]);
          assertEquals(receiver.recvFrom(100_000), [bytes("third"), sender.getsockname()]);
          receiver.setBlocking(false);
          assertCode(() => receiver.recvFrom(100), "EAGAIN", "recvfrom");
        },
      );
    }

    test("recvFrom() loses nothing of a stream whose peer is gone, and names no sender", () => {
      using cleanup = new Cleanup();
      const [client, server] = cleanup.pair(AF_INET);
      client.shutdown(SHUT_WR);
      server.send(bytes("last words"));
      server.close();
      const nobody = { hostname: "", port: 0 };
      assertEquals(client.recvFrom(4), [bytes("last"), nobody]);
      assertEquals(client.recvFrom(100), [bytes(" words"), nobody]);
      assertEquals(client.recvFrom(100), [bytes(""), nobody]);
    });

    test(
      "recvFrom() gives the sender's path over Unix, and an empty one if it has none",
      { needs: [UNIX_SOCKETS] },
      () => {
        using cleanup = new Cleanup();
        const path = folder(cleanup);
        const receiver = cleanup.add(new Socket(AF_UNIX, SOCK_DGRAM));
        receiver.bind({ path: `${path}/receiver` });
        const sender = cleanup.add(new Socket(AF_UNIX, SOCK_DGRAM));
        sender.sendTo(bytes("who?"), { path: `${path}/receiver` });
        assertEquals(receiver.recvFrom(100), [bytes("who?"), { path: "" }]);
        sender.bind({ path: `${path}/sender` });
        sender.sendTo(bytes("me"), { path: `${path}/receiver` });
        assertEquals(receiver.recvFrom(100), [bytes("me"), { path: `${path}/sender` }]);
      },
    );

    test(
      "recv() loses what a datagram has more, and MSG_TRUNC gives its true length",
      { needs: [MSG_TRUNC_LENGTH] },
      () => {
        using cleanup = new Cleanup();
        const receiver = udp(cleanup);
        const sender = udp(cleanup);
        sender.connect(receiver.getsockname());
        for (const datagram of ["12345", "67890", "abcde", "last"]) sender.send(bytes(datagram));
        assertEquals(text(receiver.recv(2)), "12");
        const buffer = new Uint8Array(2);
        assertEquals(receiver.recvInto(buffer, MSG_TRUNC), 5);
        assertEquals(text(buffer), "67");
        assertEquals(text(receiver.recv(3, MSG_TRUNC)), "abc");
        assertEquals(text(receiver.recv(100)), "last");
      },
    );

    test("connect() of a datagram socket takes datagrams from that peer only", () => {
      using cleanup = new Cleanup();
      const receiver = udp(cleanup);
      const friend = udp(cleanup);
      const stranger = udp(cleanup);
      receiver.connect(friend.getsockname());
      stranger.sendTo(bytes("strange"), receiver.getsockname());
      friend.sendTo(bytes("friendly"), receiver.getsockname());
      assertEquals(text(receiver.recv(100)), "friendly");
      assertEquals(receiver.getpeername(), friend.getsockname());
    });

    test("recv() throws ECONNREFUSED after a datagram that nobody took", { needs: [UNIX_ERRORS] }, () => {
      using cleanup = new Cleanup();
      const gone = udp(cleanup);
      const sender = udp(cleanup);
      sender.connect(gone.getsockname());
      gone.close();
      sender.send(bytes("x"));
      assertCode(() => sender.recv(100), "ECONNREFUSED", "recv");
    });

    test("sendTo() throws EMSGSIZE for more than a datagram can be", () => {
      using cleanup = new Cleanup();
      const socket = udp(cleanup);
      const error = assertThrows(() => socket.sendTo(new Uint8Array(70_000), socket.getsockname()), OSError);
      assertEquals(error.message, `sendto 127.0.0.1:${portOf(socket)}: Message too long (EMSGSIZE)`);
    });

    test("send() throws EDESTADDRREQ on a datagram socket without a peer", { needs: [UNIX_ERRORS] }, () => {
      using cleanup = new Cleanup();
      assertCode(() => udp(cleanup).send(bytes("x")), "EDESTADDRREQ", "send");
    });

    test("sendTo() throws EAGAIN if the receiver's queue is full", { needs: [LINUX] }, () => {
      using cleanup = new Cleanup();
      const path = `${folder(cleanup)}/receiver`;
      const receiver = cleanup.add(new Socket(AF_UNIX, SOCK_DGRAM));
      receiver.bind({ path });
      const sender = cleanup.add(new Socket(AF_UNIX, SOCK_DGRAM));
      sender.setBlocking(false);
      assertCode(
        () => {
          for (let i = 0; i < 100_000; i++) sender.sendTo(bytes("x"), { path });
        },
        "EAGAIN",
        "sendto",
      );
      receiver.recv(1);
      assertEquals(sender.sendTo(bytes("x"), { path }), 1);
    });
  });

  describe("bytes", () => {
    test("recv() gives arrays of their own", () => {
      using cleanup = new Cleanup();
      const [here, there] = cleanup.pair();
      here.sendAll(bytes("abcdef"));
      const first = there.recv(3);
      const second = there.recv(3);
      assertEquals([text(first), text(second)], ["abc", "def"]);
      assertEquals([first.byteOffset, first.buffer.byteLength], [0, 3]);
    });

    test("recv() takes more than 64 KiB at once", () => {
      using cleanup = new Cleanup();
      const [here, there] = cleanup.pair();
      // A Unix socket of macOS takes 8 KiB, and sendAll() would wait for the rest of them to be read.
      here.setsockopt(SOL_SOCKET, SO_SNDBUF, 200_000);
      there.setsockopt(SOL_SOCKET, SO_RCVBUF, 200_000);
      const sent = Uint8Array.from({ length: 100_000 }, (_, i) => i % 251);
      here.sendAll(sent);
      const first = there.recv(99_999, MSG_WAITALL);
      assertEquals(first, sent.subarray(0, 99_999));
      assertEquals(there.recv(1_000_000), sent.subarray(99_999));
    });

    test("recvInto() fills a view and nothing beside it", () => {
      using cleanup = new Cleanup();
      const [here, there] = cleanup.pair();
      here.sendAll(bytes("abcdefgh"));
      const whole = new Uint8Array(10).fill(46);
      assertEquals(there.recvInto(whole.subarray(3, 6)), 3);
      assertEquals(text(whole), "...abc....");
      assertEquals(there.tryRecvInto(whole.subarray(8)), 2);
      assertEquals(text(whole), "...abc..de");
      assertEquals(there.recvInto(whole), 3);
      assertEquals(text(whole), "fghabc..de");
    });

    test("send() sends a view and nothing beside it", () => {
      using cleanup = new Cleanup();
      const [here, there] = cleanup.pair();
      const whole = bytes("abcdefgh");
      assertEquals(here.send(whole.subarray(2, 4)), 2);
      assertEquals(here.trySend(whole.subarray(6)), 2);
      here.sendAll(whole.subarray(0, 1));
      assertEquals(text(there.recv(100)), "cdgha");
    });

    test("send() and recvInto() use shared memory in place, also once they are compiled", () => {
      using cleanup = new Cleanup();
      const [here, there] = cleanup.pair();
      const shared = new SharedArrayBuffer(12);
      const out = new Uint8Array(shared, 1, 4);
      const into = new Uint8Array(shared, 7, 4);
      let wrong = 0;
      for (let i = 0; i < 50_000; i++) {
        out[3] = i;
        into[3] = ~i;
        if (here.send(out) !== 4 || there.recvInto(into) !== 4 || into[3] !== (i & 0xff)) wrong++;
      }
      assertEquals(wrong, 0);
      assertEquals([...new Uint8Array(shared)].filter((_, i) => [0, 5, 6, 11].includes(i)), [0, 0, 0, 0]);
    });

    test(
      "send() and recvInto() keep sizes apart that have a slot of the cache in common",
      { needs: [UNIX_SOCKETS] },
      () => {
        using cleanup = new Cleanup();
        const [here, there] = cleanup.pair(AF_UNIX, SOCK_DGRAM);
        // macOS takes 2 KiB and keeps 4.
        here.setsockopt(SOL_SOCKET, SO_SNDBUF, 20_000);
        there.setsockopt(SOL_SOCKET, SO_RCVBUF, 20_000);
        const buffer = new Uint8Array(10_000);
        for (const size of [1, 1025, 1, 2049, 0, 1024, 0, 1025, 8193, 1]) {
          assertEquals(here.send(new Uint8Array(size)), size);
          assertEquals(there.recvInto(buffer), size);
        }
      },
    );

    test("MSG_PEEK leaves the bytes in the queue", () => {
      using cleanup = new Cleanup();
      const [here, there] = cleanup.pair();
      here.sendAll(bytes("abc"));
      assertEquals(text(there.recv(2, MSG_PEEK)), "ab");
      const buffer = new Uint8Array(3);
      assertEquals(there.tryRecvInto(buffer, MSG_PEEK), 3);
      assertEquals(text(there.recv(100)), "abc");
    });

    test("MSG_OOB sends and receives urgent data", { needs: [OOB] }, () => {
      using cleanup = new Cleanup();
      const [client, server] = cleanup.pair(AF_INET);
      assertEquals(client.send(bytes("abc!"), MSG_OOB), 4);
      assertEquals(select([], [], [server], 10)[2], [server]);
      assertEquals(text(server.recv(10, MSG_OOB)), "!");
      assertEquals(text(server.recv(10)), "abc");
      assertCode(() => server.recv(10, MSG_OOB), "EINVAL");

      const [other, inline] = cleanup.pair(AF_INET);
      inline.setsockopt(SOL_SOCKET, SO_OOBINLINE, true);
      other.send(bytes("?"), MSG_OOB);
      assertEquals(text(inline.recv(10)), "?");
    });

    test("MSG_DONTWAIT does not block, this once", { needs: [RECV_DONTWAIT] }, () => {
      using cleanup = new Cleanup();
      const [, there] = cleanup.pair();
      assertEquals(there.tryRecvInto(new Uint8Array(1), MSG_DONTWAIT), null);
      assertCode(() => there.recv(1, MSG_DONTWAIT), "EAGAIN", "recv");
      assertCode(() => there.recvFrom(1, MSG_DONTWAIT), "EAGAIN", "recvfrom");
      assert(there.getBlocking());
    });

    test("MSG_DONTWAIT does not block a send(), this once", { needs: [SEND_DONTWAIT] }, () => {
      using cleanup = new Cleanup();
      const [here] = cleanup.pair();
      const much = new Uint8Array(1 << 20);
      while (here.trySend(much, MSG_DONTWAIT) !== null);
      assertCode(() => here.send(much, MSG_DONTWAIT), "EAGAIN", "send");
    });

    test("MSG_WAITALL waits until the buffer is full", () => {
      using cleanup = new Cleanup();
      const [here, there] = cleanup.pair(AF_INET);
      here.setsockopt(IPPROTO_TCP, TCP_NODELAY, true);
      for (const part of ["ab", "cd", "ef"]) here.send(bytes(part));
      assertEquals(text(there.recv(6, MSG_WAITALL)), "abcdef");
    });

    test("trySend() takes a part, then gives null, and send() and sendAll() throw EAGAIN", {
      needs: [lackedBy({ windows: "Winsock takes a buffer of any size as long as there is room at all" })],
    }, () => {
      using cleanup = new Cleanup();
      const [here, there] = cleanup.pair();
      here.setBlocking(false);
      const much = new Uint8Array(2 << 20).map((_, i) => i % 253);
      const first = here.trySend(much);
      assert(first !== null && first > 0 && first < much.length, `${first} bytes of ${much.length} were taken`);
      let sent = first;
      for (let count; (count = here.trySend(much.subarray(sent))) !== null;) sent += count;
      assertEquals(here.trySend(much), null);
      assertCode(() => here.send(much), "EAGAIN", "send");
      assertCode(() => here.sendAll(much), "EAGAIN", "send");
      assertEquals(select([], [here], [], 0)[1], []);

      there.setBlocking(false);
      const received = new Uint8Array(sent + 1);
      let got = 0;
      for (let count; (count = there.tryRecvInto(received.subarray(got))) !== null;) got += count;
      assertEquals(got, sent);
      // In words, since a comparison of millions of single bytes takes seconds.
      assertStrictEquals(text(received.subarray(0, got)), text(much.subarray(0, sent)));
      assertNotEquals(here.trySend(much), null);
    });

    test("tryRecvInto() gives null if there is nothing, and recv() and recvInto() throw EAGAIN", () => {
      using cleanup = new Cleanup();
      const [here, there] = cleanup.pair();
      there.setBlocking(false);
      const buffer = new Uint8Array(10);
      assertEquals(there.tryRecvInto(buffer), null);
      const error = assertThrows(() => there.recvInto(buffer), OSError);
      assertEquals(error.message, `recv fd ${there.fileno()}: Resource temporarily unavailable (EAGAIN)`);
      assertCode(() => there.recv(10), "EAGAIN", "recv");
      here.send(bytes("x"));
      assertEquals(there.tryRecvInto(buffer), 1);
      here.close();
      assertEquals(there.tryRecvInto(buffer), 0);
    });

    test("sendAll() sends nothing and returns if there is nothing to send", () => {
      using cleanup = new Cleanup();
      const [here, there] = cleanup.pair();
      here.sendAll(new Uint8Array(0));
      there.setBlocking(false);
      assertEquals(there.tryRecvInto(new Uint8Array(1)), null);
    });

    test("sendAll() goes on after each part that was taken", () => {
      using cleanup = new Cleanup();
      const server = listener(cleanup);
      const client = cleanup.add(new InParts());
      client.connect(server.getsockname());
      const [connection] = server.accept();
      cleanup.add(connection);
      client.sendAll(bytes("0123456789"));
      client.sendAll(bytes("abcdefghi").subarray(2));
      assertEquals(text(connection.recv(17, MSG_WAITALL)), "0123456789cdefghi");
      client.shutdown(SHUT_WR);
      assertEquals(connection.recv(1).length, 0);
    });

    test("sendAll() in a worker sends 100 MB through a socket pair, and every byte arrives", async () => {
      const size = 100_000_000;
      const sender = `
        import { Socket } from ${SOCKET};
        ${checksum}
        onmessage = ({ data: fd }) => {
          const socket = Socket.fromFd(fd);
          const chunk = new Uint8Array(3_000_007);
          let sum = 1;
          for (let left = ${size}, seed = 1; left > 0; left -= chunk.length) {
            for (let i = 0; i < chunk.length; i++) chunk[i] = (seed = Math.imul(seed, 1664525) + 1013904223 | 0) >>> 24;
            const part = chunk.subarray(0, Math.min(left, chunk.length));
            socket.sendAll(part);
            sum = checksum(sum, part);
          }
          socket.close();
          postMessage(sum);
        };
      `;
      const printed = await printedBy(`
        import { socketpair } from ${SOCKET};
        ${checksum}
        const worker = new Worker(${JSON.stringify(moduleOf(sender))}, { type: "module" });
        const [here, there] = socketpair();
        worker.postMessage(here.detach());
        const sent = new Promise((resolve) => worker.onmessage = ({ data }) => resolve(data));
        const buffer = new Uint8Array(1 << 18);
        let total = 0;
        let sum = 1;
        for (let count; (count = there.recvInto(buffer)) > 0; total += count) {
          sum = checksum(sum, buffer.subarray(0, count));
        }
        console.log(JSON.stringify([total, sum === await sent]));
        Deno.exit();
      `);
      assertEquals(printed, [size, true]);
    });

    test("trySend() and tryRecvInto() in turn move 20 MB through a TCP connection", () => {
      using cleanup = new Cleanup();
      const [here, there] = cleanup.pair(AF_INET);
      here.setBlocking(false);
      there.setBlocking(false);
      const data = new Uint8Array(20_000_003).map((_, i) => Math.imul(i, 2654435761) >>> 24);
      const buffer = new Uint8Array(100_003);
      let sent = 0;
      let total = 0;
      let received = 1;
      while (total < data.length) {
        if (sent < data.length) sent += here.trySend(data.subarray(sent)) ?? 0;
        const count = there.tryRecvInto(buffer);
        if (count === null) waitReadable(there);
        else received = checksum(received, buffer.subarray(0, count));
        total += count ?? 0;
      }
      assertEquals([sent, total], [data.length, data.length]);
      assertEquals(received, checksum(1, data));
    });
  });

  describe("arguments", () => {
    for (const [name, call] of BYTE_CALLS) {
      test(`${name} throws TypeError for what is no Uint8Array`, () => {
        using cleanup = new Cleanup();
        const here = udp(cleanup);
        here.setBlocking(false);
        const wrong = [
          null,
          undefined,
          "text",
          5,
          [1, 2],
          {},
          new ArrayBuffer(4),
          new SharedArrayBuffer(4),
          new DataView(new ArrayBuffer(4)),
          new Uint8ClampedArray(4),
          new Uint16Array(4),
        ];
        for (const value of wrong) assertThrows(() => call(here, value as never), TypeError, "as bytes");
      });

      test(`${name} throws TypeError for a detached buffer`, () => {
        using cleanup = new Cleanup();
        const here = udp(cleanup);
        here.setBlocking(false);
        assertThrows(() => call(here, detached()), TypeError, "detached");
        assertThrows(() => call(here, lying(detached(), 8)), TypeError, "detached");
        assertThrows(() => call(here, Object.setPrototypeOf(detached(), Liar.prototype)), TypeError, "detached");
      });

      test(`${name} throws TypeError for an array of a buffer that was shrunk`, () => {
        using cleanup = new Cleanup();
        const here = udp(cleanup);
        here.setBlocking(false);
        for (const length of [8, undefined]) {
          const buffer = new ArrayBuffer(16, { maxByteLength: 16 });
          const array = new Uint8Array(buffer, 8, length);
          buffer.resize(8);
          assertThrows(() => call(here, array), TypeError, "shrunk");
          assertThrows(() => call(here, lying(array, 8)), TypeError, "shrunk");
        }
      });
    }

    for (const [name, make] of LIARS) {
      test(`recvInto(), tryRecvInto() and read() fill an array to its true length, whatever it claims: ${name}`, () => {
        using cleanup = new Cleanup();
        const [here, there] = cleanup.pair();
        const [reader, writer] = cleanup.pipe();
        const message = new Uint8Array(500).fill(1);
        there.sendAll(message);
        assertEquals(write(writer, message), 500);
        const calls = [
          (array: Uint8Array) => here.recvInto(array),
          (array: Uint8Array) => here.tryRecvInto(array),
          (array: Uint8Array) => read(reader, array),
        ];
        for (const call of calls) {
          const memory = new ArrayBuffer(1000); // holds what would else overwrite memory of others
          assertEquals(call(make(memory)), 100);
          assertEquals(new Uint8Array(memory), new Uint8Array(1000).fill(1, 50, 150));
        }
      });

      test(`send(), trySend(), sendAll(), sendTo() and write() send no byte more or less: ${name}`, () => {
        using cleanup = new Cleanup();
        const [here, there] = cleanup.pair();
        const [reader, writer] = cleanup.pipe();
        const server = listener(cleanup);
        const inParts = cleanup.add(new InParts());
        inParts.connect(server.getsockname());
        const connection = cleanup.add(server.accept()[0]);
        const [from, to] = [udp(cleanup), udp(cleanup)];
        const readAll = () => {
          const buffer = new Uint8Array(1000);
          return buffer.slice(0, read(reader, buffer));
        };
        const recvAll = () => connection.recv(100, MSG_WAITALL);
        const calls: [send: (array: Uint8Array) => unknown, receive: () => Uint8Array][] = [
          [(array) => here.send(array), () => there.recv(1000)],
          [(array) => here.trySend(array), () => there.recv(1000)],
          [(array) => here.sendAll(array), () => there.recv(1000)],
          [(array) => inParts.sendAll(array), recvAll],
          [(array) => from.sendTo(array, to.getsockname()), () => to.recv(1000)],
          [(array) => write(writer, array), readAll],
        ];
        for (const [index, [send, receive]] of calls.entries()) {
          const memory = new Uint8Array(1000).fill(index + 1, 50, 150).buffer;
          send(make(memory));
          assertEquals(receive(), new Uint8Array(100).fill(index + 1));
        }
        inParts.shutdown(SHUT_WR);
        assertEquals(connection.recv(1).length, 0);
      });
    }

    test("setsockopt() passes all bytes of a value that claims to have fewer", () => {
      using cleanup = new Cleanup();
      const socket = cleanup.add(new Socket());
      socket.setsockopt(SOL_SOCKET, SO_KEEPALIVE, lying(new Uint8Array(new Int32Array([1]).buffer), 1));
      assertNotEquals(socket.getsockopt(SOL_SOCKET, SO_KEEPALIVE), 0);
    });

    for (const [name, call] of BYTE_CALLS) {
      test(`${name} throws TypeError for an object that only looks like a Uint8Array`, () => {
        using cleanup = new Cleanup();
        const here = udp(cleanup);
        here.setBlocking(false);
        const looks = [
          new Proxy(new Uint8Array(4), {}),
          Object.create(Uint8Array.prototype),
          Object.setPrototypeOf(new Float64Array(4), Uint8Array.prototype),
          Object.setPrototypeOf(new ArrayBuffer(4), Uint8Array.prototype),
          { __proto__: Uint8Array.prototype, [Symbol.toStringTag]: "Uint8Array", byteLength: 4, length: 4 },
        ];
        for (const value of looks) assertThrows(() => call(here, value), TypeError, "as bytes");
      });
    }

    test("sendTo() throws TypeError for data that is detached while the address is read", () => {
      using cleanup = new Cleanup();
      const socket = udp(cleanup);
      const data = new Uint8Array(8);
      const address = {
        hostname: "127.0.0.1",
        get port() {
          if (data.length > 0) structuredClone(data, { transfer: [data.buffer] });
          return 9;
        },
      };
      assertThrows(() => socket.sendTo(data, address), TypeError, "detached");
    });

    test("recvInto() keeps to a short array after one whose length has the same low 32 bits", {
      needs: [LONG_ARRAYS, SIZE_CACHE],
    }, () => {
      using cleanup = new Cleanup();
      const [here, there] = cleanup.pair();
      const long = new Uint8Array(LONG); // never touched, and so without memory behind it
      const closed = new Socket();
      closed.close();
      assertCode(() => closed.send(long), "EBADF");
      there.send(bytes("0123456789"));
      const memory = new Uint8Array(100);
      assertEquals(here.recvInto(memory.subarray(0, 5)), 5);
      assertEquals(text(memory.subarray(0, 10)), "01234\0\0\0\0\0");
    });

    test("send(), sendAll() and recvInto() take Buffers of node:buffer, and arrays over shared memory", () => {
      using cleanup = new Cleanup();
      const server = listener(cleanup);
      const client = cleanup.add(new InParts());
      client.connect(server.getsockname());
      const connection = cleanup.add(server.accept()[0]);
      client.sendAll(Buffer.from("a Buffer")); // one from Node's pool, with an offset
      const buffer = Buffer.alloc(8);
      assertEquals(connection.recvInto(buffer, MSG_WAITALL), 8);
      assertEquals(buffer.toString(), "a Buffer");
      assertEquals(connection.send(buffer.subarray(2)), 6);
      const shared = new Uint8Array(new SharedArrayBuffer(16), 4, 8);
      assertEquals(client.recvInto(shared), 6);
      assertEquals(text(new Uint8Array(shared)), "Buffer\0\0");
      client.sendAll(shared);
      assertEquals(text(connection.recv(8, MSG_WAITALL)), "Buffer\0\0");
      assertEquals(client.send(new Uint8Array(new SharedArrayBuffer(0))), 0);
    });

    test("recv(), recvFrom() and getsockopt() throw RangeError for a size that C would read otherwise", {
      needs: [ANY_OPTION],
    }, () => {
      using cleanup = new Cleanup();
      const [here, there] = cleanup.pair();
      there.send(bytes("abc"));
      for (const size of [2 ** 32, 2 ** 31, NaN, -1, 1.5, Infinity, -Infinity]) {
        assertThrows(() => here.recv(size), RangeError, "from 0 to 2147483647");
        assertThrows(() => here.recvFrom(size), RangeError, "from 0 to 2147483647");
        assertThrows(() => here.getsockopt(SOL_SOCKET, SO_LINGER, size), RangeError, "from 0 to 2147483647");
      }
      for (const size of ["3", null, undefined, 3n, true] as never[]) {
        assertThrows(() => here.recv(size), TypeError, "from 0 to 2147483647");
        assertThrows(() => here.recvFrom(size), TypeError, "from 0 to 2147483647");
        if (size === undefined) continue; // then the option is a number
        assertThrows(() => here.getsockopt(SOL_SOCKET, SO_LINGER, size), TypeError, "from 0 to 2147483647");
      }
      assertEquals(here.recv(-0).length, 0);
      assertEquals(here.recvFrom(-0)[0].length, 0);
      if (!isWindows) assertEquals(here.getsockopt(SOL_SOCKET, SO_LINGER, -0).length, 0);
      assertEquals(text(here.recv(3)), "abc", "None of them took any bytes");
    });

    for (const [name, call] of ADDRESS_CALLS) {
      test(`${name} throws RangeError for a port that is none`, () => {
        using cleanup = new Cleanup();
        const socket = cleanup.add(new Socket(AF_INET, SOCK_DGRAM));
        for (const port of [65536, -1, 1.5, NaN, Infinity, 2 ** 32 + 80]) {
          const address = { hostname: "127.0.0.1", port };
          assertThrows(() => call(socket, address), RangeError, "it must be an integer from 0 to 65535");
        }
        for (const port of ["80", undefined, null, 80n] as never[]) {
          assertThrows(() => call(socket, { hostname: "127.0.0.1", port }), TypeError, "it must be a number");
        }
      });

      test(`${name} throws TypeError for an address of the wrong shape or family`, () => {
        using cleanup = new Cleanup();
        const inet = cleanup.add(new Socket(AF_INET, SOCK_DGRAM));
        const unix = isWindows ? null : cleanup.add(new Socket(AF_UNIX, SOCK_DGRAM));
        const wrong = [
          null,
          undefined,
          80,
          "127.0.0.1:80",
          ["127.0.0.1", 80],
          {},
          { hostname: 1, port: 80 },
          { hostname: null, port: 80 },
          { port: 80 },
          { path: 1 },
          { path: bytes("/tmp/x") },
        ];
        for (const address of wrong) {
          for (const socket of unix === null ? [inet] : [inet, unix]) {
            assertThrows(() => call(socket, address as never), TypeError, "as an address");
          }
        }
        assertThrows(() => call(inet, { path: "/tmp/x" }), TypeError, "{ hostname, port }");
        if (unix !== null) assertThrows(() => call(unix, { hostname: "127.0.0.1", port: 80 }), TypeError, "{ path }");
      });
    }

    test("bind() takes a path of as many bytes as the struct has room for, and throws RangeError for more", {
      needs: [UNIX_SOCKETS],
    }, () => {
      using cleanup = new Cleanup();
      const path = folder(cleanup) + "/";
      const room = (isLinux ? 108 : 104) - 1;
      const longest = path + "é".repeat(Math.floor((room - path.length) / 2)) + ((room - path.length) % 2 ? "x" : "");
      assertEquals(bytes(longest).length, room);
      const socket = cleanup.add(new Socket(AF_UNIX, SOCK_DGRAM));
      socket.bind({ path: longest });
      assertEquals(socket.getsockname(), { path: longest });
      const other = cleanup.add(new Socket(AF_UNIX, SOCK_DGRAM));
      assertEquals(other.sendTo(bytes("x"), { path: longest }), 1);
      assertThrows(() => other.bind({ path: longest + "x" }), RangeError, "a socket path");
      assertThrows(() => other.connect({ path: "/" + "é".repeat(60) }), RangeError, "a socket path");
    });

    test("bind() takes an abstract name of 108 bytes, and throws RangeError for more", { needs: [LINUX] }, () => {
      using cleanup = new Cleanup();
      const longest = `\0${crypto.randomUUID()}`.padEnd(108, "x");
      const socket = cleanup.add(new Socket(AF_UNIX, SOCK_DGRAM));
      assertThrows(() => socket.bind({ path: longest + "x" }), RangeError, "a socket path");
      socket.bind({ path: longest });
      assertEquals(socket.getsockname(), { path: longest });
    });

    test("bind() throws RangeError for a path with a null character, which would name another file", {
      needs: [UNIX_SOCKETS],
    }, () => {
      using cleanup = new Cleanup();
      const path = folder(cleanup);
      const socket = cleanup.add(new Socket(AF_UNIX));
      assertThrows(() => socket.bind({ path: `${path}/a\0b` }), RangeError, "null character");
      assertThrows(() => socket.connect({ path: `${path}/a\0` }), RangeError, "null character");
      assertEquals([...Deno.readDirSync(path)], []);
    });

    for (const [name, call] of ADDRESS_CALLS) {
      test(`${name} throws for a lone surrogate in a path or a hostname, and names no other file`, () => {
        using cleanup = new Cleanup();
        const directory = folder(cleanup);
        const inet = cleanup.add(new Socket(AF_INET, SOCK_DGRAM));
        const unix = isWindows ? null : cleanup.add(new Socket(AF_UNIX, SOCK_DGRAM));
        for (const lone of ["\ud800", "\udfff", "\udc80", "\ude00\ud83d", "\ud83d\ud83d\ude00"]) {
          for (const path of [`${directory}/a${lone}b`, `\0${directory}${lone}`]) {
            if (unix === null) continue;
            assertThrows(() => call(unix, { path }), RangeError, "lone surrogate");
            assertThrows(() => createServer({ path }, { family: AF_UNIX }), RangeError, "lone surrogate");
          }
          assertThrows(() => call(inet, { hostname: lone, port: 9 }), TypeError, "lone surrogate");
        }
        assertEquals([...Deno.readDirSync(directory)], []);
      });
    }

    test("bind() and getsockname() keep every character of a path", { needs: [LINUX] }, () => {
      using cleanup = new Cleanup();
      const socket = cleanup.add(new Socket(AF_UNIX));
      const path = `${folder(cleanup)}/\ufeff\u{1f600} \ufffd\u0080é`;
      socket.bind({ path });
      assertEquals(socket.getsockname(), { path });
    });

    test(
      "getsockname() and recvFrom() give the bytes of a path that is not UTF-8 as lone surrogates",
      { needs: [LINUX] },
      () => {
        using cleanup = new Cleanup();
        const directory = folder(cleanup);
        const cases: [ending: number[], shown: string][] = [
          [[0xff], "\udcff"],
          [[0x61, 0xc3, 0xa9, 0xc3, 0x62], "aé\udcc3b"], // a character, and the first half of one
          [[0xe2, 0x82, 0xf0, 0x9f, 0x98, 0x80, 0x80], "\udce2\udc82\u{1f600}\udc80"],
          [[0xed, 0xa0, 0x80], "\udced\udca0\udc80"], // what encodes a surrogate is not UTF-8
        ];
        for (const [index, [ending, shown]] of cases.entries()) {
          for (const prefix of [`${directory}/${index}`, `\0${directory}/${index}`]) {
            const sockaddr = encodeUnix(prefix + "?".repeat(ending.length));
            sockaddr.set(ending, sockaddr.indexOf("?".charCodeAt(0)));
            const server = cleanup.add(new Socket(AF_UNIX, SOCK_DGRAM));
            assertEquals(posix.bind(server.fileno(), sockaddr), 0);
            const address = { path: prefix + shown };
            assertEquals(server.getsockname(), address);
            const other = cleanup.add(new Socket(AF_UNIX, SOCK_DGRAM));
            other.bind({ path: `${prefix} other` });
            assertEquals(server.sendTo(bytes("x"), other.getsockname()), 1);
            assertEquals(other.recvFrom(1), [bytes("x"), address]);
            assertThrows(() => other.sendTo(bytes("x"), address), RangeError, "lone surrogate");
          }
        }
      },
    );

    test("connect(), bind() and sendTo() throw TypeError for a hostname with a null character, where C would cut it off", () => {
      using cleanup = new Cleanup();
      const socket = cleanup.add(new Socket(AF_INET, SOCK_DGRAM));
      for (const hostname of ["127.0.0.1\0.example.com", "127.0.0.1\0", "localhost\0", "\0"]) {
        for (const [, call] of ADDRESS_CALLS) {
          assertThrows(() => call(socket, { hostname, port: 9 }), TypeError, "null character");
        }
      }
    });

    for (const [error, values] of NOT_INTEGERS) {
      test(`new Socket() and socketpair() throw ${error.name} for ${values.map(String).join(", ")}`, () => {
        for (const wrong of values as number[]) {
          assertThrows(() => new Socket(wrong), error, "as address family");
          assertThrows(() => new Socket(AF_INET, wrong), error, "as socket type");
          assertThrows(() => new Socket(AF_INET, SOCK_STREAM, wrong), error, "as protocol");
          assertThrows(() => socketpair(wrong), error, "as address family");
          assertThrows(() => socketpair(AF_UNIX, wrong), error, "as socket type");
          assertThrows(() => socketpair(AF_UNIX, SOCK_STREAM, wrong), error, "as protocol");
        }
      });

      test(`listen(), shutdown(), flags and options throw ${error.name} for ${values.map(String).join(", ")}`, () => {
        using cleanup = new Cleanup();
        const socket = cleanup.add(new Socket());
        const one = bytes("x");
        const address = { hostname: "127.0.0.1", port: 9 };
        for (const wrong of values as number[]) {
          assertThrows(() => socket.listen(wrong), error, "as backlog");
          assertThrows(() => createServer({ ...address, port: 0 }, { backlog: wrong }), error, "as backlog");
          assertThrows(() => createServer(address, { family: wrong }), error, "as address family");
          assertThrows(() => socket.shutdown(wrong), error, "as half");
          assertThrows(() => socket.getsockopt(wrong, SO_TYPE), error, "as level");
          assertThrows(() => socket.getsockopt(SOL_SOCKET, wrong), error, "as option");
          assertThrows(() => socket.setsockopt(wrong, SO_REUSEADDR, 1), error, "as level");
          assertThrows(() => socket.setsockopt(SOL_SOCKET, wrong, 1), error, "as option");
          assertThrows(() => socket.recv(1, wrong), error, "as flags");
          assertThrows(() => socket.recvInto(one, wrong), error, "as flags");
          assertThrows(() => socket.recvFrom(1, wrong), error, "as flags");
          assertThrows(() => socket.send(one, wrong), error, "as flags");
          assertThrows(() => socket.sendAll(one, wrong), error, "as flags");
          assertThrows(() => socket.sendTo(one, address, wrong), error, "as flags");
        }
        assertFalse(Boolean(socket.getsockopt(SOL_SOCKET, SO_ACCEPTCONN)));
      });
    }

    test("new Socket() throws what the system says of a kind that it does not have", () => {
      assertCode(() => new Socket(200), "EAFNOSUPPORT", "socket");
      const mismatch = os === "darwin" ? "EPROTOTYPE" : "EPROTONOSUPPORT";
      assertCode(() => new Socket(AF_INET, SOCK_STREAM, IPPROTO_UDP), mismatch, "socket");
      assertCode(() => new Socket(AF_INET, SOCK_DGRAM, IPPROTO_TCP), mismatch, "socket");
    });
  });

  describe("shutdown", () => {
    test("shutdown(SHUT_WR) ends what the peer receives, and leaves the other direction", () => {
      using cleanup = new Cleanup();
      const [client, server] = cleanup.pair(AF_INET);
      client.send(bytes("last words"));
      client.shutdown(SHUT_WR);
      assertEquals(text(server.recv(100)), "last words");
      assertEquals(server.recv(100).length, 0);
      assertBroken(() => client.send(bytes("x")), "send");
      server.send(bytes("heard"));
      assertEquals(text(client.recv(100)), "heard");
    });

    test("shutdown(SHUT_RD) ends what the socket itself receives", { needs: [SHUTDOWN_READ] }, () => {
      using cleanup = new Cleanup();
      const [here, there] = cleanup.pair();
      here.shutdown(SHUT_RD);
      assertEquals(here.recv(100).length, 0);
      assertBroken(() => there.send(bytes("x")), "send");
      here.send(bytes("x"));
      assertEquals(text(there.recv(100)), "x");
    });

    test("shutdown(SHUT_RDWR) ends both directions", { needs: [SHUTDOWN_READ] }, () => {
      using cleanup = new Cleanup();
      const [here, there] = cleanup.pair();
      here.shutdown(SHUT_RDWR);
      assertEquals([here.recv(1).length, there.recv(1).length], [0, 0]);
      assertBroken(() => here.send(bytes("x")));
      assertBroken(() => there.send(bytes("x")));
    });

    test("shutdown() throws ENOTCONN without a connection, and EINVAL for a half that is none", () => {
      using cleanup = new Cleanup();
      const socket = cleanup.add(new Socket());
      const error = assertThrows(() => socket.shutdown(SHUT_WR), OSError);
      assertEquals(
        error.message,
        `shutdown fd ${socket.fileno()}: Transport endpoint is not connected (ENOTCONN)`,
      );
      assertCode(() => cleanup.pair()[0].shutdown(3), "EINVAL", "shutdown");
    });
  });

  describe("closing", () => {
    test("close() twice is quiet, and fileno() is -1 after it", () => {
      const [here, there] = socketpair();
      assertGreaterOrEqual(here.fileno(), 0);
      here.close();
      assertEquals(here.fileno(), -1);
      here.close();
      there.close();
      assertEquals(here.fileno(), -1);
    });

    test("close() does not touch a descriptor that has the number since", () => {
      const first = new Socket();
      const fd = first.fileno();
      first.close();
      using second = new Socket();
      assertEquals(second.fileno(), fd, "The lowest free number is taken");
      first.close();
      assertEquals(second.getsockopt(SOL_SOCKET, SO_TYPE), SOCK_STREAM);
    });

    test("close() of a number that was closed behind its back throws EBADF, once", () => {
      const socket = new Socket();
      const fd = socket.fileno();
      close(fd);
      const error = assertThrows(() => socket.close(), OSError);
      assertEquals(error.message, `close fd ${fd}: Bad file descriptor (EBADF)`);
      socket.close();
      assertEquals(socket.fileno(), -1);
    });

    test("detach() gives the descriptor away, open, and the socket counts as closed", () => {
      const socket = new Socket(AF_INET, SOCK_DGRAM);
      const fd = socket.fileno();
      assertEquals(socket.detach(), fd);
      assertEquals(socket.fileno(), -1);
      assertEquals(socket.detach(), -1);
      socket.close();
      using again = Socket.fromFd(fd);
      assertEquals([again.fileno(), again.type], [fd, SOCK_DGRAM]);
    });

    test("using closes the socket at the end of its block", () => {
      let outside: Socket;
      let fd: number;
      {
        using inside = new Socket();
        outside = inside;
        fd = inside.fileno();
        assertGreaterOrEqual(fd, 0);
      }
      assertEquals(outside.fileno(), -1);
      assertCode(() => close(fd), "EBADF", "close");
    });

    test("every method throws EBADF once the socket is closed", () => {
      const inet = new Socket();
      const address: Address = { hostname: "127.0.0.1", port: 9 };
      inet.close();
      const calls: Record<string, () => unknown> = {
        bind: () => inet.bind(address),
        listen: () => inet.listen(),
        accept: () => inet.accept(),
        tryAccept: () => inet.tryAccept(),
        connect: () => inet.connect(address),
        recv: () => inet.recv(1),
        recvInto: () => inet.recvInto(new Uint8Array(1)),
        tryRecvInto: () => inet.tryRecvInto(new Uint8Array(1)),
        recvFrom: () => inet.recvFrom(1),
        send: () => inet.send(bytes("x")),
        trySend: () => inet.trySend(bytes("x")),
        sendAll: () => inet.sendAll(bytes("x")),
        sendTo: () => inet.sendTo(bytes("x"), address),
        shutdown: () => inet.shutdown(SHUT_RDWR),
        getsockname: () => inet.getsockname(),
        getpeername: () => inet.getpeername(),
        setsockopt: () => inet.setsockopt(SOL_SOCKET, SO_REUSEADDR, 1),
        getsockopt: () => inet.getsockopt(SOL_SOCKET, SO_TYPE),
        getsockoptBytes: () => inet.getsockopt(SOL_SOCKET, SO_LINGER, 8),
        setBlocking: () => inet.setBlocking(false),
        getBlocking: () => inet.getBlocking(),
      };
      for (const [name, call] of Object.entries(calls)) {
        const error = assertThrows(call, OSError);
        assertEquals([name, error.code], [name, "EBADF"]);
        assertMatch(error.message, / (fd -1|127\.0\.0\.1:9): Bad file descriptor/);
      }
      assertEquals(inet.connectEx(address), "EBADF");
      assertEquals([inet.family, inet.type, inet.protocol], [AF_INET, SOCK_STREAM, 0]);
    });
  });

  describe("fromFd", () => {
    const kinds: readonly [name: string, family: number, type: number, protocol: number, need: Need][] = [
      ["a TCP socket", AF_INET, SOCK_STREAM, IPPROTO_TCP, null],
      ["a UDP socket", AF_INET, SOCK_DGRAM, IPPROTO_UDP, null],
      ["a TCP socket over IPv6", AF_INET6, SOCK_STREAM, IPPROTO_TCP, IPV6],
      ["a UDP socket over IPv6", AF_INET6, SOCK_DGRAM, IPPROTO_UDP, IPV6],
      ["a Unix stream", AF_UNIX, SOCK_STREAM, 0, UNIX_SOCKETS],
      ["a Unix datagram socket", AF_UNIX, SOCK_DGRAM, 0, UNIX_SOCKETS],
      ["a Unix socket of records", AF_UNIX, SOCK_SEQPACKET, 0, LINUX],
    ];
    for (const [name, family, type, protocol, need] of kinds) {
      test(`fromFd() knows ${name} from its descriptor`, { needs: [need] }, () => {
        const fd = new Socket(family, type).detach();
        using socket = Socket.fromFd(fd);
        // macOS has no SO_PROTOCOL.
        const known = os === "darwin" ? 0 : protocol;
        assertEquals([socket.fileno(), socket.family, socket.type, socket.protocol], [fd, family, type, known]);
        assertEquals(socket.getsockopt(SOL_SOCKET, SO_TYPE), type);
        if (isWindows || os === "darwin") return;
        assertEquals(socket.getsockopt(SOL_SOCKET, SO_PROTOCOL), protocol);
      });
    }

    test("fromFd() takes over a listener and a connection", () => {
      using cleanup = new Cleanup();
      const server = cleanup.add(Socket.fromFd(listener(cleanup).detach()));
      const client = cleanup.add(new Socket());
      client.connect(server.getsockname());
      const connection = cleanup.add(Socket.fromFd(server.accept()[0].detach()));
      client.send(bytes("x"));
      assertEquals(text(connection.recv(10)), "x");
      assertEquals(connection.getpeername(), client.getsockname());
    });

    test("fromFd() throws ENOTSOCK for a descriptor that is no socket, and leaves it open", { needs: [PIPES] }, () => {
      using cleanup = new Cleanup();
      const [reader, writer] = cleanup.pipe();
      const error = assertThrows(() => Socket.fromFd(reader), OSError);
      assertEquals(error.message, `getsockopt fd ${reader}: Socket operation on non-socket (ENOTSOCK)`);
      write(writer, bytes("x"));
      assertEquals(read(reader, new Uint8Array(2)), 1);
    });

    test("fromFd() throws EBADF for a descriptor that is closed", () => {
      assertCode(() => Socket.fromFd(0x7fff_ffff), "EBADF");
      const socket = new Socket();
      const fd = socket.fileno();
      socket.close();
      assertCode(() => Socket.fromFd(fd), "EBADF");
    });

    test("fromFd(), read(), write(), close() and setBlocking() refuse what is no descriptor", () => {
      const calls: ((fd: number) => unknown)[] = [
        (fd) => Socket.fromFd(fd),
        (fd) => read(fd, new Uint8Array(1)),
        (fd) => write(fd, new Uint8Array(1)),
        (fd) => close(fd),
        (fd) => setBlocking(fd, true),
      ];
      for (const call of calls) {
        for (const fd of [-1, 2 ** 31, 2 ** 32, -(2 ** 31)]) assertThrows(() => call(fd), RangeError, String(fd));
        for (const fd of [NaN, 0.5, Infinity, "0", null, undefined, {}] as number[]) {
          assertThrows(() => call(fd), TypeError, "file object");
        }
      }
    });
  });

  describe("names", () => {
    test("getsockname() gives zeros for a socket that is not bound", { needs: [UNBOUND_NAMES] }, () => {
      using cleanup = new Cleanup();
      assertEquals(cleanup.add(new Socket()).getsockname(), { hostname: "0.0.0.0", port: 0 });
      assertEquals(cleanup.add(new Socket(AF_UNIX)).getsockname(), { path: "" });
    });

    test("getsockname() gives zeros for an IPv6 socket that is not bound", { needs: [IPV6, UNBOUND_NAMES] }, () => {
      using socket = new Socket(AF_INET6);
      assertEquals(socket.getsockname(), { hostname: "::", port: 0 });
    });

    test("getpeername() throws ENOTCONN without a connection, and the pair of socketpair() has no names", {
      needs: [UNIX_SOCKETS],
    }, () => {
      using cleanup = new Cleanup();
      const socket = cleanup.add(new Socket());
      assertCode(() => socket.getpeername(), "ENOTCONN", "getpeername");
      assertCode(() => cleanup.add(new Socket(AF_UNIX)).getpeername(), "ENOTCONN", "getpeername");
      const [here] = cleanup.pair();
      assertEquals([here.getsockname(), here.getpeername()], [{ path: "" }, { path: "" }]);
    });

    test("bind() of an empty hostname means every address of this machine", () => {
      using cleanup = new Cleanup();
      const server = cleanup.add(new Socket());
      server.bind({ hostname: "", port: 0 });
      server.listen();
      assertEquals(server.getsockname(), { hostname: "0.0.0.0", port: portOf(server) });
      const client = cleanup.add(new Socket());
      client.connect({ hostname: "127.0.0.1", port: portOf(server) });
      cleanup.add(server.accept()[0]);
    });

    test("bind() of an empty hostname means every IPv6 address of this machine", { needs: [IPV6] }, () => {
      using cleanup = new Cleanup();
      const server = cleanup.add(new Socket(AF_INET6));
      server.bind({ hostname: "", port: 0 });
      assertEquals(server.getsockname(), { hostname: "::", port: portOf(server) });
    });

    test("accept() gives an IPv4 peer's address within IPv6", { needs: [IPV6] }, () => {
      using cleanup = new Cleanup();
      const server = cleanup.add(new Socket(AF_INET6));
      server.setsockopt(IPPROTO_IPV6, IPV6_V6ONLY, false);
      server.bind({ hostname: "", port: 0 });
      server.listen();
      const client = cleanup.add(new Socket());
      client.connect({ hostname: "127.0.0.1", port: portOf(server) });
      const [connection, address] = server.accept();
      cleanup.add(connection);
      assertEquals(address, { hostname: "::ffff:127.0.0.1", port: portOf(client) });
    });

    test('bind() of "<broadcast>" means the broadcast address', { needs: [LINUX] }, () => {
      using cleanup = new Cleanup();
      const socket = cleanup.add(new Socket(AF_INET, SOCK_DGRAM));
      socket.bind({ hostname: "<broadcast>", port: 0 });
      assertEquals((socket.getsockname() as InetAddress).hostname, "255.255.255.255");
    });

    test("connect(), bind() and sendTo() resolve localhost", () => {
      using cleanup = new Cleanup();
      const server = listener(cleanup);
      const client = cleanup.add(new Socket());
      client.connect({ hostname: "localhost", port: portOf(server) });
      assertEquals(client.getpeername(), server.getsockname());
      assertEquals(cleanup.add(new Socket()).connectEx({ hostname: "localhost", port: portOf(server) }), null);

      const receiver = cleanup.add(new Socket(AF_INET, SOCK_DGRAM));
      receiver.bind({ hostname: "localhost", port: 0 });
      assertEquals((receiver.getsockname() as InetAddress).hostname, "127.0.0.1");
      const sender = udp(cleanup);
      sender.sendTo(bytes("x"), { hostname: "localhost", port: portOf(receiver) });
      assertEquals(receiver.recvFrom(10), [bytes("x"), sender.getsockname()]);
    });

    test("connect() and connectEx() throw the resolver's error for a name that it does not know", () => {
      using cleanup = new Cleanup();
      const socket = cleanup.add(new Socket());
      // Longer than a name can be, so that no server is asked.
      const hostname = "a".repeat(300);
      for (
        const call of [() => socket.connect({ hostname, port: 80 }), () => socket.connectEx({ hostname, port: 80 })]
      ) {
        const error = assertThrows(call, OSError);
        assertMatch(error.code, /^EAI_/);
        assertEquals(error.syscall, "getaddrinfo");
      }
    });

    test("connect() throws the resolver's error for an address of the other family", {
      needs: [IPV6, lackedBy({ windows: "Wine lets a number of Linux's through" })],
    }, () => {
      using cleanup = new Cleanup();
      assertMatch(
        assertThrows(() => cleanup.add(new Socket()).connect({ hostname: "::1", port: 80 }), OSError).code,
        /^EAI_/,
      );
      assertMatch(
        assertThrows(() => cleanup.add(new Socket(AF_INET6)).connect({ hostname: "127.0.0.1", port: 80 }), OSError)
          .code,
        /^EAI_/,
      );
    });

    test("bind() takes the short forms of an IPv4 address, as every program on a Unix does", () => {
      using cleanup = new Cleanup();
      const socket = cleanup.add(new Socket());
      socket.bind({ hostname: "127.1", port: 0 });
      assertEquals((socket.getsockname() as InetAddress).hostname, "127.0.0.1");
    });

    const scoped = "bind(), sendTo() and getsockname() know the interface of a link-local address";
    if (linkLocal === undefined) {
      skip(scoped, "this machine has no link-local IPv6 address");
    } else {
      test(scoped, { needs: [INTERFACE_NAMES] }, () => {
        using cleanup = new Cleanup();
        const { address, name, scopeid } = linkLocal;
        const socket = cleanup.add(new Socket(AF_INET6, SOCK_DGRAM));
        const refused = os === "darwin" ? "EADDRNOTAVAIL" : "EINVAL";
        assertCode(() => socket.bind({ hostname: address, port: 0 }), refused, "bind");
        socket.bind({ hostname: `${address}%${name}`, port: 0 });
        const bound = socket.getsockname();
        assertEquals(bound, { hostname: `${address}%${scopeid}`, port: portOf(socket) });
        // What is given can be taken, and a datagram to one's own address never leaves the machine.
        socket.sendTo(bytes("x"), bound);
        assertEquals(socket.recvFrom(10), [bytes("x"), bound]);
        assertEquals(getaddrinfo(`${address}%${name}`, 7)[0]?.address, { hostname: `${address}%${scopeid}`, port: 7 });
      });
    }
  });

  describe("options", () => {
    test("setsockopt() takes numbers and switches, getsockopt() gives numbers", () => {
      using cleanup = new Cleanup();
      const socket = cleanup.add(new Socket());
      // The BSDs give the bit of the option for a switch that is on, the others 1.
      const isOn = (level: number, option: number) => socket.getsockopt(level, option) !== 0;
      for (const [value, expected] of [[true, true], [false, false], [1, true], [0, false]] as const) {
        socket.setsockopt(SOL_SOCKET, SO_REUSEADDR, value);
        assertEquals(isOn(SOL_SOCKET, SO_REUSEADDR), expected);
        socket.setsockopt(SOL_SOCKET, SO_KEEPALIVE, value);
        assertEquals(isOn(SOL_SOCKET, SO_KEEPALIVE), expected);
        socket.setsockopt(IPPROTO_TCP, TCP_NODELAY, value);
        assertEquals(isOn(IPPROTO_TCP, TCP_NODELAY), expected);
      }
      socket.setsockopt(IPPROTO_IP, IP_TTL, 33);
      assertEquals(socket.getsockopt(IPPROTO_IP, IP_TTL), 33);
      for (const option of [SO_SNDBUF, SO_RCVBUF]) {
        socket.setsockopt(SOL_SOCKET, option, 20_000);
        assertGreaterOrEqual(socket.getsockopt(SOL_SOCKET, option), 20_000);
        assertLess(socket.getsockopt(SOL_SOCKET, option), 80_001);
      }
      assertEquals(isOn(SOL_SOCKET, SO_ACCEPTCONN), false);
      socket.bind({ hostname: "127.0.0.1", port: 0 });
      socket.listen();
      assertEquals(isOn(SOL_SOCKET, SO_ACCEPTCONN), true);
    });

    test("setsockopt() and getsockopt() take and give bytes", { needs: [LINGER, ANY_OPTION] }, () => {
      using cleanup = new Cleanup();
      const socket = cleanup.add(new Socket());
      const linger = new Uint8Array(new Int32Array([1, 7]).buffer);
      socket.setsockopt(SOL_SOCKET, SO_LINGER, linger);
      assertEquals(socket.getsockopt(SOL_SOCKET, SO_LINGER, 8), linger);
      assertEquals(socket.getsockopt(SOL_SOCKET, SO_LINGER, 100), linger);
      assertEquals(socket.getsockopt(SOL_SOCKET, SO_LINGER, 4), linger.slice(0, 4));
      assertEquals(socket.getsockopt(SOL_SOCKET, SO_LINGER), 1);
      assertEquals(socket.getsockopt(SOL_SOCKET, SO_LINGER, 0).length, 0);
    });

    test("setsockopt() and getsockopt() take and give negative numbers", { needs: [LINUX, ANY_OPTION] }, () => {
      using cleanup = new Cleanup();
      const SO_PEEK_OFF = 42; // asm-generic/socket.h
      const [here, there] = cleanup.pair();
      assertEquals(here.getsockopt(SOL_SOCKET, SO_PEEK_OFF), -1);
      here.setsockopt(SOL_SOCKET, SO_PEEK_OFF, 1);
      there.send(bytes("abc"));
      assertEquals(text(here.recv(10, MSG_PEEK)), "bc");
      here.setsockopt(SOL_SOCKET, SO_PEEK_OFF, -1);
      assertEquals(here.getsockopt(SOL_SOCKET, SO_PEEK_OFF), -1);
      assertEquals(text(here.recv(10, MSG_PEEK)), "abc");
    });

    test("setsockopt() of -1 gives an option its default again", { needs: [IPV6] }, () => {
      using cleanup = new Cleanup();
      const socket = cleanup.add(new Socket(AF_INET6));
      const usual = socket.getsockopt(IPPROTO_IPV6, IPV6_UNICAST_HOPS);
      socket.setsockopt(IPPROTO_IPV6, IPV6_UNICAST_HOPS, 5);
      assertEquals(socket.getsockopt(IPPROTO_IPV6, IPV6_UNICAST_HOPS), 5);
      socket.setsockopt(IPPROTO_IPV6, IPV6_UNICAST_HOPS, -1);
      assertEquals(socket.getsockopt(IPPROTO_IPV6, IPV6_UNICAST_HOPS), usual);
    });

    test("setsockopt() and getsockopt() throw ENOPROTOOPT for an option that is none", () => {
      using cleanup = new Cleanup();
      const socket = cleanup.add(new Socket());
      assertCode(() => socket.getsockopt(SOL_SOCKET, 9999), "ENOPROTOOPT", "getsockopt");
      assertCode(() => socket.getsockopt(SOL_SOCKET, 9999, 8), "ENOPROTOOPT", "getsockopt");
      assertCode(() => socket.setsockopt(SOL_SOCKET, 9999, 1), "ENOPROTOOPT", "setsockopt");
      assertCode(() => socket.setsockopt(SOL_SOCKET, 9999, bytes("x".repeat(8))), "ENOPROTOOPT", "setsockopt");
    });

    test("setsockopt() throws EINVAL for a value that is refused, RangeError or TypeError for what is none", () => {
      using cleanup = new Cleanup();
      const socket = cleanup.add(new Socket());
      if (os !== "darwin") assertCode(() => socket.setsockopt(IPPROTO_IP, IP_TTL, 0), "EINVAL", "setsockopt");
      assertCode(() => socket.setsockopt(IPPROTO_IP, IP_TTL, 256), "EINVAL", "setsockopt");
      for (const value of [2 ** 31, NaN, 1.5, -(2 ** 31) - 1]) {
        assertThrows(() => socket.setsockopt(SOL_SOCKET, SO_REUSEADDR, value), RangeError, "option value");
      }
      for (const value of [undefined, "1", 1n, () => 1] as never[]) {
        assertThrows(() => socket.setsockopt(SOL_SOCKET, SO_REUSEADDR, value), TypeError, "option value");
      }
      for (const value of [null, [1], {}, new ArrayBuffer(4), new Int32Array(1)]) {
        assertThrows(() => socket.setsockopt(SOL_SOCKET, SO_REUSEADDR, value as never), TypeError, "as bytes");
      }
      assertThrows(() => socket.setsockopt(SOL_SOCKET, SO_REUSEADDR, detached()), TypeError, "detached");
    });
  });

  describe("blocking", () => {
    test("setBlocking() and getBlocking() change and tell whether calls block", () => {
      using cleanup = new Cleanup();
      const [here] = cleanup.pair();
      assert(here.getBlocking());
      here.setBlocking(false);
      assertFalse(here.getBlocking());
      here.setBlocking(false);
      assertFalse(here.getBlocking());
      assertEquals(here.tryRecvInto(new Uint8Array(1)), null);
      here.setBlocking(true);
      assert(here.getBlocking());
    });

    test("setBlocking() leaves the other flags of a descriptor as they are", { needs: [LINUX] }, () => {
      const F_GETFL = 3;
      const O_WRONLY_APPEND = 0o2001;
      const O_NONBLOCK = 0o4000;
      const fd = libc!.open(bytes("/dev/null\0"), O_WRONLY_APPEND);
      const before = libc!.fcntl(fd, F_GETFL);
      setBlocking(fd, false);
      assertEquals(libc!.fcntl(fd, F_GETFL), before | O_NONBLOCK);
      setBlocking(fd, true);
      assertEquals(libc!.fcntl(fd, F_GETFL), before);
      close(fd);
    });

    test("type is the type alone for a socket made with SOCK_NONBLOCK, which does not block", {
      needs: [NONBLOCK_FLAG],
    }, () => {
      using cleanup = new Cleanup();
      const path = `${folder(cleanup)}/server`;
      for (const type of [SOCK_STREAM, SOCK_DGRAM]) {
        for (const flags of [SOCK_NONBLOCK, SOCK_CLOEXEC, SOCK_NONBLOCK | SOCK_CLOEXEC]) {
          const one = cleanup.add(new Socket(AF_INET, type | flags));
          const pair = socketpair(AF_UNIX, type | flags).map((socket) => cleanup.add(socket));
          for (const socket of [one, ...pair]) {
            assertEquals([socket.type, socket.getsockopt(SOL_SOCKET, SO_TYPE)], [type, type]);
            assertEquals(socket.getBlocking(), (flags & SOCK_NONBLOCK) === 0);
            assertStringIncludes(Deno.inspect(socket), `type: ${type},`);
          }
          const again = cleanup.add(Socket.fromFd(one.detach()));
          assertEquals([again.type, again.getBlocking()], [type, (flags & SOCK_NONBLOCK) === 0]);
        }
      }
      const server = cleanup.add(new Socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC));
      server.bind({ path });
      server.listen();
      assertEquals(server.tryAccept(), null);
      const client = cleanup.add(new Socket(AF_UNIX));
      client.connect({ path });
      const connection = cleanup.add(server.accept()[0]);
      assertEquals([connection.type, connection.getBlocking()], [SOCK_STREAM, true]);
      assertEquals([server.type, server.getBlocking()], [SOCK_STREAM, false]);
    });

    test("recv() of a blocking socket waits until something comes", async () => {
      const receiver = `
        import { Socket } from ${SOCKET};
        onmessage = ({ data: fd }) => {
          postMessage("waits");
          postMessage(new TextDecoder().decode(Socket.fromFd(fd).recv(100)));
        };
      `;
      const printed = await printedBy(`
        import { socketpair } from ${SOCKET};
        const worker = new Worker(${JSON.stringify(moduleOf(receiver))}, { type: "module" });
        const [here, there] = socketpair();
        worker.postMessage(here.detach());
        await new Promise((resolve) => worker.onmessage = resolve);
        const answer = new Promise((resolve) => worker.onmessage = ({ data }) => resolve(data));
        await new Promise((resolve) => setTimeout(resolve, 50)); // An answer before the send would be seen now.
        there.send(new TextEncoder().encode("at last"));
        console.log(JSON.stringify(await answer));
        Deno.exit();
      `);
      assertEquals(printed, "at last");
    });
  });

  test("Deno.inspect() shows the descriptor and the kind", { needs: [UNIX_SOCKETS] }, () => {
    using socket = new Socket(AF_UNIX, SOCK_DGRAM);
    assertEquals(
      Deno.inspect(socket),
      `Socket { fd: ${socket.fileno()}, family: ${AF_UNIX}, type: ${SOCK_DGRAM}, protocol: 0 }`,
    );
  });

  for (const family of [AF_INET, AF_UNIX]) {
    const needs = [family === AF_UNIX ? UNIX_SOCKETS : NODE_NET];
    test(`detach() hands ${family === AF_UNIX ? "a Unix" : "a TCP"} connection on to node:net`, { needs }, async () => {
      using cleanup = new Cleanup();
      const [here, there] = family === AF_UNIX ? socketpair() : tcpPair();
      cleanup.add(there);
      const socket = new net.Socket({ fd: here.detach() });
      await new Promise((resolve) => socket.write("ping", resolve));
      assertEquals(text(there.recv(100)), "ping");
      const answer = once(socket, "data");
      there.send(bytes("pong"));
      assertEquals(text((await answer)[0]), "pong");
      const end = once(socket, "close");
      there.close();
      await end;
      assertEquals(here.fileno(), -1);
    });
  }
});

describe("socketpair", () => {
  const own = lackedBy({ windows: "it has a test of its own in windows_test.ts" });
  const types = [["SOCK_STREAM", SOCK_STREAM, own], ["SOCK_DGRAM", SOCK_DGRAM, UNIX_SOCKETS]] as const;
  for (const [name, type, need] of types) {
    test(`socketpair() makes two connected sockets of type ${name}`, { needs: [need] }, () => {
      using cleanup = new Cleanup();
      const [here, there] = cleanup.pair(AF_UNIX, type);
      for (const socket of [here, there]) {
        assertEquals([socket.family, socket.type, socket.protocol], [AF_UNIX, type, 0]);
        assertEquals(socket.getsockopt(SOL_SOCKET, SO_TYPE), type);
      }
      assertNotEquals(here.fileno(), there.fileno());
      here.send(bytes("one"));
      here.send(bytes("two"));
      assertEquals(text(there.recv(100)), type === SOCK_STREAM ? "onetwo" : "one");
      there.send(bytes("back"));
      assertEquals(text(here.recv(100)), "back");
    });
  }

  test("socketpair() makes two connected sockets of type SOCK_SEQPACKET", { needs: [LINUX] }, () => {
    using cleanup = new Cleanup();
    const [here, there] = cleanup.pair(AF_UNIX, SOCK_SEQPACKET);
    assertEquals(here.type, SOCK_SEQPACKET);
    here.send(bytes("one"));
    here.send(bytes("two"));
    assertEquals(text(there.recv(100)), "one");
    here.close();
    assertEquals([text(there.recv(100)), there.recv(100).length], ["two", 0]);
  });

  test("socketpair() throws what the system says of a family that has no pairs", {
    needs: [lackedBy({ windows: "it has a test in windows_test.ts" })],
  }, () => {
    assertCode(() => socketpair(AF_INET), "EOPNOTSUPP", "socketpair");
    assertCode(() => socketpair(200), "EAFNOSUPPORT", "socketpair");
  });
});

describe("getaddrinfo", () => {
  test("getaddrinfo() takes an address in numbers as it is", () => {
    assertEquals(getaddrinfo("127.0.0.1", 80), [{
      family: AF_INET,
      type: SOCK_STREAM,
      protocol: isWindows ? 0 : IPPROTO_TCP,
      canonname: "",
      address: { hostname: "127.0.0.1", port: 80 },
    }]);
    assertEquals(getaddrinfo("2001:DB8:0::1", 65535, { type: SOCK_DGRAM, flags: AI_NUMERICHOST }), [{
      family: AF_INET6,
      type: SOCK_DGRAM,
      protocol: isWindows ? 0 : IPPROTO_UDP,
      canonname: "",
      address: { hostname: "2001:db8::1", port: 65535 },
    }]);
    assertEquals(getaddrinfo("127.0.0.1", 0)[0].address, { hostname: "127.0.0.1", port: 0 });
    assertEquals(getaddrinfo("127.0.0.1", "8080")[0].address, { hostname: "127.0.0.1", port: 8080 });
  });

  test("getaddrinfo() gives every type for type 0, and what the hints ask for otherwise", {
    needs: [lackedBy({ windows: "Winsock gives type 0 for type 0" })],
  }, () => {
    const types = getaddrinfo("127.0.0.1", 80, { type: 0 }).map(({ type }) => type);
    assert(types.includes(SOCK_STREAM) && types.includes(SOCK_DGRAM), `${types}`);
    assertEquals(getaddrinfo("127.0.0.1", 80, { type: 0, protocol: IPPROTO_UDP }).map(({ type }) => type), [
      SOCK_DGRAM,
    ]);
    assertEquals(getaddrinfo("127.0.0.1", 80, { family: AF_UNSPEC }).map(({ family }) => family), [AF_INET]);
  });

  test("getaddrinfo() knows localhost as an address of this machine", () => {
    const found = getaddrinfo("localhost", 7);
    assertGreater(found.length, 0);
    for (const { address } of found) {
      assertMatch((address as InetAddress).hostname, /^(127\.0\.0\.1|::1)$/);
      assertEquals((address as InetAddress).port, 7);
    }
    assertEquals(getaddrinfo("localhost", 7, { family: AF_INET })[0]?.address, { hostname: "127.0.0.1", port: 7 });
  });

  test("getaddrinfo(null) means the loopback address, and with AI_PASSIVE every address", () => {
    assertEquals(getaddrinfo(null, 7, { family: AF_INET }).map(({ address }) => address), [
      { hostname: "127.0.0.1", port: 7 },
    ]);
    assertEquals(getaddrinfo(null, 7, { family: AF_INET, flags: AI_PASSIVE }).map(({ address }) => address), [
      { hostname: "0.0.0.0", port: 7 },
    ]);
    assertEquals(getaddrinfo(null, 7, { family: AF_INET6, flags: AI_PASSIVE }).map(({ address }) => address), [
      { hostname: "::", port: 7 },
    ]);
    assertEquals(getaddrinfo(null, 7, { family: AF_INET6 }).map(({ address }) => address), [
      { hostname: "::1", port: 7 },
    ]);
  });

  test("getaddrinfo() gives the canonical name if AI_CANONNAME asks for it", () => {
    if (os !== "darwin") { // which has no canonical name for an address in numbers
      assertEquals(getaddrinfo("127.0.0.1", 80, { flags: AI_CANONNAME })[0]?.canonname, "127.0.0.1");
    }
    assertStringIncludes(getaddrinfo("localhost", 80, { family: AF_INET, flags: AI_CANONNAME })[0]!.canonname, "local");
    assertEquals(getaddrinfo("localhost", 80, { family: AF_INET })[0]!.canonname, "");
  });

  test("getaddrinfo() throws an OSError with the resolver's own code", {
    needs: [lackedBy({ windows: "Winsock refuses less: see windows_test.ts" })],
  }, () => {
    const error = assertThrows(() => getaddrinfo("localhost", 80, { flags: AI_NUMERICHOST }), OSError);
    assertEquals(error.message, "getaddrinfo localhost: Name or service not known (EAI_NONAME)");
    assertEquals([error.code, error.syscall, error.name], ["EAI_NONAME", "getaddrinfo", "OSError"]);
    assertCode(() => getaddrinfo("127.0.0.1", 80, { family: 12345 }), "EAI_FAMILY");
    if (os !== "darwin") assertCode(() => getaddrinfo("127.0.0.1", 80, { flags: -1 }), "EAI_BADFLAGS");
    // Longer than a name can be, so that no server is asked.
    assertMatch(assertThrows(() => getaddrinfo("a".repeat(300), 80), OSError).code, /^EAI_/);
  });

  test("getaddrinfo() throws RangeError for a port that is none, and TypeError for what is no name", () => {
    for (const port of [65536, -1, 1.5, NaN, "65536", "-1", "1.5", "", "http", " 80"]) {
      assertThrows(() => getaddrinfo("127.0.0.1", port), RangeError, "from 0 to 65535");
    }
    for (const port of [undefined, 80n, true, {}] as never[]) {
      assertThrows(() => getaddrinfo("127.0.0.1", port), TypeError, "from 0 to 65535");
    }
    for (const name of ["127.0.0.1\0", "local\0host", "\ud800", "local\udc80host", 5, undefined, {}]) {
      assertThrows(() => getaddrinfo(name as string, 80), TypeError, "without null characters or lone surrogates");
    }
  });
});

describe("pipe", () => {
  test("pipe() makes two descriptors: what is written to the second is read from the first", { needs: [PIPES] }, () => {
    using cleanup = new Cleanup();
    const [reader, writer] = cleanup.pipe();
    const whole = bytes("abcdef");
    assertEquals(write(writer, whole.subarray(1, 5)), 4);
    const buffer = new Uint8Array(8).fill(46);
    assertEquals(read(reader, buffer.subarray(2, 4)), 2);
    assertEquals(text(buffer), "..bc....");
    assertEquals(read(reader, buffer), 2);
    assertEquals(text(buffer), "debc....");
    cleanup.close(writer);
    assertEquals(read(reader, buffer), 0);
  });

  test("read() and write() throw EAGAIN on descriptors that do not block", { needs: [PIPES] }, () => {
    using cleanup = new Cleanup();
    const [reader, writer] = cleanup.pipe();
    setBlocking(reader, false);
    setBlocking(writer, false);
    const error = assertThrows(() => read(reader, new Uint8Array(1)), OSError);
    assertEquals(error.message, `read fd ${reader}: Resource temporarily unavailable (EAGAIN)`);
    const much = new Uint8Array(1 << 20);
    const first = write(writer, much);
    assert(first > 0 && first < much.length, `${first} bytes were taken`);
    assertCode(() => write(writer, much), "EAGAIN", "write");
    assertEquals(read(reader, much), first);
    assertCode(() => read(reader, much), "EAGAIN", "read");
  });

  test("write() throws EPIPE if nobody reads, and the process lives on", { needs: [PIPES] }, () => {
    using cleanup = new Cleanup();
    const [reader, writer] = cleanup.pipe();
    cleanup.close(reader);
    const error = assertThrows(() => write(writer, bytes("x")), OSError);
    assertEquals(error.message, `write fd ${writer}: Broken pipe (EPIPE)`);
  });

  test(
    "read(), write(), close() and setBlocking() throw EBADF for a descriptor that is closed",
    { needs: [PIPES] },
    () => {
      const [reader, writer] = pipe();
      close(reader);
      close(writer);
      assertCode(() => read(reader, new Uint8Array(1)), "EBADF", "read");
      assertCode(() => write(writer, bytes("x")), "EBADF", "write");
      assertCode(() => close(writer), "EBADF", "close");
      assertCode(() => setBlocking(writer, true), "EBADF", "fcntl");
    },
  );

  test("read() and write() throw EBADF for the wrong end", { needs: [PIPES] }, () => {
    using cleanup = new Cleanup();
    const [reader, writer] = cleanup.pipe();
    assertCode(() => read(writer, new Uint8Array(1)), "EBADF", "read");
    assertCode(() => write(reader, bytes("x")), "EBADF", "write");
  });

  test("read() and write() work on sockets too", () => {
    using cleanup = new Cleanup();
    const [here, there] = cleanup.pair();
    assertEquals(write(here.fileno(), bytes("abc")), 3);
    const buffer = new Uint8Array(3);
    assertEquals(read(there.fileno(), buffer), 3);
    assertEquals(text(buffer), "abc");
  });
});

if (libc === null) {
  skip("every way to make a descriptor makes it close-on-exec", `there is no fcntl() on ${os}`);
} else {
  const { fcntl } = libc;
  test("every way to make a descriptor makes it close-on-exec", () => {
    using cleanup = new Cleanup();
    const server = listener(cleanup);
    const client = cleanup.add(new Socket());
    client.connect(server.getsockname());
    const [connection] = server.accept();
    cleanup.add(connection);
    const [tried] = tryAcceptOne(cleanup, server);
    const made = [server, client, connection, tried, udp(cleanup), cleanup.add(new Socket(AF_UNIX))];
    const fds = [
      ...made.map((socket) => socket.fileno()),
      ...cleanup.pair().map((socket) => socket.fileno()),
      ...cleanup.pair(AF_UNIX, SOCK_DGRAM).map((socket) => socket.fileno()),
      ...cleanup.pipe(),
    ];
    assertEquals(fds.filter((fd) => (fcntl(fd, F_GETFD) & FD_CLOEXEC) === 0), []);
  });

  test("what makes descriptors in two steps, for macOS, makes them close-on-exec and blocking too", () => {
    using cleanup = new Cleanup();
    const server = listener(cleanup);
    server.setBlocking(false);
    cleanup.add(new Socket()).connect(server.getsockname());
    waitReadable(server);
    const makers = posix.inSteps();
    const [pair, ends] = [new Int32Array(2), new Int32Array(2)];
    assertEquals(makers.socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    assertEquals(makers.pipe(ends), 0);
    const sockaddr = new Uint8Array(16);
    const accepted = makers.accept(server.fileno(), sockaddr, new Uint32Array([16]));
    const fds = [makers.socket(AF_INET, SOCK_STREAM, 0), accepted, ...pair, ...ends];
    for (const fd of fds) cleanup.defer(() => close(fd));
    assertEquals(fds.map((fd) => fcntl(fd, F_GETFD)), fds.map(() => FD_CLOEXEC)); // and nothing else
    assert(Socket.fromFd(accepted).getBlocking());
    assertEquals(makers.socket(200, SOCK_STREAM, 0) < 0, true);
    assertEquals(makers.socketpair(200, SOCK_STREAM, 0, pair) < 0, true);
    assertEquals(write(ends[1]!, bytes("x")), 1);
    assertEquals(read(ends[0]!, new Uint8Array(2)), 1);
  });
}

function tryAcceptOne(cleanup: Cleanup, server: Socket): [Socket, Address] {
  cleanup.add(new Socket()).connect(server.getsockname());
  server.setBlocking(false);
  waitReadable(server);
  const accepted = server.tryAccept();
  assertInstanceOf(accepted?.[0], Socket);
  cleanup.add(accepted[0]);
  return accepted;
}

/** A sum that changes with the order of the bytes, so that it can go on from part to part. */
function checksum(sum: number, data: Uint8Array): number {
  for (let i = 0; i < data.length; i++) sum = (Math.imul(sum, 31) + data[i]!) | 0;
  return sum;
}
