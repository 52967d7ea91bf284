/**
 * `Devpoll`, after CPython's test_devpoll.py, and DevpollSelector, both over a stand-in for the device.
 *
 * Two things differ from CPython's tests. test_events_mask_overflow and its C limits: TypeScript has no OverflowError,
 * so an invalid event mask throws a RangeError. Operations on a closed Devpoll throw BadResource, like operations on
 * any closed resource in Deno.
 */

import { assert, assertEquals, assertFalse, assertGreaterOrEqual, assertLess, assertThrows } from "@std/assert";
import { describe } from "@std/testing/bdd";
import { Devpoll, type FileObject, KeyError, OSError, POLLIN, POLLOUT, POLLPRI } from "../ffi/select/mod.ts";
import * as ffi from "../ffi/os/devpoll.ts";
import { standIn } from "../ffi/os/library.ts";
import { os } from "../ffi/os/systems.ts";
import { close, read } from "../ffi/socket/mod.ts";
import { DevpollSelector, EVENT_READ, EVENT_WRITE } from "../mod.ts";
import { pollContract } from "./contracts/poll_contract.ts";
import {
  BOTH,
  bytes,
  Cleanup,
  descriptorLimit,
  duplicate,
  elapsedMs,
  F_GETFD,
  FD_CLOEXEC,
  libc,
  readyFds,
  test as declare,
  type TestArguments,
  withOptions,
} from "./support/util.ts";

/** The flag of the device that removes a descriptor, and the device's errors with their Linux numbers. */
const POLLREMOVE = 0x0800;
const EINTR = 4;
const ENOMEM = 12;
const EACCES = 13;
const EMFILE = 24;
const ENOTTY = 25;
const ENOSYS = 38; // an emulator fails with it for an unknown ioctl()

const isLinux = os === "linux";
const { failures, functions, log, maskOf, openDevices, patience } = isLinux
  ? await import("./standins/devpoll_standin.ts")
  : {} as typeof import("./standins/devpoll_standin.ts");

/** Declares a test with the stand-in for /dev/poll. */
const STAND_IN = isLinux ? null : `the stand-in of /dev/poll is over Linux' poll(), and this is ${os}`;

function test(name: string, ...args: TestArguments<() => void | Promise<void>>): void {
  const [{ needs = [] }, body] = withOptions(args);
  declare(name, { needs: [STAND_IN, ...needs] }, async () => {
    log.clear();
    await body();
    assertEquals(openDevices(), 0, "The test left a device open");
    assertEquals([failures.open, failures.write, failures.ioctl], [[], [], []], "The test has failures left over");
  });
}

if (isLinux) {
  const { asyncContract } = await import("./contracts/async_contract.ts");
  const { asynchronously, selectorContract } = await import("./contracts/selector_contract.ts");
  standIn("devpoll", functions, "illumos");

  const contract = {
    name: "DevpollSelector",
    create: <D>() => new DevpollSelector<D>(),
    lacks: { shortTimeouts: "/dev/poll supports only whole milliseconds" },
  };
  selectorContract(contract);
  // Asynchronous waits do not wait on the device, so they lack nothing.
  selectorContract({
    name: `${contract.name}, waiting asynchronously`,
    create: contract.create,
    select: asynchronously,
  });
  asyncContract(contract);
}

pollContract({ name: "Devpoll", create: (cleanup) => cleanup.add(new Devpoll()), test });

