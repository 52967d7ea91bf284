/**
 * Socket options, and nonblocking sockets.
 *
 * @module
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
import { describe } from "@std/testing/bdd";
import { os } from "../ffi/os/systems.ts";
import { SOCK_CLOEXEC, SOCK_NONBLOCK } from "../ffi/os/socket_constants.ts";
import {
  AF_INET,
  AF_INET6,
  AF_UNIX,
  close,
  IP_TTL,
  IPPROTO_IP,
  IPPROTO_IPV6,
  IPPROTO_TCP,
  IPV6_UNICAST_HOPS,
  MSG_PEEK,
  setBlocking,
  SO_ACCEPTCONN,
  SO_KEEPALIVE,
  SO_LINGER,
  SO_RCVBUF,
  SO_REUSEADDR,
  SO_SNDBUF,
  SO_TYPE,
  SOCK_DGRAM,
  SOCK_STREAM,
  Socket,
  socketpair,
  SOL_SOCKET,
  TCP_NODELAY,
} from "../ffi/socket/mod.ts";
import { lackedBy, LINUX } from "./support/needs.ts";
import { ANY_OPTION, assertCode, detached, folder, IPV6, SOCKET } from "./support/sockets.ts";
import { bytes, Cleanup, libc, moduleOf, printedBy, test, text } from "./support/util.ts";

/** A `struct linger` of two integers. */
const LINGER = lackedBy({ windows: "SO_LINGER has another struct; see windows_test.ts" });

/** SOCK_NONBLOCK. */
const NONBLOCK_FLAG = SOCK_NONBLOCK === 0 ? `${os} has no such flag` : null;

describe("Socket: options", () => {
  test("setsockopt() accepts numbers and booleans, and getsockopt() returns numbers", () => {
    using cleanup = new Cleanup();
    const socket = cleanup.add(new Socket());
    // For a boolean option that is on, the BSDs return the option's flag, and other systems return 1.
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

  test("setsockopt() accepts bytes, and getsockopt() returns them", { needs: [LINGER, ANY_OPTION] }, () => {
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

  test("setsockopt() accepts negative numbers, and getsockopt() returns them", { needs: [LINUX, ANY_OPTION] }, () => {
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

  test("setsockopt() of -1 restores the default of an option", { needs: [IPV6] }, () => {
    using cleanup = new Cleanup();
    const socket = cleanup.add(new Socket(AF_INET6));
    const usual = socket.getsockopt(IPPROTO_IPV6, IPV6_UNICAST_HOPS);
    socket.setsockopt(IPPROTO_IPV6, IPV6_UNICAST_HOPS, 5);
    assertEquals(socket.getsockopt(IPPROTO_IPV6, IPV6_UNICAST_HOPS), 5);
    socket.setsockopt(IPPROTO_IPV6, IPV6_UNICAST_HOPS, -1);
    assertEquals(socket.getsockopt(IPPROTO_IPV6, IPV6_UNICAST_HOPS), usual);
  });

  test("setsockopt() and getsockopt() throw ENOPROTOOPT for an unknown option", () => {
    using cleanup = new Cleanup();
    const socket = cleanup.add(new Socket());
    assertCode(() => socket.getsockopt(SOL_SOCKET, 9999), "ENOPROTOOPT", "getsockopt");
    assertCode(() => socket.getsockopt(SOL_SOCKET, 9999, 8), "ENOPROTOOPT", "getsockopt");
    assertCode(() => socket.setsockopt(SOL_SOCKET, 9999, 1), "ENOPROTOOPT", "setsockopt");
    assertCode(() => socket.setsockopt(SOL_SOCKET, 9999, bytes("x".repeat(8))), "ENOPROTOOPT", "setsockopt");
  });

  test("setsockopt() throws EINVAL for a rejected value, and RangeError or TypeError for an invalid one", () => {
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

describe("Socket: blocking", () => {
  test("setBlocking() changes whether calls block, and getBlocking() returns it", () => {
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

  test("setBlocking() keeps the other flags of a descriptor", { needs: [LINUX] }, () => {
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

  test("type omits SOCK_NONBLOCK, and the socket is nonblocking", {
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

  test("recv() of a blocking socket waits for data", async () => {
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
      await new Promise((resolve) => setTimeout(resolve, 50)); // A recv() that does not wait would answer now.
      there.send(new TextEncoder().encode("at last"));
      console.log(JSON.stringify(await answer));
      Deno.exit();
    `);
    assertEquals(printed, "at last");
  });
});
