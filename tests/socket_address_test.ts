/**
 * Addresses: `getsockname()`, `getpeername()` and `getaddrinfo()`.
 *
 * @module
 */

import { assert, assertEquals, assertGreater, assertMatch, assertStringIncludes, assertThrows } from "@std/assert";
import { describe } from "@std/testing/bdd";
import { os } from "../ffi/os/systems.ts";
import {
  AF_INET,
  AF_INET6,
  AF_UNIX,
  AF_UNSPEC,
  AI_CANONNAME,
  AI_NUMERICHOST,
  AI_PASSIVE,
  createServer,
  getaddrinfo,
  type InetAddress,
  IPPROTO_IPV6,
  IPPROTO_TCP,
  IPPROTO_UDP,
  IPV6_V6ONLY,
  OSError,
  SOCK_DGRAM,
  SOCK_STREAM,
  Socket,
} from "../ffi/socket/mod.ts";
import { lackedBy, LINUX } from "./support/needs.ts";
import { assertCode, folder, IPV6, listener, portOf, udp, UNIX_SOCKETS } from "./support/sockets.ts";
import { bytes, Cleanup, isWindows, test } from "./support/util.ts";

/** The names of unbound sockets. */
const UNBOUND_NAMES = lackedBy({ windows: "Winsock fails with EINVAL" });

/** Interface names. */
const INTERFACE_NAMES = lackedBy({ windows: "Windows identifies interfaces by number" });

/** A link-local IPv6 address, which needs the name of its interface. */
const linkLocal = Deno.networkInterfaces().find(({ family, address }) =>
  family === "IPv6" && address.startsWith("fe80:")
);
const LINK_LOCAL = linkLocal === undefined ? "this machine has no link-local IPv6 address" : null;

describe("createServer()", () => {
  test("createServer() infers AF_INET6 from an IPv6 address", { needs: [IPV6] }, () => {
    using server = createServer({ hostname: "::1", port: 0 });
    assertEquals([server.family, server.getsockname().hostname], [AF_INET6, "::1"]);
    using every = createServer({ hostname: "::", port: 0 });
    assertEquals([every.family, every.getsockname().hostname], [AF_INET6, "::"]);
  });

  test("createServer() infers AF_UNIX from a path", { needs: [UNIX_SOCKETS] }, () => {
    using cleanup = new Cleanup();
    const path = `${folder(cleanup)}/server`;
    using server = createServer({ path });
    assertEquals([server.family, server.getsockname()], [AF_UNIX, { path }]);
    const wrong = () => createServer({ hostname: "::1", port: 0 }, { family: AF_UNIX });
    assertThrows(wrong, TypeError, "use { path }");
  });

  test("createServer() uses AF_INET for any other hostname, unless a family is given", () => {
    for (const hostname of ["127.0.0.1", "", "localhost"]) {
      using server = createServer({ hostname, port: 0 });
      assertEquals(server.family, AF_INET);
    }
    assertThrows(() => createServer(5 as never), TypeError, "Cannot use 5 as an address");
  });

  test("createServer() uses the family of its options", { needs: [IPV6] }, () => {
    using server = createServer({ hostname: "", port: 0 }, { family: AF_INET6 });
    assertEquals(server.getsockname().hostname, "::");
  });
});

