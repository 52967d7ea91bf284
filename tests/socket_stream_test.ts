/**
 * Stream sockets: connections, backlogs, and the errors of both ends.
 *
 * @module
 */

import { assert, assertEquals, assertGreater, assertMatch, assertThrows } from "@std/assert";
import { describe } from "@std/testing/bdd";
import { errnoCode } from "../ffi/os/errno.ts";
import { select } from "../ffi/select/mod.ts";
import {
  type Address,
  AF_INET,
  AF_INET6,
  AF_UNIX,
  type InetAddress,
  MSG_NOSIGNAL,
  OSError,
  SO_ERROR,
  SO_LINGER,
  SOCK_SEQPACKET,
  SOCK_STREAM,
  Socket,
  SOL_SOCKET,
} from "../ffi/socket/mod.ts";
import { lackedBy, LINUX } from "./support/needs.ts";
import {
  assertBroken,
  assertCode,
  folder,
  IPV6,
  listener,
  LOOPBACK,
  portOf,
  UNIX_ERRORS,
  UNIX_SOCKETS,
  waitReadable,
} from "./support/sockets.ts";
import { bytes, Cleanup, RESET_ON_CLOSE, test, text } from "./support/util.ts";

/** Returns the address of a bound socket that is not listening. */
function deadAddress(cleanup: Cleanup): Address {
  const socket = cleanup.add(new Socket());
  socket.bind({ hostname: "127.0.0.1", port: 0 });
  return socket.getsockname();
}

describe("Socket: stream sockets", () => {
  for (const [name, family] of [["IPv4", AF_INET], ["IPv6", AF_INET6]] as const) {
    const needs = [family === AF_INET ? null : IPV6];

    test(`accept() returns a connection and its peer's address over ${name}`, { needs }, () => {
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

    test(`connect() throws ECONNREFUSED without a listener over ${name}`, { needs }, () => {
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

  test("accept() returns a connection over a Unix path, whose file remains until it is removed", {
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

  test("accept() returns the path of a bound peer", { needs: [UNIX_SOCKETS] }, () => {
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

  test("bind() accepts an abstract name, which has no file and may contain null bytes", { needs: [LINUX] }, () => {
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

  test("connect() throws ENOENT for a missing path", { needs: [UNIX_SOCKETS] }, () => {
    using cleanup = new Cleanup();
    const socket = cleanup.add(new Socket(AF_UNIX));
    const path = `${folder(cleanup)}/none`;
    const error = assertThrows(() => socket.connect({ path }), OSError);
    assertEquals(error.message, `connect ${JSON.stringify(path)}: No such file or directory (ENOENT)`);
    assertEquals(socket.connectEx({ path }), "ENOENT");
  });

  test("SOCK_SEQPACKET preserves record boundaries", { needs: [LINUX] }, () => {
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

  test("bind() throws EADDRINUSE for an address in use", () => {
    using cleanup = new Cleanup();
    const server = listener(cleanup);
    const second = cleanup.add(new Socket());
    const error = assertThrows(() => second.bind(server.getsockname()), OSError);
    assertEquals(error.message, `bind 127.0.0.1:${portOf(server)}: Address already in use (EADDRINUSE)`);
  });

  test("bind() throws EADDRNOTAVAIL for an address of another machine", () => {
    using cleanup = new Cleanup();
    const socket = cleanup.add(new Socket());
    // 203.0.113.0/24 is reserved for documentation.
    assertCode(() => socket.bind({ hostname: "203.0.113.77", port: 0 }), "EADDRNOTAVAIL", "bind");
  });

  test("tryAccept() returns null without a pending connection, and accept() throws EAGAIN", () => {
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

  test("connectEx() returns null after success, and the code after a failure", () => {
    using cleanup = new Cleanup();
    const server = listener(cleanup);
    const client = cleanup.add(new Socket());
    assertEquals(client.connectEx(server.getsockname()), null);
    assertEquals(client.connectEx(server.getsockname()), "EISCONN");
    assertCode(() => client.connect(server.getsockname()), "EISCONN", "connect");
    assertEquals(cleanup.add(new Socket()).connectEx(deadAddress(cleanup)), "ECONNREFUSED");
  });

  test("connectEx() returns EINPROGRESS, then the socket is writable and SO_ERROR is 0", () => {
    using cleanup = new Cleanup();
    const server = listener(cleanup);
    const client = cleanup.add(new Socket());
    client.setBlocking(false);
    assertEquals(client.connectEx(server.getsockname()), "EINPROGRESS");
    assertEquals(select([], [client], [], 10)[1], [client]);
    assertEquals(client.getsockopt(SOL_SOCKET, SO_ERROR), 0);
    assertEquals(client.getpeername(), server.getsockname());
  });

  test("connect() throws EINPROGRESS, then SO_ERROR is ECONNREFUSED once", {
    needs: [lackedBy({ windows: "Winsock reports the error each time" })],
  }, () => {
    using cleanup = new Cleanup();
    const client = cleanup.add(new Socket());
    client.setBlocking(false);
    assertCode(() => client.connect(deadAddress(cleanup)), "EINPROGRESS", "connect");
    assertEquals(select([], [client], [], 10)[1], [client]);
    assertEquals(errnoCode(client.getsockopt(SOL_SOCKET, SO_ERROR)), "ECONNREFUSED");
    assertEquals(client.getsockopt(SOL_SOCKET, SO_ERROR), 0);
  });

  test("connectEx() returns EAGAIN if a Unix listener's backlog is full, and null once it has room", {
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

  test("recv() throws ECONNRESET if the peer has reset the connection, and send() throws EPIPE afterwards", {
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

  test("send(), trySend() and sendAll() throw EPIPE without SIGPIPE if the peer is closed", {
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