describe("Devpoll", () => {
  test("poll() accepts timeouts from -1 to 2^31-1, and throws RangeError for others", () => {
    using cleanup = new Cleanup();
    const [, writer] = cleanup.pipe();
    using devpoll = new Devpoll();
    devpoll.register(writer);
    for (const timeoutMs of [undefined, null, -1, -0.5, -0, 0, 0.5, 2 ** 30, 2 ** 31 - 1.5, 2 ** 31 - 1]) {
      assertEquals(devpoll.poll(timeoutMs), [[writer, POLLOUT]]);
    }
    const timeouts = log.waits.map(([, timeout]) => timeout);
    assertEquals(timeouts, [-1, -1, -1, -1, 0, 0, 1, 2 ** 30, 2 ** 31 - 1, 2 ** 31 - 1]);
    for (
      const timeoutMs of [-2, -1.5, -(2 ** 31), 2 ** 31, 2 ** 31 - 0.5, 2 ** 63, 2 ** 64, Infinity, -Infinity, NaN]
    ) {
      assertThrows(() => devpoll.poll(timeoutMs), RangeError, String(timeoutMs));
    }
    assertEquals(log.waits.length, timeouts.length);
  });

  test("poll() waits out its timeout, rounded up, even if nothing is registered", () => {
    using cleanup = new Cleanup();
    const [here] = cleanup.pair();
    using devpoll = new Devpoll();
    for (const register of [() => {}, () => devpoll.register(here, POLLIN)]) {
      register();
      for (const timeoutMs of [20, 1.5, 0.1]) {
        const elapsed = elapsedMs(() => assertEquals(devpoll.poll(timeoutMs), []));
        assertGreaterOrEqual(elapsed, Math.ceil(timeoutMs));
        assertLess(elapsed, 30_000);
      }
    }
    assertEquals(log.waits, [[0, 20], [0, 2], [0, 1], [1, 20], [1, 2], [1, 1]]);
  });

  test("close() does nothing the second time, and makes every other method throw", () => {
    using cleanup = new Cleanup();
    const [here] = cleanup.pair();
    const devpoll = new Devpoll();
    const fd = devpoll.fileno();
    assertGreaterOrEqual(fd, 0);
    assertFalse(devpoll.closed);
    assertEquals(Deno.inspect(devpoll), `Devpoll { fd: ${fd}, closed: false }`);
    devpoll.close();
    devpoll.close();
    assert(devpoll.closed);
    assertEquals(Deno.inspect(devpoll), "Devpoll { fd: -1, closed: true }");
    assertEquals(libc!.fcntl(fd, F_GETFD), -1);
    const calls = [
      () => devpoll.fileno(),
      () => devpoll.register(here, POLLIN),
      () => devpoll.modify(here, POLLIN),
      () => devpoll.unregister(here),
      () => devpoll.poll(),
    ];
    for (const call of calls) assertThrows(call, Deno.errors.BadResource, "the /dev/poll set is closed");
    {
      using inner = new Devpoll();
      assertFalse(inner.closed);
    }
  });

  test("new Devpoll() opens a close-on-exec descriptor", () => {
    using devpoll = new Devpoll();
    assertEquals(libc!.fcntl(devpoll.fileno(), F_GETFD), FD_CLOEXEC);
  });

  test("register(), modify() and unregister() pass no invalid file object to the device", () => {
    using devpoll = new Devpoll();
    for (const nope of [{}, "1", null, 1.5, -1, 2 ** 31] as never[]) {
      assertThrows(() => devpoll.register(nope));
      assertThrows(() => devpoll.modify(nope, POLLIN));
      assertThrows(() => devpoll.unregister(nope));
    }
    assertEquals(log.writes, []);
  });

  test("register() passes every bit of a mask, by default reading, writing and urgent data", () => {
    using cleanup = new Cleanup();
    const [here] = cleanup.pair();
    using devpoll = new Devpoll();
    devpoll.register(here, 0xffff);
    assertEquals(maskOf(devpoll.fileno(), here.fileno()), 0xffff);
    devpoll.modify(here);
    assertEquals(maskOf(devpoll.fileno(), here.fileno()), POLLIN | POLLPRI | POLLOUT);
  });

  test("register() and modify() replace a mask in one write", () => {
    using cleanup = new Cleanup();
    const fd = cleanup.pair()[0].fileno();
    using devpoll = new Devpoll();
    devpoll.register(fd, POLLIN);
    devpoll.register(fd, POLLOUT);
    devpoll.modify(fd, POLLIN);
    devpoll.unregister(fd);
    const change = (events: number) => [[fd, POLLREMOVE], [fd, events]];
    assertEquals(log.writes, [[[fd, POLLIN]], change(POLLOUT), change(POLLIN), [[fd, POLLREMOVE]]]);
  });

  test("register() and modify() throw EBADF for a closed descriptor", () => {
    using cleanup = new Cleanup();
    const [here, there] = cleanup.pair();
    const fd = duplicate(cleanup, here.fileno(), 1500);
    using devpoll = new Devpoll();
    devpoll.register(fd, POLLIN);
    close(fd);
    assertEquals(assertThrows(() => devpoll.modify(fd, POLLOUT), OSError, "fd 1500").code, "EBADF");
    devpoll.unregister(fd);
    assertEquals(assertThrows(() => devpoll.register(fd, POLLOUT), OSError, "fd 1500").code, "EBADF");
    assertThrows(() => devpoll.unregister(fd), KeyError);
    libc!.dup2(here.fileno(), fd);
    devpoll.register(fd, POLLIN);
    assertEquals(devpoll.poll(0), []);
    there.send(bytes("ping"));
    assertEquals(devpoll.poll(), [[fd, POLLIN]]);
  });

  test("Devpoll throws an OSError that names the call if the device fails, and registers nothing", () => {
    using cleanup = new Cleanup();
    const [here] = cleanup.pair();
    failures.open.push([-1, EMFILE]);
    const refused = assertThrows(() => new Devpoll(), OSError, "open /dev/poll: Too many open files");
    assertEquals([refused.code, refused.syscall], ["EMFILE", "open"]);
    using devpoll = new Devpoll();
    failures.write.push([-1, EACCES]);
    const denied = assertThrows(() => devpoll.register(here), OSError, `fd ${here.fileno()}`);
    assertEquals([denied.code, denied.syscall], ["EACCES", "write"]);
    assertThrows(() => devpoll.unregister(here), KeyError);
    devpoll.register(here, POLLOUT);
    failures.write.push([8, 0]); // the device writes one of two entries
    const partial = assertThrows(() => devpoll.modify(here, POLLIN), OSError, `fd ${here.fileno()}`);
    assertEquals([partial.code, partial.syscall], ["EIO", "write"]);
    failures.write.push([0, 0]);
    assertEquals(assertThrows(() => devpoll.register(here, POLLIN), OSError).code, "EIO");
    failures.ioctl.push([-1, EACCES]);
    const unasked = assertThrows(() => devpoll.poll(), OSError, `fd ${devpoll.fileno()}`);
    assertEquals([unasked.code, unasked.syscall], ["EACCES", "ioctl"]);
    failures.write.push([-1, EACCES]);
    assertEquals(assertThrows(() => devpoll.unregister(here), OSError).code, "EACCES");
  });

  test("register() and unregister() repeat an interrupted write", () => {
    using cleanup = new Cleanup();
    const [here] = cleanup.pair();
    using devpoll = new Devpoll();
    failures.write.push([-1, EINTR], [-1, EINTR]);
    devpoll.register(here, POLLOUT);
    assertEquals(devpoll.poll(), [[here.fileno(), POLLOUT]]);
    failures.write.push([-1, EINTR]);
    devpoll.unregister(here);
    assertEquals(devpoll.poll(0), []);
  });
});

