/**
 * Datagram sockets: senders, receivers, and lost data.
 *
 * @module
 */

import { assertEquals, assertThrows } from "@std/assert";
import { describe } from "@std/testing/bdd";
import {
  AF_INET,
  AF_INET6,
  AF_UNIX,
  MSG_PEEK,
  MSG_TRUNC,
  OSError,
  SHUT_WR,
  SOCK_DGRAM,
  Socket,
} from "../ffi/socket/mod.ts";
import { lackedBy, LINUX } from "./support/needs.ts";
import { assertCode, folder, IPV6, portOf, udp, UNIX_ERRORS, UNIX_SOCKETS } from "./support/sockets.ts";
import { bytes, Cleanup, test, text } from "./support/util.ts";

/** MSG_TRUNC as a flag of `recv()`. */
const MSG_TRUNC_LENGTH = lackedBy({
  darwin: "recv() on macOS ignores MSG_TRUNC",
  windows: "Winsock has no such flag",
});

describe("Socket: datagram sockets", () => {
  for (const [name, family] of [["IPv4", AF_INET], ["IPv6", AF_INET6]] as const) {
    test(
      `recvFrom() returns a datagram and its sender over ${name}`,
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

  test("recvFrom() returns the data of a stream whose peer has closed, without a sender", () => {
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
    "recvFrom() returns the path of a Unix sender, or an empty path",
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
    "recv() drops the excess bytes of a datagram, and MSG_TRUNC returns its true length",
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

  test("connect() limits a datagram socket to datagrams of its peer", () => {
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

  test("recv() throws ECONNREFUSED after a datagram to an unused port", { needs: [UNIX_ERRORS] }, () => {
    using cleanup = new Cleanup();
    const gone = udp(cleanup);
    const sender = udp(cleanup);
    sender.connect(gone.getsockname());
    gone.close();
    sender.send(bytes("x"));
    assertCode(() => sender.recv(100), "ECONNREFUSED", "recv");
  });

  test("sendTo() throws EMSGSIZE for a datagram that is too long", () => {
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
