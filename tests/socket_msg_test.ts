/**
 * Messages with ancillary data, after CPython's tests for `sendmsg()`, `recvmsg()`, `send_fds()` and `recv_fds()`.
 *
 * @module
 */

import { assert, assertEquals, assertThrows } from "@std/assert";
import { describe } from "@std/testing/bdd";
import { decodeControl, descriptorsIn, receiveInSteps } from "../ffi/os/message.ts";
import { system } from "../ffi/os/systems.ts";
import {
  type Address,
  AF_INET,
  AF_INET6,
  AF_UNIX,
  close,
  CMSG_LEN,
  CMSG_SPACE,
  type ControlMessage,
  IPPROTO_IPV6,
  MSG_CTRUNC,
  MSG_DONTWAIT,
  MSG_PEEK,
  MSG_TRUNC,
  read,
  SCM_RIGHTS,
  SOCK_DGRAM,
  SOCK_SEQPACKET,
  SOCK_STREAM,
  Socket,
  socketpair,
  SOL_SOCKET,
  write,
} from "../ffi/socket/mod.ts";
import { lackedBy, LINUX } from "./support/needs.ts";
import { run } from "./support/program.ts";
import { assertCode, detached, folder, IPV6, SOCKET, udp, UNIX_SOCKETS } from "./support/sockets.ts";
import {
  bytes,
  Cleanup,
  F_GETFD,
  FD_CLOEXEC,
  isEmulated,
  isWindows,
  libc,
  moduleOf,
  type Need,
  tcpPair,
  test as declare,
  testNeeding,
  text,
} from "./support/util.ts";

const test = testNeeding(UNIX_SOCKETS);

const MESSAGE = bytes("Michael Gilfix was here\n");

/** Kinds of sockets. The first socket of each pair sends to the second. */
const KINDS: readonly [name: string, isStream: boolean, need: Need, pair: (cleanup: Cleanup) => [Socket, Socket]][] = [
  ["a TCP connection", true, null, (cleanup) => tcpPair().map((socket) => cleanup.add(socket)) as [Socket, Socket]],
  ["a Unix stream", true, null, (cleanup) => cleanup.pair(AF_UNIX, SOCK_STREAM)],
  ["Unix datagrams", false, null, (cleanup) => cleanup.pair(AF_UNIX, SOCK_DGRAM)],
  ["Unix records", false, LINUX, (cleanup) => cleanup.pair(AF_UNIX, SOCK_SEQPACKET)],
  ["UDP", false, null, (cleanup) => connected(cleanup, AF_INET)],
  ["UDP over IPv6", false, IPV6, (cleanup) => connected(cleanup, AF_INET6)],
];

function connected(cleanup: Cleanup, family: number): [Socket, Socket] {
  const [sender, receiver] = [udp(cleanup, family), udp(cleanup, family)];
  sender.connect(receiver.getsockname());
  return [sender, receiver];
}

/** Returns the address that recvMsg() reports for a sender; on a connection, there is none. */
function senderOf(sender: Socket): Address {
  if (sender.family === AF_UNIX) return { path: "" };
  return sender.type === SOCK_STREAM ? { hostname: "", port: 0 } : sender.getsockname();
}

/** Returns control messages as the kernel writes them. */
const CONTROL = lackedBy({
  emulated: "the emulator converts control messages, and truncates them differently from the kernel",
});