describe("DevpollInstance", () => {
  test("reserve() makes room for the given number of events", () => {
    using cleanup = new Cleanup();
    const [here] = cleanup.pair();
    const instance = new ffi.DevpollInstance();
    cleanup.defer(() => instance.close());
    assertEquals(instance.add(here.fileno(), POLLOUT), 8);
    for (const count of [1, 64, 65, 500, 501, 100]) {
      instance.reserve(count);
      assertEquals(instance.wait(0, count), 1); // the stand-in throws if there is too little room
      assertEquals([instance.fdAt(0), instance.reventsAt(0)], [here.fileno(), POLLOUT]);
    }
  });

  test("wait() returns at most the given number of events, and the next call returns the rest", () => {
    using cleanup = new Cleanup();
    const fds = Array.from({ length: 5 }, () => cleanup.pair()[0].fileno());
    const instance = new ffi.DevpollInstance();
    cleanup.defer(() => instance.close());
    for (const fd of fds) instance.add(fd, POLLOUT);
    const found = new Set<number>();
    for (let round = 0; round < 3; round++) {
      assertEquals(instance.wait(0, 2), 2);
      for (const index of [0, 1]) found.add(instance.fdAt(index));
    }
    assertEquals([...found].sort((a, b) => a - b), fds.sort((a, b) => a - b));
  });

  test("DevpollInstance writes exact bytes, and reads every bit of the result", () => {
    // Hexadecimal digits, with the lowest byte first.
    const written: string[] = [];
    const waited: [request: number, dvpoll: string][] = [];
    const addresses: bigint[] = [];
    const hex = (array: Int32Array<ArrayBuffer>, size: number) =>
      new Uint8Array(array.buffer, array.byteOffset, size).toHex();
    standIn("devpoll", {
      ...functions,
      write(_fd: number, buffer: Int32Array<ArrayBuffer>, nbyte: bigint): number {
        written.push(hex(buffer, Number(nbyte)));
        return Number(nbyte);
      },
      memmove(to: Int32Array<ArrayBuffer>, from: Int32Array<ArrayBuffer>, size: bigint): bigint {
        addresses.push(functions.memmove(to, from, size));
        return addresses.at(-1)!;
      },
      ioctl(_fd: number, request: number, dvpoll: Int32Array<ArrayBuffer>): number {
        waited.push([request, hex(dvpoll, 24)]);
        const pollfds = Deno.UnsafePointer.create(addresses.at(-1)!)!;
        new Uint8Array(Deno.UnsafePointerView.getArrayBuffer(pollfds, 16)).set(
          Uint8Array.fromHex("67452371" + "ffff" + "01c0" + "03000000" + "0000" + "ffff"),
        );
        return 2;
      },
    }, "illumos");
    using cleanup = new Cleanup();
    cleanup.defer(() => standIn("devpoll", functions, "illumos"));
    const instance = new ffi.DevpollInstance();
    cleanup.defer(() => instance.close());
    const fd = 0x7123_4567;
    assertEquals([instance.add(fd, 0x1234), instance.change(3, 0x0005), instance.remove(fd)], [8, 16, 8]);
    const removal = "00080000";
    assertEquals(written, ["6745237134120000", `03000000${removal}0300000005000000`, `67452371${removal}`]);

    const pointer = () => new Uint8Array(new BigUint64Array([addresses.at(-1)!]).buffer).toHex();
    const waits: [timeoutMs: number, dp_timeout: string][] = [
      [Infinity, "ffffffff"],
      [0, "00000000"],
      [1.5, "02000000"],
      [0x0102_0304, "04030201"],
    ];
    for (const reserved of [2, 65, 128] as const) {
      instance.reserve(reserved);
      for (const [timeoutMs, dp_timeout] of waits) {
        assertEquals(instance.wait(timeoutMs, reserved), 2);
        const dp_nfds = { 2: "0200000000000000", 65: "4100000000000000", 128: "8000000000000000" }[reserved];
        assertEquals(waited.splice(0), [[(0xd0 << 8) | 1, pointer() + dp_nfds + dp_timeout + "00000000"]]);
        const found = [0, 1].map((index) => [instance.fdAt(index), instance.reventsAt(index)]);
        assertEquals(found, [[fd, 0xc001], [3, 0xffff]]);
      }
    }
    assertEquals(addresses.length, 2, "The room is not doubled");
  });

  test("Devpoll has the layouts and constants of <sys/devpoll.h>, <sys/poll.h> and <sys/fcntl.h>", () => {
    // struct dvpoll { pollfd_t *dp_fds; nfds_t dp_nfds; int dp_timeout; }: a pointer, an unsigned long and an int.
    assertEquals(ffi.DVPOLL, { size: 24, dp_fds: 0, dp_nfds: 8, dp_timeout: 16 });
    assertEquals(ffi.DP_POLL, 53249);
    assertEquals(ffi.POLLREMOVE, 2048);
    assertEquals([ffi.O_RDWR, ffi.O_CLOEXEC], [2, 8388608]);
  });
});