describe("Socket: names", () => {
  test("getsockname() returns zeros for an unbound socket", { needs: [UNBOUND_NAMES] }, () => {
    using cleanup = new Cleanup();
    assertEquals(cleanup.add(new Socket()).getsockname(), { hostname: "0.0.0.0", port: 0 });
    assertEquals(cleanup.add(new Socket(AF_UNIX)).getsockname(), { path: "" });
  });

  test("getsockname() returns zeros for an unbound IPv6 socket", { needs: [IPV6, UNBOUND_NAMES] }, () => {
    using socket = new Socket(AF_INET6);
    assertEquals(socket.getsockname(), { hostname: "::", port: 0 });
  });

  test("getpeername() throws ENOTCONN without a connection, and returns no name for socketpair()", {
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

  test("accept() returns an IPv4-mapped IPv6 address for an IPv4 peer", { needs: [IPV6] }, () => {
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

  test("connect() and connectEx() throw the resolver's error for an unknown name", () => {
    using cleanup = new Cleanup();
    const socket = cleanup.add(new Socket());
    // Longer than any valid name, so that no server is queried.
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
    needs: [IPV6, lackedBy({ windows: "Wine accepts a Linux number" })],
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

  test("bind() accepts the short forms of an IPv4 address", () => {
    using cleanup = new Cleanup();
    const socket = cleanup.add(new Socket());
    socket.bind({ hostname: "127.1", port: 0 });
    assertEquals((socket.getsockname() as InetAddress).hostname, "127.0.0.1");
  });

  test("bind(), sendTo() and getsockname() keep the interface of a link-local address", {
    needs: [LINK_LOCAL, INTERFACE_NAMES],
  }, () => {
    using cleanup = new Cleanup();
    const { address, name, scopeid } = linkLocal!;
    const socket = cleanup.add(new Socket(AF_INET6, SOCK_DGRAM));
    const refused = os === "darwin" ? "EADDRNOTAVAIL" : "EINVAL";
    assertCode(() => socket.bind({ hostname: address, port: 0 }), refused, "bind");
    socket.bind({ hostname: `${address}%${name}`, port: 0 });
    const bound = socket.getsockname();
    assertEquals(bound, { hostname: `${address}%${scopeid}`, port: portOf(socket) });
    // The returned address is valid as an argument, and a datagram to a local address never leaves the machine.
    socket.sendTo(bytes("x"), bound);
    assertEquals(socket.recvFrom(10), [bytes("x"), bound]);
    assertEquals(getaddrinfo(`${address}%${name}`, 7)[0]?.address, { hostname: `${address}%${scopeid}`, port: 7 });
  });
});

describe("getaddrinfo", () => {
  test("getaddrinfo() returns a numeric address unchanged", () => {
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

  test("getaddrinfo() returns every type for type 0, and only the type of the hints otherwise", {
    needs: [lackedBy({ windows: "Winsock returns type 0 for type 0" })],
  }, () => {
    const types = getaddrinfo("127.0.0.1", 80, { type: 0 }).map(({ type }) => type);
    assert(types.includes(SOCK_STREAM) && types.includes(SOCK_DGRAM), `${types}`);
    assertEquals(getaddrinfo("127.0.0.1", 80, { type: 0, protocol: IPPROTO_UDP }).map(({ type }) => type), [
      SOCK_DGRAM,
    ]);
    assertEquals(getaddrinfo("127.0.0.1", 80, { family: AF_UNSPEC }).map(({ family }) => family), [AF_INET]);
  });

  test("getaddrinfo() resolves localhost to a loopback address", () => {
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

  test("getaddrinfo() returns the canonical name with AI_CANONNAME", () => {
    if (os !== "darwin") { // macOS has no canonical name for a numeric address
      assertEquals(getaddrinfo("127.0.0.1", 80, { flags: AI_CANONNAME })[0]?.canonname, "127.0.0.1");
    }
    assertStringIncludes(getaddrinfo("localhost", 80, { family: AF_INET, flags: AI_CANONNAME })[0]!.canonname, "local");
    assertEquals(getaddrinfo("localhost", 80, { family: AF_INET })[0]!.canonname, "");
  });

  test("getaddrinfo() throws an OSError with the resolver's own code", {
    needs: [lackedBy({ windows: "Winsock rejects less; see windows_test.ts" })],
  }, () => {
    const error = assertThrows(() => getaddrinfo("localhost", 80, { flags: AI_NUMERICHOST }), OSError);
    assertEquals(error.message, "getaddrinfo localhost: Name or service not known (EAI_NONAME)");
    assertEquals([error.code, error.syscall, error.name], ["EAI_NONAME", "getaddrinfo", "OSError"]);
    assertCode(() => getaddrinfo("127.0.0.1", 80, { family: 12345 }), "EAI_FAMILY");
    if (os !== "darwin") assertCode(() => getaddrinfo("127.0.0.1", 80, { flags: -1 }), "EAI_BADFLAGS");
    // Longer than any valid name, so that no server is queried.
    assertMatch(assertThrows(() => getaddrinfo("a".repeat(300), 80), OSError).code, /^EAI_/);
  });

  test("getaddrinfo() throws RangeError for an invalid port, and TypeError for an invalid name", () => {
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
