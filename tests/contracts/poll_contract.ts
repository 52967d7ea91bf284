/**
 * The behavior that `Poll` and `Devpoll` share, after CPython's `test_poll` and `test_devpoll`.
 *
 * @module
 */

import { assert, assertEquals, assertGreaterOrEqual, assertLess, assertThrows } from "@std/assert";
import { describe } from "@std/testing/bdd";
import {
  type FileObject,
  KeyError,
  OSError,
  POLLERR,
  POLLHUP,
  POLLIN,
  POLLNVAL,
  POLLOUT,
  POLLPRI,
} from "../../ffi/select/mod.ts";
import { AF_INET, close, MSG_OOB, read, write } from "../../ffi/socket/mod.ts";
import { lackedBy } from "../support/needs.ts";
import { interrupted } from "../support/signals.ts";
import {
  bytes,
  Cleanup,
  duplicate,
  elapsedMs,
  type Need,
  SOON,
  sorted,
  type test as declare,
  type TestArguments,
  withOptions,
} from "../support/util.ts";

/** The methods that both classes have. */
interface Pollable {
  register(fileobj: FileObject, eventmask?: number): void;
  modify(fileobj: FileObject, eventmask: number): void;
  unregister(fileobj: FileObject): void;
  poll(timeoutMs?: number | null): [fd: number, flags: number][];
}

/** A class under test. */
export interface PollContract {
  /** Name of the class. */
  name: string;
  /** Creates an instance, and adds it to `cleanup` if it has to be closed. */
  create(cleanup: Cleanup): Pollable;
  /** Declares a test. */
  test: typeof declare;
}

/** Events that are reported for an empty mask. */
export const EMPTY_MASKS: Need = lackedBy({
  darwin: "poll() of macOS reports nothing for an empty mask, and POLLIN beside POLLHUP",
});

/** Urgent data as an event. */
const URGENT_DATA = lackedBy({ darwin: "poll() of macOS does not report urgent data" });