describe("the stand-in for /dev/poll", () => {
  test("the stand-in throws instead of waiting or looping forever", () => {
    using cleanup = new Cleanup();
    const [here] = cleanup.pair();
    const { ms, looks } = patience;
    cleanup.defer(() => Object.assign(patience, { ms, looks }));
    Object.assign(patience, { ms: 20, looks: 1_000 });
    using devpoll = new Devpoll();
    devpoll.register(here, POLLIN);
    const elapsed = elapsedMs(() => assertThrows(() => devpoll.poll(), Error, "what does not come"));
    assertLess(elapsed, 30_000);
    assertThrows(() => devpoll.poll(60_000), Error, "what does not come");
    assertEquals(devpoll.poll(0), []);
    const spin = () => {
      for (;;) devpoll.poll(0);
    };
    assertThrows(spin, Error, "over and over");
  });
});

describe("SYMBOLS", () => {
  test("SYMBOLS pass their arguments to C unchanged", () => {
    using cleanup = new Cleanup();
    const [here] = cleanup.pair();
    const { symbols } = Deno.dlopen("libc.so.6", ffi.SYMBOLS);
    const [reader, writer] = cleanup.pipe();
    // A pipe accepts the same writes as the device, but fails with its own error for an unknown request.
    const open = (path: Uint8Array<ArrayBuffer>, flags: number) => {
      assertEquals(symbols.open(path, flags), -1); // this system has no /dev/poll
      return libc!.dup(writer);
    };
    standIn("devpoll", { ...symbols, open }, "illumos");
    cleanup.defer(() => standIn("devpoll", functions, "illumos"));
    const instance = new ffi.DevpollInstance();
    cleanup.defer(() => instance.close());
    const fd = here.fileno();
    assertEquals([instance.add(fd, POLLIN), instance.change(fd, POLLOUT), instance.remove(fd)], [8, 16, 8]);
    const written = new Int32Array(8);
    assertEquals(read(reader, new Uint8Array(written.buffer)), 32);
    assertEquals([...written], [fd, POLLIN, fd, POLLREMOVE, fd, POLLOUT, fd, POLLREMOVE]);
    for (const timeoutMs of [0, -0, 1.5, Infinity]) assert([-ENOTTY, -ENOSYS].includes(instance.wait(timeoutMs, 1)));
  });
});

