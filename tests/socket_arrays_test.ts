/**
 * Arrays that sockets send or receive into: detached arrays, shrunk arrays, shared memory, and false lengths.
 *
 * @module
 */

import { assertEquals, assertNotEquals, assertThrows } from "@std/assert";
import { describe } from "@std/testing/bdd";
import { Buffer } from "node:buffer";
import { read, SHUT_WR, SO_KEEPALIVE, SO_LINGER, Socket, SOL_SOCKET, write } from "../ffi/socket/mod.ts";
import { lackedBy } from "./support/needs.ts";
import { ANY_OPTION, assertCode, detached, InParts, listener, udp } from "./support/sockets.ts";
import { bytes, Cleanup, isWindows, received, test, text } from "./support/util.ts";

/** The cache of sizes. */
const SIZE_CACHE = lackedBy({ windows: "only Unix has this cache" });

/** A length that exceeds an unsigned 32-bit integer. */
const LONG = 2 ** 32 + 5;

/** Arrays of that length. */
const LONG_ARRAYS = isWindows || hasRoom() ? null : "this machine cannot allocate an array of 4 GiB";

function hasRoom(): boolean {
  try {
    return new Uint8Array(LONG).length === LONG;
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    return false;
  }
}

/** Calls with bytes, each on one end of a pair of datagram sockets. */
const BYTE_CALLS: readonly [name: string, call: (socket: Socket, data: Uint8Array) => unknown][] = [
  ["recvInto()", (socket, data) => socket.recvInto(data)],
  ["recvFromInto()", (socket, data) => socket.recvFromInto(data)],
  ["tryRecvInto()", (socket, data) => socket.tryRecvInto(data)],
  ["send()", (socket, data) => socket.send(data)],
  ["trySend()", (socket, data) => socket.trySend(data)],
  ["sendAll()", (socket, data) => socket.sendAll(data)],
  ["sendTo()", (socket, data) => socket.sendTo(data, { hostname: "127.0.0.1", port: 9 })],
  ["read()", (socket, data) => read(socket.fileno(), data)],
  ["write()", (socket, data) => write(socket.fileno(), data)],
];

/** A Uint8Array whose own properties describe an array of 60,000 bytes. */
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

/** A Uint8Array whose subarrays have 60,000 bytes. */
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

/** Ways to make a 100-byte array, at offset 50 in a buffer of 1,000 bytes, that claims another length. */
const LIARS: readonly [name: string, make: (memory: ArrayBuffer) => Uint8Array][] = [
  ["a subclass", (memory) => new Liar(memory, 50, 100)],
  ["a species", (memory) => new Growing(memory, 50, 100)],
  ["own properties", (memory) => lying(new Uint8Array(memory, 50, 100), 60_000)],
  ["own properties that say less", (memory) => lying(new Uint8Array(memory, 50, 100), 1)],
  ["a prototype", (memory) => Object.setPrototypeOf(new Uint8Array(memory, 50, 100), Liar.prototype)],
];

describe("Socket: arrays", () => {
  for (const [name, call] of BYTE_CALLS) {
    test(`${name} throws TypeError for a value that is not a Uint8Array`, () => {
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

    test(`${name} throws TypeError for an array of a shrunk buffer`, () => {
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
    test(`recvInto(), tryRecvInto() and read() fill an array to its true length: ${name}`, () => {
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
        const memory = new ArrayBuffer(1000); // detects writes past the end of the array
        assertEquals(call(make(memory)), 100);
        assertEquals(new Uint8Array(memory), new Uint8Array(1000).fill(1, 50, 150));
      }
    });

    test(`send(), trySend(), sendAll(), sendTo() and write() send the true length: ${name}`, () => {
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
      const recvAll = () => received(connection, 100);
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

  test("setsockopt() passes all bytes of a value that claims a shorter length", () => {
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

  test("recvInto() stays within a short array after a long array whose length has the same low 32 bits", {
    needs: [LONG_ARRAYS, SIZE_CACHE],
  }, () => {
    using cleanup = new Cleanup();
    const [here, there] = cleanup.pair();
    const long = new Uint8Array(LONG); // never accessed, so the system allocates no memory
    const closed = new Socket();
    closed.close();
    assertCode(() => closed.send(long), "EBADF");
    there.send(bytes("0123456789"));
    const memory = new Uint8Array(100);
    assertEquals(here.recvInto(memory.subarray(0, 5)), 5);
    assertEquals(text(memory.subarray(0, 10)), "01234\0\0\0\0\0");
  });

  test("send(), sendAll() and recvInto() accept Buffers of node:buffer, and arrays over shared memory", () => {
    using cleanup = new Cleanup();
    const server = listener(cleanup);
    const client = cleanup.add(new InParts());
    client.connect(server.getsockname());
    const connection = cleanup.add(server.accept()[0]);
    client.sendAll(Buffer.from("a Buffer")); // from Node's pool, so it has an offset
    const buffer = Buffer.alloc(8);
    for (let count = 0; count < 8;) count += connection.recvInto(buffer.subarray(count));
    assertEquals(buffer.toString(), "a Buffer");
    assertEquals(connection.send(buffer.subarray(2)), 6);
    const shared = new Uint8Array(new SharedArrayBuffer(16), 4, 8);
    assertEquals(client.recvInto(shared), 6);
    assertEquals(text(new Uint8Array(shared)), "Buffer\0\0");
    client.sendAll(shared);
    assertEquals(text(received(connection, 8)), "Buffer\0\0");
    assertEquals(client.send(new Uint8Array(new SharedArrayBuffer(0))), 0);
  });

  test("recv(), recvFrom() and getsockopt() throw RangeError for a size that C would truncate", {
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
      if (size === undefined) continue; // then getsockopt() returns a number
      assertThrows(() => here.getsockopt(SOL_SOCKET, SO_LINGER, size), TypeError, "from 0 to 2147483647");
    }
    assertEquals(here.recv(-0).length, 0);
    assertEquals(here.recvFrom(-0)[0].length, 0);
    if (!isWindows) assertEquals(here.getsockopt(SOL_SOCKET, SO_LINGER, -0).length, 0);
    assertEquals(text(here.recv(3)), "abc", "None of them took any bytes");
  });
});
