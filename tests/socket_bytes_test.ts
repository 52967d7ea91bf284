/**
 * Bytes through a socket: partial sends, flags, and nonblocking sockets.
 *
 * @module
 */

import { assert, assertEquals, assertNotEquals, assertStrictEquals, assertThrows } from "@std/assert";
import { describe } from "@std/testing/bdd";
import { select } from "../ffi/select/mod.ts";
import {
  AF_INET,
  AF_UNIX,
  IPPROTO_TCP,
  MSG_DONTWAIT,
  MSG_OOB,
  MSG_PEEK,
  MSG_WAITALL,
  OSError,
  SHUT_WR,
  SO_OOBINLINE,
  SO_RCVBUF,
  SO_SNDBUF,
  SOCK_DGRAM,
  SOL_SOCKET,
  TCP_NODELAY,
} from "../ffi/socket/mod.ts";
import { lackedBy } from "./support/needs.ts";
import { assertCode, InParts, listener, SOCKET, UNIX_SOCKETS, waitReadable } from "./support/sockets.ts";
import { bytes, Cleanup, moduleOf, printedBy, test, text } from "./support/util.ts";

/** MSG_DONTWAIT, as a flag of `recv()` and of `send()`. */
const SEND_DONTWAIT = lackedBy({
  darwin: "send() on macOS ignores MSG_DONTWAIT",
  windows: "Winsock has no such flag",
});

const RECV_DONTWAIT = lackedBy({ windows: "Winsock has no such flag" });

/** Urgent data. */
const OOB = lackedBy({ windows: "its second half hangs under Wine" });

/** Returns a checksum that depends on the order of the bytes, and that later calls can continue. */
function checksum(sum: number, data: Uint8Array): number {
  for (let i = 0; i < data.length; i++) sum = (Math.imul(sum, 31) + data[i]!) | 0;
  return sum;
}

describe("Socket: bytes", () => {
  test("recv() returns a new array each time", () => {
    using cleanup = new Cleanup();
    const [here, there] = cleanup.pair();
    here.sendAll(bytes("abcdef"));
    const first = there.recv(3);
    const second = there.recv(3);
    assertEquals([text(first), text(second)], ["abc", "def"]);
    assertEquals([first.byteOffset, first.buffer.byteLength], [0, 3]);
  });

  test("recv() returns more than 64 KiB at once", () => {
    using cleanup = new Cleanup();
    const [here, there] = cleanup.pair();
    // On macOS, a Unix socket takes 8 KiB, so sendAll() would block until the rest is read.
    here.setsockopt(SOL_SOCKET, SO_SNDBUF, 200_000);
    there.setsockopt(SOL_SOCKET, SO_RCVBUF, 200_000);
    const sent = Uint8Array.from({ length: 100_000 }, (_, i) => i % 251);
    here.sendAll(sent);
    const first = there.recv(99_999, MSG_WAITALL);
    assertEquals(first, sent.subarray(0, 99_999));
    assertEquals(there.recv(1_000_000), sent.subarray(99_999));
  });

  test("recvInto() fills a view, and no byte outside it", () => {
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

  test("send() sends a view, and no byte outside it", () => {
    using cleanup = new Cleanup();
    const [here, there] = cleanup.pair();
    const whole = bytes("abcdefgh");
    assertEquals(here.send(whole.subarray(2, 4)), 2);
    assertEquals(here.trySend(whole.subarray(6)), 2);
    here.sendAll(whole.subarray(0, 1));
    assertEquals(text(there.recv(100)), "cdgha");
  });

  test("send() and recvInto() use shared memory in place, even after V8 has compiled them", () => {
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
    "send() and recvInto() distinguish sizes that share a cache slot",
    { needs: [UNIX_SOCKETS] },
    () => {
      using cleanup = new Cleanup();
      const [here, there] = cleanup.pair(AF_UNIX, SOCK_DGRAM);
      // macOS takes 2 KiB and keeps 4 KiB.
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

  test("MSG_DONTWAIT keeps one recv() from blocking", { needs: [RECV_DONTWAIT] }, () => {
    using cleanup = new Cleanup();
    const [, there] = cleanup.pair();
    assertEquals(there.tryRecvInto(new Uint8Array(1), MSG_DONTWAIT), null);
    assertCode(() => there.recv(1, MSG_DONTWAIT), "EAGAIN", "recv");
    assertCode(() => there.recvFrom(1, MSG_DONTWAIT), "EAGAIN", "recvfrom");
    assert(there.getBlocking());
  });

  test("MSG_DONTWAIT keeps one send() from blocking", { needs: [SEND_DONTWAIT] }, () => {
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

  test("trySend() sends a part, then returns null, and send() and sendAll() throw EAGAIN", {
    needs: [lackedBy({ windows: "Winsock accepts a buffer of any size if it has any room" })],
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
    // Compares words, because comparing millions of bytes takes seconds.
    assertStrictEquals(text(received.subarray(0, got)), text(much.subarray(0, sent)));
    assertNotEquals(here.trySend(much), null);
  });

  test("tryRecvInto() returns null without data, and recv() and recvInto() throw EAGAIN", () => {
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

  test("sendAll() of an empty array sends nothing", () => {
    using cleanup = new Cleanup();
    const [here, there] = cleanup.pair();
    here.sendAll(new Uint8Array(0));
    there.setBlocking(false);
    assertEquals(there.tryRecvInto(new Uint8Array(1)), null);
  });

  test("sendAll() continues after each part", () => {
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
