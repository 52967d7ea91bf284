/**
 * The lifecycle of a socket: `fromFd()`, `shutdown()`, `close()` and `detach()`.
 *
 * @module
 */

import { assertEquals, assertGreaterOrEqual, assertMatch, assertThrows } from "@std/assert";
import { describe } from "@std/testing/bdd";
import { once } from "node:events";
import net from "node:net";
import { os } from "../ffi/os/systems.ts";
import {
  type Address,
  AF_INET,
  AF_INET6,
  AF_UNIX,
  close,
  IPPROTO_TCP,
  IPPROTO_UDP,
  OSError,
  read,
  setBlocking,
  SHUT_RD,
  SHUT_RDWR,
  SHUT_WR,
  SO_LINGER,
  SO_PROTOCOL,
  SO_REUSEADDR,
  SO_TYPE,
  SOCK_DGRAM,
  SOCK_SEQPACKET,
  SOCK_STREAM,
  Socket,
  socketpair,
  SOL_SOCKET,
  write,
} from "../ffi/socket/mod.ts";
import { lackedBy, LINUX } from "./support/needs.ts";
import { assertBroken, assertCode, IPV6, listener, PIPES, UNIX_SOCKETS } from "./support/sockets.ts";
import { bytes, Cleanup, isWindows, type Need, tcpPair, test, text } from "./support/util.ts";

/** A `shutdown(SHUT_RD)` that also ends the output of a Unix socket's peer. */
const SHUTDOWN_READ = lackedBy({
  darwin: "shutdown(SHUT_RD) on macOS lets the peer of a Unix socket continue to send",
  windows: "Winsock fails with another error, or succeeds",
});

/** `node:net` on an existing descriptor. */
const NODE_NET = lackedBy({ windows: "node:net does not respond to an existing descriptor under Wine" });

describe("Socket: fromFd()", () => {
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
    test(`fromFd() recognizes ${name}`, { needs: [need] }, () => {
      const fd = new Socket(family, type).detach();
      using socket = Socket.fromFd(fd);
      // macOS does not have SO_PROTOCOL.
      const known = os === "darwin" ? 0 : protocol;
      assertEquals([socket.fileno(), socket.family, socket.type, socket.protocol], [fd, family, type, known]);
      assertEquals(socket.getsockopt(SOL_SOCKET, SO_TYPE), type);
      if (isWindows || os === "darwin") return;
      assertEquals(socket.getsockopt(SOL_SOCKET, SO_PROTOCOL), protocol);
    });
  }

  test("fromFd() adopts a listener and a connection", () => {
    using cleanup = new Cleanup();
    const server = cleanup.add(Socket.fromFd(listener(cleanup).detach()));
    const client = cleanup.add(new Socket());
    client.connect(server.getsockname());
    const connection = cleanup.add(Socket.fromFd(server.accept()[0].detach()));
    client.send(bytes("x"));
    assertEquals(text(connection.recv(10)), "x");
    assertEquals(connection.getpeername(), client.getsockname());
  });

  test("fromFd() throws ENOTSOCK for a descriptor that is not a socket, and leaves it open", { needs: [PIPES] }, () => {
    using cleanup = new Cleanup();
    const [reader, writer] = cleanup.pipe();
    const error = assertThrows(() => Socket.fromFd(reader), OSError);
    assertEquals(error.message, `getsockopt fd ${reader}: Socket operation on non-socket (ENOTSOCK)`);
    write(writer, bytes("x"));
    assertEquals(read(reader, new Uint8Array(2)), 1);
  });

  test("fromFd() throws EBADF for a closed descriptor", () => {
    assertCode(() => Socket.fromFd(0x7fff_ffff), "EBADF");
    const socket = new Socket();
    const fd = socket.fileno();
    socket.close();
    assertCode(() => Socket.fromFd(fd), "EBADF");
  });

  test("fromFd(), read(), write(), close() and setBlocking() throw for an invalid descriptor", () => {
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

describe("Socket: shutdown()", () => {
  test("shutdown(SHUT_WR) ends the peer's input, and leaves the other direction open", () => {
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

  test("shutdown(SHUT_RD) ends the socket's own input", { needs: [SHUTDOWN_READ] }, () => {
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

  test("shutdown() throws ENOTCONN without a connection, and EINVAL for an invalid direction", () => {
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

describe("Socket: close() and detach()", () => {
  test("close() does nothing the second time, and fileno() returns -1 after it", () => {
    const [here, there] = socketpair();
    assertGreaterOrEqual(here.fileno(), 0);
    here.close();
    assertEquals(here.fileno(), -1);
    here.close();
    there.close();
    assertEquals(here.fileno(), -1);
  });

  test("close() does not close a new descriptor with the same number", () => {
    const first = new Socket();
    const fd = first.fileno();
    first.close();
    using second = new Socket();
    assertEquals(second.fileno(), fd, "The lowest free number is taken");
    first.close();
    assertEquals(second.getsockopt(SOL_SOCKET, SO_TYPE), SOCK_STREAM);
  });

  test("close() throws EBADF once if the descriptor was closed elsewhere", () => {
    const socket = new Socket();
    const fd = socket.fileno();
    close(fd);
    const error = assertThrows(() => socket.close(), OSError);
    assertEquals(error.message, `close fd ${fd}: Bad file descriptor (EBADF)`);
    socket.close();
    assertEquals(socket.fileno(), -1);
  });

  test("detach() returns the open descriptor, and closes the Socket", () => {
    const socket = new Socket(AF_INET, SOCK_DGRAM);
    const fd = socket.fileno();
    assertEquals(socket.detach(), fd);
    assertEquals(socket.fileno(), -1);
    assertEquals(socket.detach(), -1);
    socket.close();
    using again = Socket.fromFd(fd);
    assertEquals([again.fileno(), again.type], [fd, SOCK_DGRAM]);
  });

  test("Socket is closed at the end of a using block", () => {
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

  test("Socket throws EBADF from every method once it is closed", () => {
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

  test("Deno.inspect() shows the descriptor and the kind", { needs: [UNIX_SOCKETS] }, () => {
    using socket = new Socket(AF_UNIX, SOCK_DGRAM);
    assertEquals(
      Deno.inspect(socket),
      `Socket { fd: ${socket.fileno()}, family: ${AF_UNIX}, type: ${SOCK_DGRAM}, protocol: 0 }`,
    );
  });

  for (const family of [AF_INET, AF_UNIX]) {
    const needs = [family === AF_UNIX ? UNIX_SOCKETS : NODE_NET];
    test(`detach() hands ${family === AF_UNIX ? "a Unix" : "a TCP"} connection to node:net`, { needs }, async () => {
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