/** Declares the tests for one class. */
export function pollContract({ name, create, test: declare }: PollContract): void {
  function test(title: string, ...args: TestArguments<(cleanup: Cleanup, poll: Pollable) => void | Promise<void>>) {
    const [options, body] = withOptions(args);
    declare(title, options, async () => {
      using cleanup = new Cleanup();
      await body(cleanup, create(cleanup));
    });
  }

  describe(`${name}: the contract of poll objects`, () => {
    test("poll() reports the ready ends among twelve pipes", (cleanup, poll) => {
      const message = bytes(" This is a test.");
      const writerOf = new Map<number, number>();
      for (let count = 0; count < 12; count++) {
        const [reader, writer] = cleanup.pipe();
        poll.register(reader);
        poll.modify(reader, POLLIN);
        poll.register(writer, POLLOUT);
        writerOf.set(reader, writer);
      }
      const matching = (flag: number) => poll.poll().filter(([, events]) => (events & flag) !== 0).map(([fd]) => fd);
      for (let turn = 0; writerOf.size > 0; turn++) {
        const writers = matching(POLLOUT);
        assertEquals(writers.sort(), [...writerOf.values()].sort());
        const writer = writers[turn * 7 % writers.length]!;
        write(writer, message);
        const readers = matching(POLLIN);
        assertEquals(readers.map((reader) => writerOf.get(reader)), [writer]);
        const reader = readers[0]!;
        const buffer = new Uint8Array(100);
        assertEquals(buffer.subarray(0, read(reader, buffer)), message);
        cleanup.close(writer);
        cleanup.close(reader);
        poll.unregister(writer);
        poll.unregister(reader);
        writerOf.delete(reader);
      }
      assertEquals(poll.poll(0), []);
    });

    test("register(), modify() and unregister() throw TypeError for an invalid file object", (_cleanup, poll) => {
      const almost = { fileno: () => "fileno" };
      for (const nope of [poll.poll, {}, almost, "1", null, undefined, 1.5, NaN, 1n]) {
        assertThrows(() => poll.register(nope as never), TypeError, "as a file object");
        assertThrows(() => poll.register(nope as never, 0), TypeError, "as a file object");
        assertThrows(() => poll.modify(nope as never, 0), TypeError, "as a file object");
        assertThrows(() => poll.unregister(nope as never), TypeError, "as a file object");
      }
      assertEquals(poll.poll(0), []);
    });

    test(
      "register(), modify() and unregister() throw RangeError for an impossible descriptor",
      (_cleanup, poll) => {
        for (const fd of [-1, -10, 2 ** 31, 2 ** 32]) {
          assertThrows(() => poll.register(fd), RangeError, String(fd));
          assertThrows(() => poll.modify(fd, POLLIN), RangeError, String(fd));
          assertThrows(() => poll.unregister({ fileno: () => fd }), RangeError, String(fd));
        }
        assertEquals(poll.poll(0), []);
      },
    );

    test("modify() throws ENOENT and unregister() KeyError if the descriptor is not registered", (cleanup, poll) => {
      const [here] = cleanup.pair();
      const error = assertThrows(() => poll.modify(here, POLLOUT), OSError, `fd ${here.fileno()}`);
      assertEquals(error.code, "ENOENT");
      assertThrows(() => poll.unregister(here), KeyError, `fd ${here.fileno()}`);
      assertEquals(poll.poll(0), []);
      poll.register(here);
      poll.unregister(here.fileno());
      assertThrows(() => poll.unregister(here), KeyError, `fd ${here.fileno()}`);
      assertEquals(poll.poll(0), []);
    });

    test(
      "register() and modify() throw if the mask is not a 16-bit integer, and change nothing",
      (cleanup, poll) => {
        const [here, there] = cleanup.pair();
        poll.register(here, POLLOUT);
        for (const mask of [-1, 0x1_0000, 2 ** 31, 2 ** 32, 2 ** 64, 1.5, NaN, Infinity]) {
          assertThrows(() => poll.register(here, mask), RangeError, "events");
          assertThrows(() => poll.register(there, mask), RangeError, "events");
          assertThrows(() => poll.modify(here, mask), RangeError, "events");
        }
        for (const mask of ["1", null, 1n, true, {}]) {
          assertThrows(() => poll.register(here, mask as never), TypeError, "events");
          assertThrows(() => poll.register(there, mask as never), TypeError, "events");
          assertThrows(() => poll.modify(here, mask as never), TypeError, "events");
        }
        assertEquals(poll.poll(), [[here.fileno(), POLLOUT]]);
        poll.modify(here, 0xffff); // unknown flags are ignored, as in the kernel
        assertEquals(poll.poll().length, 1);
      },
    );

    test(
      "register() waits for reading, writing and urgent data by default",
      { needs: [URGENT_DATA] },
      (cleanup, poll) => {
        const [client, server] = cleanup.pair(AF_INET);
        const urgent = create(cleanup);
        urgent.register(server, POLLPRI);
        poll.register(server);
        assertEquals(poll.poll(), [[server.fileno(), POLLOUT]]);
        client.send(bytes("ping"));
        client.send(bytes("!"), MSG_OOB);
        assertEquals(urgent.poll(1000 * SOON), [[server.fileno(), POLLPRI]]);
        assertEquals(poll.poll(), [[server.fileno(), POLLIN | POLLPRI | POLLOUT]]);
      },
    );

    test(
      "register() and modify() replace the mask of an object and of a number",
      (cleanup, poll) => {
        const [here, there] = cleanup.pair();
        const fd = here.fileno();
        there.send(bytes("ping"));
        poll.register({ fileno: () => fd }, POLLIN);
        poll.register(here, POLLOUT);
        assertEquals(poll.poll(), [[fd, POLLOUT]]);
        poll.modify(fd, POLLIN);
        assertEquals(poll.poll(), [[fd, POLLIN]]);
        poll.unregister(here);
        assertEquals(poll.poll(0), []);
      },
    );

    test("poll() reports POLLNVAL for a closed descriptor until it is unregistered", {
      needs: [EMPTY_MASKS],
    }, (cleanup, poll) => {
      const [here] = cleanup.pair();
      const fd = duplicate(cleanup, here.fileno(), 1500);
      poll.register(fd, 0); // with an empty mask
      poll.register(here, POLLOUT);
      close(fd);
      for (let round = 0; round < 2; round++) {
        assertEquals(sorted(poll.poll()), [[here.fileno(), POLLOUT], [fd, POLLNVAL]]);
      }
      poll.unregister(fd);
      assertEquals(poll.poll(), [[here.fileno(), POLLOUT]]);
    });

    test("poll() reports hang-ups and errors with an empty mask", { needs: [EMPTY_MASKS] }, (cleanup, poll) => {
      const [reader, writer] = cleanup.pipe();
      const [lonelyReader, lonelyWriter] = cleanup.pipe();
      poll.register(reader, 0);
      poll.register(lonelyWriter, 0);
      cleanup.close(writer);
      cleanup.close(lonelyReader);
      assertEquals(sorted(poll.poll()), sorted([[reader, POLLHUP], [lonelyWriter, POLLERR]]));
    });

    test("poll() returns a new array each time, with one entry per ready descriptor", (cleanup, poll) => {
      const pairs = Array.from({ length: 150 }, () => cleanup.pair());
      for (const [count, [here]] of pairs.entries()) {
        poll.register(here, POLLOUT);
        if (count % 10 === 0) assertEquals(poll.poll().length, count + 1);
      }
      const found = poll.poll();
      assertEquals(sorted(found), sorted(pairs.map(([here]) => [here.fileno(), POLLOUT])));
      assert(poll.poll() !== found);
    });

    test("poll() throws RangeError for NaN, and TypeError if the timeout is not a number", (_cleanup, poll) => {
      assertThrows(() => poll.poll(NaN), RangeError, "NaN");
      for (const nope of ["1000", true, 1n, { milliseconds: 1 }]) {
        assertThrows(() => poll.poll(nope as never), TypeError, "use milliseconds, or null");
      }
    });

    test("poll() continues to wait after a signal interrupts it", async (cleanup, poll) => {
      const [here] = cleanup.pair();
      poll.register(here, POLLIN);
      const signals = await interrupted(() => {
        const elapsed = elapsedMs(() => assertEquals(poll.poll(100), []));
        assertGreaterOrEqual(elapsed, 100);
        assertLess(elapsed, 30_000);
      });
      assert(signals > 0, "No signal came");
    });
  });
}