describe("Socket: sendMsg() and recvMsg()", () => {
  for (const [name, isStream, need, pair] of KINDS) {
    const needs = [need];

    test(`sendMsg() sends the bytes of several arrays over ${name}`, { needs }, () => {
      using cleanup = new Cleanup();
      const [here, there] = pair(cleanup);
      assertEquals(here.sendMsg([MESSAGE]), MESSAGE.length);
      assertEquals(there.recv(100), MESSAGE);
      const parts = [MESSAGE.subarray(0, 3), new Uint8Array(0), MESSAGE.subarray(3, 4), MESSAGE.subarray(4)];
      assertEquals(here.sendMsg(parts.values(), [].values(), 0, null), MESSAGE.length);
      assertEquals(there.recv(100), MESSAGE);
    });

    test(`recvMsg() returns a message, no ancillary data, its flags and its sender over ${name}`, { needs }, () => {
      using cleanup = new Cleanup();
      const [here, there] = pair(cleanup);
      for (const [size, ancillarySize] of [[MESSAGE.length], [MESSAGE.length + 42, 0], [1000, 1], [1000, 10_240]]) {
        here.send(MESSAGE);
        assertEquals(there.recvMsg(size!, ancillarySize), [MESSAGE, [], 0, senderOf(here)]);
      }
      here.sendMsg([MESSAGE.subarray(0, 3), MESSAGE.subarray(3)]);
      const buffer = new Uint8Array(100);
      assertEquals(there.recvMsgInto([buffer], 0, 0), [MESSAGE.length, [], 0, senderOf(here)]);
      assertEquals(buffer.subarray(0, MESSAGE.length), MESSAGE);
    });

    test(`recvMsg() reports a truncated message over ${name}`, { needs }, () => {
      using cleanup = new Cleanup();
      const [here, there] = pair(cleanup);
      here.send(MESSAGE);
      const [start, , flags] = there.recvMsg(MESSAGE.length - 3);
      assertEquals([start, flags], [MESSAGE.subarray(0, -3), isStream ? 0 : MSG_TRUNC]);
      if (isStream) assertEquals(there.recvMsg(100)[0], MESSAGE.subarray(-3));
      there.setBlocking(false);
      assertCode(() => there.recvMsg(100), "EAGAIN", "recvmsg");
    });

    test(`recvMsg() with MSG_PEEK leaves the message in the queue over ${name}`, { needs }, () => {
      using cleanup = new Cleanup();
      const [here, there] = pair(cleanup);
      here.send(MESSAGE);
      assertEquals(there.recvMsg(MESSAGE.length - 3, 0, MSG_PEEK)[0], MESSAGE.subarray(0, -3));
      assertEquals(there.recvMsg(MESSAGE.length, 0, MSG_PEEK)[0], MESSAGE);
      assertEquals(there.recvMsg(MESSAGE.length)[0], MESSAGE);
    });

    test(`recvMsgInto() fills several arrays over ${name}`, { needs }, () => {
      using cleanup = new Cleanup();
      const [here, there] = pair(cleanup);
      here.send(bytes("Mary had a little lamb"));
      const [first, second, third] = [bytes("----"), bytes("0123456789"), bytes("--------------")];
      const arrays = [first, second.subarray(2, 9), third].values();
      assertEquals(there.recvMsgInto(arrays)[0], 22);
      assertEquals([first, second, third].map(text), ["Mary", "01 had a 9", "little lamb---"]);
    });

    test(`sendMsg() and recvMsg() throw EBADF for a closed socket over ${name}`, { needs }, () => {
      using cleanup = new Cleanup();
      const [here] = pair(cleanup);
      here.close();
      assertCode(() => here.sendMsg([MESSAGE]), "EBADF", "sendmsg");
      assertCode(() => here.recvMsg(10), "EBADF", "recvmsg");
    });
  }

  for (const [name, isStream, need, pair] of KINDS) {
    if (!isStream) continue;
    test(`recvMsg() returns an empty message at the end of a connection over ${name}`, { needs: [need] }, () => {
      using cleanup = new Cleanup();
      const [here, there] = pair(cleanup);
      const sender = senderOf(here);
      here.close();
      assertEquals(there.recvMsg(100, 100), [new Uint8Array(0), [], 0, sender]);
    });

    test(`sendMsg() with MSG_DONTWAIT throws EAGAIN if the queue of ${name} is full`, { needs: [LINUX] }, () => {
      using cleanup = new Cleanup();
      const [here] = pair(cleanup);
      assertCode(
        () => {
          for (;;) here.sendMsg([new Uint8Array(512)], [], MSG_DONTWAIT);
        },
        "EAGAIN",
        "sendmsg",
      );
    });
  }

  test("sendMsg() sends to an address", () => {
    using cleanup = new Cleanup();
    const [sender, receiver] = [udp(cleanup), udp(cleanup)];
    assertEquals(sender.sendMsg([bytes("to "), bytes("you")], [], 0, receiver.getsockname()), 6);
    assertEquals(receiver.recvMsg(100), [bytes("to you"), [], 0, sender.getsockname()]);
    assertCode(() => sender.sendMsg([MESSAGE]), system.errno === "linux" ? "EDESTADDRREQ" : "ENOTCONN");

    const path = folder(cleanup);
    const [one, other] = [cleanup.add(new Socket(AF_UNIX, SOCK_DGRAM)), cleanup.add(new Socket(AF_UNIX, SOCK_DGRAM))];
    one.bind({ path: `${path}/one` });
    other.bind({ path: `${path}/other` });
    one.sendMsg([MESSAGE], [], 0, other.getsockname());
    assertEquals(other.recvMsg(100), [MESSAGE, [], 0, { path: `${path}/one` }]);
    assertThrows(() => one.sendMsg([MESSAGE], [], 0, { hostname: "127.0.0.1", port: 9 }), TypeError, "{ path }");
  });

  test("sendMsg() and recvMsgInto() throw TypeError for an invalid argument, and send nothing", () => {
    using cleanup = new Cleanup();
    const [here, there] = cleanup.pair();
    there.setBlocking(false);
    const buffers = [undefined, null, MESSAGE, new Uint8Array(0), "text", {}, 5, [5], ["text"], [null], [MESSAGE, {}]];
    for (const wrong of [...buffers, [new ArrayBuffer(4)], [detached()], [MESSAGE, detached()]]) {
      assertThrows(() => here.sendMsg(wrong as never), TypeError);
      assertThrows(() => there.recvMsgInto(wrong as never), TypeError);
    }
    const data = bytes("data");
    const items = [5, {}, null, [], [0, 0], [0, 0, data, 42], [{}, 0, data], [0, {}, data], [0, 0, {}], [
      0,
      0,
      detached(),
    ]];
    for (const wrong of items) {
      assertThrows(() => here.sendMsg([MESSAGE], [wrong as never]), TypeError);
      assertThrows(() => here.sendMsg([MESSAGE], [[0, 0, data], wrong as never]), TypeError);
    }
    for (const wrong of [{}, null, "1"]) {
      assertThrows(() => here.sendMsg([MESSAGE], [], wrong as never), TypeError, "as flags");
      assertThrows(() => there.recvMsg(10, 0, wrong as never), TypeError, "as flags");
      assertThrows(() => there.recvMsg(wrong as never), TypeError, "as a size");
      assertThrows(() => there.recvMsg(10, wrong as never), TypeError, "as a size");
      assertThrows(() => there.recvFds(10, wrong as never), TypeError, "as a size");
    }
    for (const wrong of [-1, 1.5, 2 ** 31, NaN]) {
      assertThrows(() => there.recvMsg(wrong), RangeError, "as a size");
      assertThrows(() => there.recvMsg(10, wrong), RangeError, "as a size");
      assertThrows(() => there.recvFds(10, wrong), RangeError, "as a size");
    }
    assertCode(() => there.recvMsg(10), "EAGAIN");
  });

  test("sendMsg() and recvMsgInto() throw TypeError if an iterable detaches a buffer", () => {
    using cleanup = new Cleanup();
    const [here, there] = cleanup.pair();
    there.setBlocking(false);
    function* detaching(array: Uint8Array<ArrayBuffer>): Generator<Uint8Array> {
      yield array;
      structuredClone(array, { transfer: [array.buffer] });
      yield new Uint8Array(8);
    }
    assertThrows(() => here.sendMsg(detaching(new Uint8Array(8))), TypeError, "detached");
    assertThrows(() => there.recvMsgInto(detaching(new Uint8Array(8))), TypeError, "detached");
    const array = new Uint8Array(8);
    const ancillary = function* (): Generator<ControlMessage> {
      yield [SOL_SOCKET, SCM_RIGHTS, array];
      structuredClone(array, { transfer: [array.buffer] });
    };
    assertThrows(() => here.sendMsg([MESSAGE], ancillary()), TypeError, "detached");
    const address = {
      get path() {
        if (!late.buffer.detached) structuredClone(late, { transfer: [late.buffer] });
        return "/nowhere";
      },
    };
    const late = new Uint8Array(8);
    assertThrows(() => here.sendMsg([late], [], 0, address), TypeError, "detached");
  });

  test("recvMsgInto() and sendMsg() use the true length of an array that claims another length", () => {
    using cleanup = new Cleanup();
    const [here, there] = cleanup.pair();
    const memory = new ArrayBuffer(100);
    const liar = new Uint8Array(memory, 10, 5);
    for (const name of ["length", "byteLength"]) Object.defineProperty(liar, name, { value: 60_000 });
    here.send(new Uint8Array(50).fill(7));
    assertEquals(there.recvMsgInto([liar])[0], 5);
    assertEquals(new Uint8Array(memory).reduce((sum, byte) => sum + byte), 35);
    assertEquals(here.sendMsg([liar, liar]), 10);
  });

  test("sendMsg() and recvMsg() keep their arrays alive during garbage collections", async () => {
    const rounds = isEmulated ? 3 : 20; // two dozen collections each, which take the emulator seconds
    const source = `
      const { dlopen } = Deno;
      let reused = [];
      Deno.dlopen = (name, declared) => {
        const wrap = ([key, call]) => [key, call && ((...args) => {
          gc();
          reused = Array.from({ length: 300 }, (_, index) => new Uint8Array(1 + index).fill(0xee));
          return call(...args);
        })];
        return { symbols: Object.fromEntries(Object.entries(dlopen(name, declared).symbols).map(wrap)) };
      };
      const { close, SCM_RIGHTS, SOL_SOCKET, socketpair } = await import(${SOCKET});
      const [here, there] = socketpair();
      const sums = [];
      for (let round = 0; round < ${rounds}; round++) {
        const item = () => [SOL_SOCKET, SCM_RIGHTS, new Uint8Array(Int32Array.of(here.fileno()).buffer)];
        here.sendMsg((function* () { for (let i = 0; i < 10; i++) yield new Uint8Array(10).fill(i); })(), [item()]);
        const arrays = Array.from({ length: 10 }, () => new Uint8Array(10));
        const [count, [[, , fds]]] = there.recvMsgInto(arrays.values(), 100);
        close(new Int32Array(fds.buffer)[0]);
        sums.push(arrays.every((array, i) => array.every((byte) => byte === i)) ? count : arrays.join());
      }
      console.log(JSON.stringify(sums));
    `;
    const flags = ["run", "--quiet", "--allow-all", "--no-config", "--no-lock", "--v8-flags=--expose-gc"];
    const { code, out, error } = await run(Deno.execPath(), ...flags, moduleOf(source));
    assertEquals([code, error], [0, ""]);
    assertEquals(JSON.parse(out), Array(rounds).fill(100));
  });

  test("sendMsg() throws EMSGSIZE for more arrays than the system accepts", { needs: [LINUX] }, () => {
    using cleanup = new Cleanup();
    const [here, there] = cleanup.pair();
    assertEquals(here.sendMsg(Array(1024).fill(new Uint8Array(1))), 1024);
    assertEquals(there.recv(2000).length, 1024);
    assertCode(() => here.sendMsg(Array(1025).fill(new Uint8Array(1))), "EMSGSIZE");
  });

  test("recvFromInto() returns the number of bytes and the sender", () => {
    using cleanup = new Cleanup();
    const [sender, receiver] = [udp(cleanup), udp(cleanup)];
    sender.sendTo(MESSAGE, receiver.getsockname());
    const buffer = new Uint8Array(100);
    assertEquals(receiver.recvFromInto(buffer), [MESSAGE.length, sender.getsockname()]);
    assertEquals(buffer.subarray(0, MESSAGE.length), MESSAGE);
    sender.sendTo(MESSAGE, receiver.getsockname());
    assertEquals(receiver.recvFromInto(buffer.subarray(0, 5), MSG_PEEK), [5, sender.getsockname()]);
    assertEquals(receiver.recvFromInto(new Uint8Array(0)), [0, sender.getsockname()]);
    receiver.setBlocking(false);
    assertCode(() => receiver.recvFromInto(buffer), "EAGAIN", "recvfrom");
  });
});