describe("DevpollSelector", () => {
  test("fileno() returns the descriptor of the device, until the selector is closed", () => {
    const selector = new DevpollSelector();
    assertEquals(libc!.fcntl(selector.fileno(), F_GETFD), FD_CLOEXEC);
    selector.close();
    assertThrows(() => selector.fileno(), Deno.errors.BadResource, "the selector is closed");
  });

  test("register(), modify() and unregister() write once, with removals first, and never for data alone", () => {
    using cleanup = new Cleanup();
    const [here] = cleanup.pair();
    const fd = here.fileno();
    using selector = new DevpollSelector();
    selector.register(here, EVENT_READ, "old");
    selector.modify(here, EVENT_READ, "new");
    selector.modify(here, BOTH, "new");
    assertEquals(maskOf(selector.fileno(), fd), POLLIN | POLLOUT);
    selector.modify(here, EVENT_WRITE);
    assertEquals(maskOf(selector.fileno(), fd), POLLOUT);
    selector.unregister(here);
    assertEquals(maskOf(selector.fileno(), fd), undefined);
    assertEquals(log.writes, [
      [[fd, POLLIN]],
      [[fd, POLLREMOVE], [fd, POLLIN | POLLOUT]],
      [[fd, POLLREMOVE], [fd, POLLOUT]],
      [[fd, POLLREMOVE]],
    ]);
  });

  test("select() waits once, with room for every registration up to the descriptor limit", () => {
    using cleanup = new Cleanup();
    using selector = new DevpollSelector();
    assertEquals(selector.select(0), []);
    for (let count = 1; count <= 70; count++) {
      selector.register(cleanup.pair()[0], EVENT_WRITE);
      assertEquals(selector.select(1).length, count);
    }
    assertEquals(log.waits.length, 71);
    assertEquals(log.waits[0], [0, 0]);
    assertEquals(log.waits[70], [70, 1000]);
    assertLess(Math.max(...log.waits.map(([nfds]) => nfds)), descriptorLimit());
    assertEquals(log.writes.length, 70);
  });

  test("select() rounds its timeout up to milliseconds", () => {
    using selector = new DevpollSelector();
    for (const timeout of [0.0001, 0.0011, 0.02]) assertEquals(selector.select(timeout), []);
    assertEquals(log.waits.map(([, timeout]) => timeout), [1, 2, 20]);
  });

  test("select() removes a closed descriptor, and waits once more", () => {
    using cleanup = new Cleanup();
    const [here, there] = cleanup.pair();
    using selector = new DevpollSelector();
    selector.register(duplicate(cleanup, here.fileno(), 1500), BOTH);
    selector.register(here, EVENT_READ);
    close(1500);
    log.clear();
    assertGreaterOrEqual(elapsedMs(() => assertEquals(readyFds(selector, 0.02), [])), 20);
    assertEquals(log.waits.length, 2);
    assertEquals(log.writes, [[[1500, POLLREMOVE]]]);
    there.send(bytes("ping"));
    assertEquals(readyFds(selector), [[here.fileno(), EVENT_READ]]);
    assertEquals(log.waits.length, 3);
    assertEquals(selector.getMap()!.size, 2);
  });

  test("select() reports ready descriptors and skips a closed one in one wait", () => {
    using cleanup = new Cleanup();
    const [here] = cleanup.pair();
    using selector = new DevpollSelector();
    selector.register(duplicate(cleanup, here.fileno(), 1500), BOTH);
    selector.register(here, EVENT_WRITE);
    close(1500);
    assertEquals(readyFds(selector), [[here.fileno(), EVENT_WRITE]]);
    assertEquals(log.waits.length, 1);
  });

  test("register() registers nothing if it fails, and modify() unregisters the descriptor if it fails", () => {
    using cleanup = new Cleanup();
    const [here] = cleanup.pair();
    using selector = new DevpollSelector<undefined, FileObject>();
    failures.write.push([-1, ENOMEM]);
    const error = assertThrows(() => selector.register(here, EVENT_WRITE), OSError, `write fd ${here.fileno()}`);
    assertEquals(error.code, "ENOMEM");
    assertEquals(selector.getMap()!.size, 0);
    selector.register(here, EVENT_WRITE);
    failures.write.push([8, 0]);
    assertEquals(assertThrows(() => selector.modify(here, EVENT_READ), OSError).code, "EIO");
    assertEquals(selector.getMap()!.size, 0);
    assertEquals(maskOf(selector.fileno(), here.fileno()), undefined);
  });

  test("select() removes a descriptor that a failed write has left in the set", () => {
    using cleanup = new Cleanup();
    const [here, there] = cleanup.pair();
    using selector = new DevpollSelector();
    selector.register(here, EVENT_WRITE);
    selector.register(there, EVENT_WRITE);
    failures.write.push([-1, ENOMEM]);
    selector.unregister(here); // never throws
    assertEquals(maskOf(selector.fileno(), here.fileno()), POLLOUT);
    for (let round = 0; round < 3; round++) assertEquals(readyFds(selector), [[there.fileno(), EVENT_WRITE]]);
    assertEquals(maskOf(selector.fileno(), here.fileno()), undefined);
  });

  test("select() throws the error of the device, and repeats an interrupted call", () => {
    using cleanup = new Cleanup();
    const [here] = cleanup.pair();
    using selector = new DevpollSelector();
    selector.register(here, EVENT_WRITE);
    failures.ioctl.push([-1, EACCES]);
    const error = assertThrows(() => selector.select(), OSError, `ioctl fd ${selector.fileno()}`);
    assertEquals(error.code, "EACCES");
    failures.ioctl.push([-1, EINTR]);
    assertEquals(readyFds(selector), [[here.fileno(), EVENT_WRITE]]);
  });
});
