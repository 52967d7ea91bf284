/**
 * Pairs of descriptors, and close-on-exec for every call that opens a descriptor.
 *
 * @module
 */

import { assert, assertEquals, assertInstanceOf, assertNotEquals, assertThrows } from "@std/assert";
import { describe } from "@std/testing/bdd";
import { os } from "../ffi/os/systems.ts";
import * as posix from "../ffi/os/posix.ts";
import {
  type Address,
  AF_INET,
  AF_UNIX,
  close,
  OSError,
  pipe,
  read,
  setBlocking,
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
import { assertCode, listener, PIPES, udp, UNIX_SOCKETS, waitReadable } from "./support/sockets.ts";
import { bytes, Cleanup, F_GETFD, FD_CLOEXEC, libc, skip, test, text } from "./support/util.ts";

function tryAcceptOne(cleanup: Cleanup, server: Socket): [Socket, Address] {
  cleanup.add(new Socket()).connect(server.getsockname());
  server.setBlocking(false);
  waitReadable(server);
  const accepted = server.tryAccept();
  assertInstanceOf(accepted?.[0], Socket);
  cleanup.add(accepted[0]);
  return accepted;
}

describe("socketpair", () => {
  const own = lackedBy({ windows: "it is tested in windows_test.ts" });
  const types = [["SOCK_STREAM", SOCK_STREAM, own], ["SOCK_DGRAM", SOCK_DGRAM, UNIX_SOCKETS]] as const;
  for (const [name, type, need] of types) {
    test(`socketpair() returns two connected sockets of type ${name}`, { needs: [need] }, () => {
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

  test("socketpair() returns two connected sockets of type SOCK_SEQPACKET", { needs: [LINUX] }, () => {
    using cleanup = new Cleanup();
    const [here, there] = cleanup.pair(AF_UNIX, SOCK_SEQPACKET);
    assertEquals(here.type, SOCK_SEQPACKET);
    here.send(bytes("one"));
    here.send(bytes("two"));
    assertEquals(text(there.recv(100)), "one");
    here.close();
    assertEquals([text(there.recv(100)), there.recv(100).length], ["two", 0]);
  });

  test("socketpair() throws the system's error for a family without pairs", {
    needs: [lackedBy({ windows: "it is tested in windows_test.ts" })],
  }, () => {
    assertCode(() => socketpair(AF_INET), "EOPNOTSUPP", "socketpair");
    assertCode(() => socketpair(200), "EAFNOSUPPORT", "socketpair");
  });
});

describe("pipe", () => {
  test("pipe() returns a read end and a write end", { needs: [PIPES] }, () => {
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

  test("read() and write() throw EAGAIN on nonblocking descriptors", { needs: [PIPES] }, () => {
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

  test("write() throws EPIPE without SIGPIPE if there is no reader", { needs: [PIPES] }, () => {
    using cleanup = new Cleanup();
    const [reader, writer] = cleanup.pipe();
    cleanup.close(reader);
    const error = assertThrows(() => write(writer, bytes("x")), OSError);
    assertEquals(error.message, `write fd ${writer}: Broken pipe (EPIPE)`);
  });

  test(
    "read(), write(), close() and setBlocking() throw EBADF for a closed descriptor",
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

  test("read() and write() throw EBADF for the wrong end of a pipe", { needs: [PIPES] }, () => {
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
  skip("every call that opens a descriptor sets close-on-exec", `there is no fcntl() on ${os}`);
} else {
  const { fcntl } = libc;
  test("close-on-exec is set by every call that opens a descriptor", () => {
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

  test("close-on-exec is set in a second step on macOS, and descriptors stay blocking", () => {
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
    assertEquals(fds.map((fd) => fcntl(fd, F_GETFD)), fds.map(() => FD_CLOEXEC)); // no other flag
    assert(Socket.fromFd(accepted).getBlocking());
    assertEquals(makers.socket(200, SOCK_STREAM, 0) < 0, true);
    assertEquals(makers.socketpair(200, SOCK_STREAM, 0, pair) < 0, true);
    assertEquals(write(ends[1]!, bytes("x")), 1);
    assertEquals(read(ends[0]!, new Uint8Array(2)), 1);
  });
}