describe("CMSG_LEN() and CMSG_SPACE()", () => {
  declare("CMSG_LEN() and CMSG_SPACE() throw RangeError for a size out of range, and TypeError for other types", () => {
    const header = CMSG_LEN(0);
    for (const size of [0, 1, 256, 1000, 0x7fff_ffff - header]) assertEquals(CMSG_LEN(size) - header, size);
    let last = 0;
    for (let size = 0; size < 257; size++) {
      const space = CMSG_SPACE(size);
      assert(space >= CMSG_LEN(size) && space >= last && space % 4 === 0);
      last = space;
    }
    for (const size of [-1, 1.5, NaN, 0x7fff_ffff, 2 ** 53]) {
      assertThrows(() => CMSG_LEN(size), RangeError, "as a size");
      assertThrows(() => CMSG_SPACE(size), RangeError, "as a size");
    }
    assertThrows(() => CMSG_LEN("1" as never), TypeError);
  });
});

/** Descriptors of pipes. Each pipe contains its index. */
class Passed {
  readonly fds: number[];

  constructor(cleanup: Cleanup, count: number) {
    this.fds = Array.from({ length: count }, (_, index) => {
      const [reader, writer] = cleanup.pipe();
      write(writer, Uint8Array.of(index));
      return reader;
    });
  }

