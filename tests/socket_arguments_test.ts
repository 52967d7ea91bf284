/**
 * Arguments that sockets reject before the system call.
 *
 * @module
 */

import { assertEquals, assertFalse, assertThrows } from "@std/assert";
import { describe } from "@std/testing/bdd";
import { os } from "../ffi/os/systems.ts";
import * as posix from "../ffi/os/posix.ts";
import {
  type Address,
  AF_INET,
  AF_UNIX,
  createServer,
  IPPROTO_TCP,
  IPPROTO_UDP,
  type OSError,
  SO_ACCEPTCONN,
  SO_REUSEADDR,
  SO_TYPE,
  SOCK_DGRAM,
  SOCK_STREAM,
  Socket,
  socketpair,
  SOL_SOCKET,
} from "../ffi/socket/mod.ts";
import { encodeUnix } from "../ffi/socket/sockaddr.ts";
import { LINUX } from "./support/needs.ts";
import { assertCode, folder, UNIX_SOCKETS } from "./support/sockets.ts";
import { bytes, Cleanup, isLinux, isWindows, test } from "./support/util.ts";

/** Values that are not a C `int`, and the errors that they cause. */
const NOT_INTEGERS: readonly [error: typeof RangeError | typeof TypeError, values: unknown[]][] = [
  [RangeError, [NaN, 1.5, 2 ** 32 + 2, 2 ** 31, Infinity]],
  [TypeError, ["2", null, true, 2n, {}]],
];

/** Calls with an address. */
const ADDRESS_CALLS: readonly [name: string, call: (socket: Socket, address: Address) => unknown][] = [
  ["bind()", (socket, address) => socket.bind(address)],
  ["connect()", (socket, address) => socket.connect(address)],
  ["connectEx()", (socket, address) => socket.connectEx(address)],
  ["sendTo()", (socket, address) => socket.sendTo(bytes("x"), address)],
];

describe("Socket: arguments", () => {
  for (const [name, call] of ADDRESS_CALLS) {
    test(`${name} throws RangeError for an invalid port`, () => {
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

  test("bind() accepts a path that fills the struct, and throws RangeError for a longer one", {
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

  test(
    "bind() accepts an abstract name of 108 bytes, and throws RangeError for a longer one",
    { needs: [LINUX] },
    () => {
      using cleanup = new Cleanup();
      const longest = `\0${crypto.randomUUID()}`.padEnd(108, "x");
      const socket = cleanup.add(new Socket(AF_UNIX, SOCK_DGRAM));
      assertThrows(() => socket.bind({ path: longest + "x" }), RangeError, "a socket path");
      socket.bind({ path: longest });
      assertEquals(socket.getsockname(), { path: longest });
    },
  );

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
    test(`${name} throws for a lone surrogate in a path or a hostname, and creates no file`, () => {
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
    "getsockname() and recvFrom() return a path that is not UTF-8 with lone surrogates",
    { needs: [LINUX] },
    () => {
      using cleanup = new Cleanup();
      const directory = folder(cleanup);
      const cases: [ending: number[], shown: string][] = [
        [[0xff], "\udcff"],
        [[0x61, 0xc3, 0xa9, 0xc3, 0x62], "aé\udcc3b"], // a character, and the first byte of a character
        [[0xe2, 0x82, 0xf0, 0x9f, 0x98, 0x80, 0x80], "\udce2\udc82\u{1f600}\udc80"],
        [[0xed, 0xa0, 0x80], "\udced\udca0\udc80"], // an encoded surrogate is not UTF-8
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

  test("connect(), bind() and sendTo() throw TypeError for a hostname with a null character", () => {
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
        assertThrows(() => socket.shutdown(wrong), error, "as shutdown mode");
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

  test("bind(), connect() and connectEx() reach no other socket if the address closes this one", () => {
    using cleanup = new Cleanup();
    const { port } = cleanup.add(createServer({ hostname: "127.0.0.1", port: 0 })).getsockname();
    for (const [name, call] of ADDRESS_CALLS) {
      const socket = new Socket(AF_INET, SOCK_DGRAM);
      const address = {
        hostname: "127.0.0.1",
        get port() {
          if (socket.fileno() >= 0) {
            socket.close();
            cleanup.add(new Socket(AF_INET, SOCK_DGRAM)); // it gets the same number
          }
          return port;
        },
      };
      let outcome: unknown;
      try {
        outcome = call(socket, address);
      } catch (error) {
        outcome = (error as OSError).code;
      }
      assertEquals(outcome, "EBADF", name);
    }
  });

  test("new Socket() throws the system's error for an unsupported kind", () => {
    assertCode(() => new Socket(200), "EAFNOSUPPORT", "socket");
    const mismatch = os === "darwin" ? "EPROTOTYPE" : "EPROTONOSUPPORT";
    assertCode(() => new Socket(AF_INET, SOCK_STREAM, IPPROTO_UDP), mismatch, "socket");
    assertCode(() => new Socket(AF_INET, SOCK_DGRAM, IPPROTO_TCP), mismatch, "socket");
  });
});