  /** Returns the descriptors as ancillary data. */
  item(start = 0, end = this.fds.length): ControlMessage {
    return [SOL_SOCKET, SCM_RIGHTS, new Uint8Array(Int32Array.from(this.fds.slice(start, end)).buffer)];
  }
}

/** Checks that received descriptors are the expected ones and close-on-exec, and closes them. */
function checkFds(fds: number[], expected: number[]): void {
  const found = fds.map((fd) => {
    const buffer = new Uint8Array(1);
    assertEquals(libc!.fcntl(fd, F_GETFD), FD_CLOEXEC);
    assertEquals(read(fd, buffer), 1);
    close(fd);
    return buffer[0]!;
  });
  assertEquals(found, expected);
}

// Every test() here also fails if a received descriptor stays open.
describe("Socket: descriptors in messages", () => {
  test("recvMsg() returns descriptors that sendMsg() has sent", () => {
    for (const [count, ancillarySize] of [[1, 10_240], [4, 10_240], [4, CMSG_SPACE(16)], [1, CMSG_LEN(16)]] as const) {
      using cleanup = new Cleanup();
      const [here, there] = cleanup.pair();
      const passed = new Passed(cleanup, count);
      assertEquals(here.sendMsg([MESSAGE], [passed.item()]), MESSAGE.length);
      const [data, ancillary, flags, address] = there.recvMsg(100, ancillarySize);
      assertEquals([data, flags, address], [MESSAGE, 0, { path: "" }]);
      assertEquals(ancillary.map(([level, type, { length }]) => [level, type, length]), [
        [SOL_SOCKET, SCM_RIGHTS, 4 * count],
      ]);
      checkFds(descriptorsIn(ancillary), Array.from(passed.fds.keys()));
    }
  });

  test("recvMsg() returns the descriptors of several items", { needs: [LINUX] }, () => {
    using cleanup = new Cleanup();
    const [here, there] = cleanup.pair();
    const passed = new Passed(cleanup, 2);
    here.sendMsg([MESSAGE], [passed.item(0, 1), passed.item(1, 2)]);
    checkFds(descriptorsIn(there.recvMsg(100, CMSG_SPACE(4) + CMSG_LEN(8))[1]), [0, 1]);
  });

  test("recvMsg() returns no descriptor for an empty or incomplete item", { needs: [LINUX] }, () => {
    using cleanup = new Cleanup();
    const [here, there] = cleanup.pair();
    for (const size of [0, 3]) {
      try {
        here.sendMsg([MESSAGE], [[SOL_SOCKET, SCM_RIGHTS, new Uint8Array(size).fill(0xff)]]);
      } catch (error) {
        assertEquals((error as { syscall?: string }).syscall, "sendmsg");
        here.sendMsg([MESSAGE]);
      }
      const [data, ancillary] = there.recvMsg(100, 1000);
      assertEquals([data, descriptorsIn(ancillary)], [MESSAGE, []]);
    }
  });

  test(
    "recvMsg() without room for descriptors sets MSG_CTRUNC, and leaves no descriptor open",
    { needs: [LINUX, CONTROL] },
    () => {
      using cleanup = new Cleanup();
      const [here, there] = cleanup.pair();
      const passed = new Passed(cleanup, 2);
      const cases: [ancillarySize: number, received: number[]][] = [
        [0, []],
        [1, []],
        [8, []],
        [CMSG_LEN(0) - 1, []],
        [CMSG_LEN(0), []],
        [CMSG_LEN(0) + 1, []],
        [CMSG_LEN(4), [0]],
        [CMSG_LEN(8) - 1, [0]],
      ];
      for (const [ancillarySize, expected] of cases) {
        here.sendMsg([MESSAGE], [passed.item()]);
        const [data, ancillary, flags] = there.recvMsg(100, ancillarySize);
        assertEquals([data, flags], [MESSAGE, MSG_CTRUNC], `With room for ${ancillarySize} bytes`);
        const fds = descriptorsIn(ancillary);
        assertEquals(fds.length, expected.length);
        if (fds.length > 0) assertEquals(libc!.fcntl(fds[0]!, F_GETFD), FD_CLOEXEC);
        fds.forEach(close);
      }
      here.sendMsg([MESSAGE], [passed.item()]);
      assertEquals(there.recv(100), MESSAGE);
      here.sendMsg([MESSAGE], [passed.item()]);
      there.close(); // while descriptors are in its queue
    },
  );

  test("sendFds() and recvFds() pass descriptors", () => {
    using cleanup = new Cleanup();
    const [here, there] = cleanup.pair();
    const passed = new Passed(cleanup, 10);
    const parts = [MESSAGE.subarray(0, 5), MESSAGE.subarray(5)];
    const objects = passed.fds.map((fd, index) => index % 2 === 0 ? fd : { fileno: () => fd });
    assertEquals(here.sendFds(parts.values(), objects.values()), MESSAGE.length);
    const [data, fds, flags, address] = there.recvFds(100, 10);
    assertEquals([data, flags, address], [MESSAGE, 0, { path: "" }]);
    checkFds(fds, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
    here.send(MESSAGE);
    assertEquals(there.recvFds(100, 10), [MESSAGE, [], 0, { path: "" }]);
  });

  test("sendFds() sends to an address", () => {
    using cleanup = new Cleanup();
    const path = `${folder(cleanup)}/receiver`;
    const sender = cleanup.add(new Socket(AF_UNIX, SOCK_DGRAM));
    const receiver = cleanup.add(new Socket(AF_UNIX, SOCK_DGRAM));
    receiver.bind({ path });
    const passed = new Passed(cleanup, 1);
    sender.sendFds([MESSAGE], passed.fds, 0, { path });
    checkFds(receiver.recvFds(100, 1)[1], [0]);
  });

  for (const closesTruncated of [true, false]) {
    // Linux has the same result in both ways.
    const way = closesTruncated ? "kernel" : "package";
    test(`recvFds() returns at most the given number of descriptors; the ${way} closes the others`, {
      needs: closesTruncated ? [LINUX, CONTROL] : [],
    }, () => {
      using cleanup = new Cleanup();
      const message = system.message as { closesTruncated: boolean };
      const before = message.closesTruncated;
      cleanup.defer(() => message.closesTruncated = before);
      message.closesTruncated = closesTruncated;
      const [here, there] = cleanup.pair();
      const passed = new Passed(cleanup, 5);
      for (const maxFds of [0, 1, 2, 3, 4, 5, 6, 1000]) {
        here.sendFds([MESSAGE], passed.fds);
        const [data, fds, flags] = there.recvFds(100, maxFds);
        assertEquals([data, flags], [MESSAGE, maxFds < 5 ? MSG_CTRUNC : 0]);
        assertEquals(fds.length, Math.min(maxFds, 5));
        for (const fd of fds) {
          assertEquals(libc!.fcntl(fd, F_GETFD), FD_CLOEXEC);
          close(fd);
        }
      }
    });
  }

  test("sendFds() throws for an invalid descriptor, and sends nothing", () => {
    using cleanup = new Cleanup();
    const [here, there] = cleanup.pair();
    const passed = new Passed(cleanup, 1);
    const closed = libc!.dup(passed.fds[0]!);
    close(closed);
    assertCode(() => here.sendFds([MESSAGE], [passed.fds[0]!, closed]), "EBADF", "sendmsg");
    assertThrows(() => here.sendFds([MESSAGE], [-1]), RangeError, "-1 means that the file object is closed");
    assertThrows(() => here.sendFds([MESSAGE], [2 ** 32 + passed.fds[0]!]), RangeError);
    assertThrows(() => here.sendFds([MESSAGE], [1.5]), TypeError);
    assertThrows(() => here.sendFds([MESSAGE], [Deno.stdin as never]), TypeError, "use 0");
    assertThrows(() => here.sendFds([MESSAGE], 5 as never), TypeError);
    there.setBlocking(false);
    assertCode(() => there.recvFds(100, 10), "EAGAIN", "recvmsg");
  });

  test("recvFds() receives a connection that another socket has accepted", () => {
    using cleanup = new Cleanup();
    const [here, there] = cleanup.pair();
    const [client, server] = tcpPair();
    cleanup.add(client);
    here.sendFds([bytes("a connection")], [server]);
    server.close();
    const [, [fd]] = there.recvFds(100, 1);
    using received = Socket.fromFd(fd!);
    assertEquals([received.family, received.type], [AF_INET, SOCK_STREAM]);
    client.send(bytes("ping"));
    assertEquals(received.recv(100), bytes("ping"));
  });

  test("recvMsg() sets close-on-exec in a second step on macOS", () => {
    using cleanup = new Cleanup();
    const [here, there] = cleanup.pair();
    const passed = new Passed(cleanup, 3);
    here.sendFds([MESSAGE], passed.fds);
    const control = new Uint8Array(1000);
    const received = { nameLength: 0, controlLength: 0, flags: -1 };
    const buffer = new Uint8Array(100);
    const count = receiveInSteps(there.fileno(), [buffer], control, 0, new Uint8Array(128), received);
    assertEquals([count, received.flags], [MESSAGE.length, 0]);
    checkFds(descriptorsIn(decodeControl(control.subarray(0, received.controlLength))), [0, 1, 2]);
    assert(receiveInSteps(there.fileno(), [buffer], null, MSG_DONTWAIT, new Uint8Array(128), received) < 0);
  });

  declare("decodeControl() stops at an item without a whole header, and cuts off data without room", () => {
    const header = CMSG_LEN(0);
    const item = (length: number, room: number) => {
      const control = new Uint8Array(room);
      new DataView(control.buffer).setUint32(0, length, true);
      return decodeControl(control).map(([, , data]) => data.length);
    };
    assertEquals(item(header + 4, header + 4), [4]);
    assertEquals(item(header + 400, header + 4), [4]);
    assertEquals(item(0xffff_ffff, header + 4), [4]);
    assertEquals(item(header, header), [0]);
    assertEquals(item(header - 1, header + 4), []);
    assertEquals(item(0, 100), []);
    assertEquals(item(header, header - 1), []);
    assertEquals(item(header, 4), []);
  });
});

/** Socket options and types of ancillary data from linux/in6.h. */
const [IPV6_RECVHOPLIMIT, IPV6_HOPLIMIT, IPV6_RECVTCLASS, IPV6_TCLASS] = [51, 52, 66, 67];

describe("Socket: ancillary data of IPv6", () => {
  const int = (value: number) => new Uint8Array(Int32Array.of(value).buffer);

  test(
    "sendMsg() sets the hop limit and the traffic class, and recvMsg() returns them",
    { needs: [IPV6, LINUX, CONTROL] },
    () => {
      using cleanup = new Cleanup();
      const [here, there] = connected(cleanup, AF_INET6);
      there.setsockopt(IPPROTO_IPV6, IPV6_RECVHOPLIMIT, true);
      there.setsockopt(IPPROTO_IPV6, IPV6_RECVTCLASS, true);
      const items: ControlMessage[] = [
        [IPPROTO_IPV6, IPV6_TCLASS, int(8)],
        [IPPROTO_IPV6, IPV6_HOPLIMIT, int(2)],
      ];
      here.sendMsg([MESSAGE], items.values());
      const [data, ancillary, flags, address] = there.recvMsg(100, 2 * CMSG_SPACE(4));
      assertEquals([data, flags, address], [MESSAGE, 0, here.getsockname()]);
      const byType = ([, one]: ControlMessage, [, other]: ControlMessage) => other - one;
      assertEquals(ancillary.sort(byType), items);

      here.sendMsg([MESSAGE], items);
      const [, first, truncated] = there.recvMsg(100, CMSG_SPACE(4));
      assertEquals([first.length, truncated], [1, MSG_CTRUNC]);
      here.sendMsg([MESSAGE], items);
      assertEquals(there.recvMsg(100, CMSG_LEN(0) + 2)[1].map(([, , data]) => data.length), [2]);
    },
  );
});

describe("Socket: messages on Windows", () => {
  declare("sendMsg(), recvMsg(), sendFds() and recvFds() throw NotSupported there", {
    needs: [isWindows ? null : "this is Unix"],
  }, () => {
    const [here, there] = socketpair();
    const { NotSupported } = Deno.errors;
    assertThrows(() => here.sendMsg([MESSAGE]), NotSupported, "use send() or sendTo()");
    assertThrows(() => here.sendFds([MESSAGE], [5]), NotSupported);
    assertThrows(() => there.recvMsg(10), NotSupported, "use recv() or recvFrom()");
    assertThrows(() => there.recvFds(10, 1), NotSupported);
    here.close();
    there.close();
  });
});
