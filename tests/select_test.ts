/**
 * `select()`, after CPython's test_select.py.
 *
 * Two tests differ from CPython's. test_select_mutated: select() copies the lists before it calls any `fileno()`, so it
 * waits for a whole list even if the list shrinks during the call. test_disallow_instantiation: `new Poll()` is valid.
 */

import {
  assert,
  assertEquals,
  assertGreaterOrEqual,
  assertLess,
  assertNotStrictEquals,
  assertStrictEquals,
  assertThrows,
} from "@std/assert";
import { join } from "@std/path";
import { describe } from "@std/testing/bdd";
import { closeSync, openSync } from "node:fs";
import { type FileObject, OSError, select, type Timeout } from "../ffi/select/mod.ts";
import { os } from "../ffi/os/systems.ts";
import { AF_INET, close, MSG_OOB, read, SHUT_WR } from "../ffi/socket/mod.ts";
import { O_NONBLOCK } from "../ffi/os/socket_constants.ts";
import { DUP2, FILES, SIGNALS, WIDE_SELECT } from "./support/needs.ts";
import { interrupted } from "./support/signals.ts";
import { bytes, Cleanup, duplicate, elapsedMs, libc, SOON, test, text } from "./support/util.ts";

/** A number that is not an open descriptor, and that this process will not open by chance. */
function closedNumber(cleanup: Cleanup, number: number): number {
  const [fd] = cleanup.pipe();
  close(duplicate(cleanup, fd, number));
  return number;
}

describe("select()", () => {
  test("select() throws EBADF for a closed descriptor above every descriptor that was ever open", () => {
    // In a new process, because the kernel ignores numbers beyond its descriptor table, which never shrinks.
    const script = `
      import { select } from ${JSON.stringify(import.meta.resolve("../ffi/select/mod.ts"))};
      for (const fd of [100, 255, 256, 500, 1000, 1023, 1024, 4000, 2 ** 30, 2 ** 31 - 1]) {
        try {
          console.log(fd, select([fd], [], [], 0));
        } catch (error) {
          if (error.code !== "EBADF") console.log(fd, error);
        }
      }
    `;
    const { success, stdout } = new Deno.Command(Deno.execPath(), { args: ["eval", "--no-check", script] })
      .outputSync();
    assertEquals([success, text(stdout)], [true, ""]);
  });

  test("select() throws a TypeError that names the list if a list is not iterable", () => {
    const notAList = 1 as never;
    assertThrows(() => select(notAList, [], [], 0), TypeError, "rlist");
    assertThrows(() => select([], notAList, [], 0), TypeError, "wlist");
    assertThrows(() => select([], [], notAList, 0), TypeError, "xlist");
    assertThrows(() => select(1 as never, 2 as never, 3 as never), TypeError, "rlist");
    assertThrows(() => select([], [], null as never, 0), TypeError, "Cannot use null as xlist");
  });

  test("select() throws TypeError for an invalid file object", () => {
    const almost = { fileno: () => "fileno" };
    for (const nope of [{}, almost, "0", null, undefined, 0.5, NaN, 1n, Symbol.iterator, { fileno: 3 }]) {
      assertThrows(() => select([nope as never], [], [], 0), TypeError, "as a file object");
      assertThrows(() => select([], [nope as never], [], 0), TypeError, "as a file object");
      assertThrows(() => select([], [], [nope as never], 0), TypeError, "as a file object");
    }
  });

  test("select() throws TypeError if the timeout is neither a number nor a duration", () => {
    for (const nope of ["not a number", "1", true, 1n, () => 1]) {
      assertThrows(() => select([], [], [], nope as never), TypeError);
    }
    assertThrows(() => select([], [], [], {}), TypeError); // a duration without any unit
  });

  test("select() throws RangeError if the timeout is negative, NaN, or in calendar units", () => {
    for (const timeout of [-1, -0.1, -1e-100, -Infinity, NaN, { seconds: -1 }, { months: 1 }]) {
      assertThrows(() => select([], [], [], timeout), RangeError);
    }
  });

  test("select() throws RangeError for an impossible descriptor", () => {
    for (const fd of [-1, -10, 2 ** 31, 2 ** 32, 2 ** 53]) {
      assertThrows(() => select([fd], [], [], 0), RangeError, String(fd));
      assertThrows(() => select([], [{ fileno: () => fd }], [], 0), RangeError, String(fd));
    }
  });

  test(
    "select() throws EBADF if a descriptor is closed, alone or among open ones",
    { needs: [DUP2, WIDE_SELECT] },
    () => {
      using cleanup = new Cleanup();
      const [reader, writer] = cleanup.pipe();
      const closed = closedNumber(cleanup, 1500);
      // The kernel ignores numbers above the highest descriptor that was ever open.
      duplicate(cleanup, reader, 1600);
      for (
        const call of [
          () => select([closed], [], [], 0),
          () => select([], [closed], [], 0),
          () => select([], [], [closed], 0),
          () => select([reader], [writer, closed], [], SOON),
          () => select([closed], [], []),
        ]
      ) {
        const error = assertThrows(call, OSError);
        assertEquals([error.code, error.syscall], ["EBADF", "select"]);
      }
    },
  );

  test("select() rethrows an error of fileno()", () => {
    const error = new Error("no number today");
    const fileobj = {
      fileno(): number {
        throw error;
      },
    };
    assertStrictEquals(assertThrows(() => select([], [fileobj], [], 0)), error);
  });

  test("select() returns three new arrays, even if nothing is ready", () => {
    using cleanup = new Cleanup();
    const [here] = cleanup.pair();
    const list = [here];
    for (const lists of [[[], [], []], [list, list, list], [[], list, []]]) {
      const ready = select(lists[0]!, lists[1]!, lists[2]!, 0);
      assertEquals(ready.length, 3);
      for (const [index, array] of ready.entries()) {
        assert(Array.isArray(array));
        assertNotStrictEquals(array, lists[index]!);
        assertNotStrictEquals(array, ready[(index + 1) % 3]!);
      }
    }
    assertEquals(list, [here]);
  });

  test("select() returns the given objects in the given order, including duplicates", () => {
    using cleanup = new Cleanup();
    const [here, there] = cleanup.pair();
    const [idle] = cleanup.pair();
    there.send(bytes("ping"));
    const wrapped = { fileno: () => here.fileno() };
    const list: FileObject[] = [wrapped, idle, here.fileno(), here, wrapped];
    const [readable] = select(list, [], [], SOON);
    assertEquals(readable.length, 4);
    for (const [index, expected] of [wrapped, here.fileno(), here, wrapped].entries()) {
      assertStrictEquals(readable[index], expected);
    }
  });

  test("select() reports the events of each list separately", () => {
    using cleanup = new Cleanup();
    const [here, there] = cleanup.pair();
    const all = [here, there];
    there.send(bytes("ping"));
    assertEquals(select(all, [], [], 0), [[here], [], []]);
    assertEquals(select([], all, [], 0), [[], all, []]);
    assertEquals(select([], [], all, 0), [[], [], []]);
    assertEquals(select(all, all, all, 0), [[here], all, []]);
    assertEquals(select([there], [here], [], 0), [[], [here], []]);
  });

  test("select() accepts any iterable, and iterates it once", () => {
    using cleanup = new Cleanup();
    const [here, there] = cleanup.pair();
    there.send(bytes("ping"));
    function* once() {
      yield there;
      yield here;
    }
    const map = new Map([[here, "a"], [there, "b"]]);
    assertEquals(select(once(), new Set([here]), map.keys(), SOON), [[here], [here], []]);
  });

  test("select() waits for the whole list even if fileno() empties it", () => {
    using cleanup = new Cleanup();
    const [, writer] = cleanup.pipe();
    const list: FileObject[] = [];
    const fileobj = {
      fileno() {
        list.pop();
        return writer;
      },
    };
    for (let count = 0; count < 10; count++) list.push(fileobj);
    assertEquals(select([], list, [], 0), [[], new Array(10).fill(fileobj), []]);
    assertEquals(list, []);
  });

  test(
    "select() waits for the output of another process, and reports its end as readable",
    { needs: [FILES] },
    async () => {
      const directory = Deno.makeTempDirSync();
      const path = join(directory, "fifo");
      assertEquals(libc!.mkfifo(bytes(`${path}\0`), 0o600), 0);
      const fifo = libc!.open(bytes(`${path}\0`), O_NONBLOCK); // | O_RDONLY, which is 0
      const script = 'for i in 0 1 2; do echo testing...; sleep 0.01; done > "$0"';
      const child = new Deno.Command("sh", { args: ["-c", script, path], stdin: "null", stdout: "null" }).spawn();
      let output = "";
      const buffer = new Uint8Array(100);
      const timeouts: Timeout[] = [0, 1, 2, 4, 8, 16];
      for (;;) {
        const [readable, writable, exceptional] = select([fifo], [], [], timeouts.shift());
        assertEquals([writable, exceptional], [[], []]);
        if (readable.length === 0) continue;
        assertEquals(readable, [fifo]);
        const count = read(fifo, buffer);
        if (count === 0) break;
        output += text(buffer.subarray(0, count));
      }
      assertEquals(output, "testing...\n".repeat(3));
      assert((await child.status).success);
      close(fifo);
      Deno.removeSync(directory, { recursive: true });
    },
  );

  test("select() reports the end of a stream as readable", () => {
    using cleanup = new Cleanup();
    const [here, there] = cleanup.pair();
    there.shutdown(SHUT_WR);
    assertEquals(select([here, there], [], [], SOON), [[here], [], []]);
    there.close();
    assertEquals(select([here], [here], [], SOON), [[here], [here], []]);
  });

  test("select() reports a pipe without a reader as writable", () => {
    using cleanup = new Cleanup();
    const [reader, writer] = cleanup.pipe();
    cleanup.close(reader);
    assertEquals(select([], [writer], [], SOON), [[], [writer], []]);
  });

  test("select() reports a regular file as readable and writable", { needs: [FILES] }, () => {
    const fd = openSync(import.meta.filename!, "r");
    try {
      // macOS also reports a file as exceptional.
      const exceptional = os === "darwin" ? [] : [fd];
      assertEquals(select([fd], [fd], exceptional, SOON), [[fd], [fd], []]);
    } finally {
      closeSync(fd);
    }
  });

  test("select() reports urgent data as exceptional, not as readable, until it is read", () => {
    using cleanup = new Cleanup();
    const [client, server] = cleanup.pair(AF_INET);
    assertEquals(select([], [], [server], 0), [[], [], []]);
    client.send(bytes("!"), MSG_OOB);
    assertEquals(select([], [], [server], SOON), [[], [], [server]]);
    assertEquals(select([server], [server], [server], 0), [[], [server], [server]]);
    client.send(bytes("calm"));
    assertEquals(select([server], [], [], SOON), [[server], [], []]);
    assertEquals(text(server.recv(1, MSG_OOB)), "!");
    assertEquals(select([server], [], [server], 0), [[server], [], []]);
    assertEquals(text(server.recv(10)), "calm");
    assertEquals(select([server], [], [server], 0), [[], [], []]);
  });

  test("select() waits for descriptors beyond FD_SETSIZE, in every list, and at every bit of a word", {
    needs: [DUP2, WIDE_SELECT],
  }, () => {
    using cleanup = new Cleanup();
    const [here, there] = cleanup.pair(AF_INET);
    const [idle] = cleanup.pair();
    const [urgent, sender] = cleanup.pair(AF_INET);
    there.send(bytes("ping"));
    sender.send(bytes("!"), MSG_OOB);
    // 1,503 is the last bit of a word, which is the sign bit of an integer; 1,504 is the first bit of the next word.
    const numbers = [1500, 1503, 1504, 1535, 1536, 2047, 2048, 4095, 4096];
    const readable = numbers.map((number) => duplicate(cleanup, here.fileno(), number));
    const neither = numbers.map((number) => duplicate(cleanup, idle.fileno(), number + 1000));
    const exceptional = numbers.map((number) => duplicate(cleanup, urgent.fileno(), number + 5000));
    const all = [...readable, ...neither, ...exceptional];
    select([here], [], [], SOON);
    select([], [], [urgent], SOON);
    assertEquals(select(all, [], [], SOON), [readable, [], []]);
    assertEquals(select([], all, [], SOON), [[], all, []]);
    assertEquals(select([], [], all, SOON), [[], [], exceptional]);
    assertEquals(select(neither, [], [], 0), [[], [], []]);
  });

  test("select() returns at once if a descriptor is ready, whatever the timeout", () => {
    using cleanup = new Cleanup();
    const [here] = cleanup.pair();
    const forEver: (Timeout | undefined)[] = [undefined, null, Infinity, 1e300, 2 ** 31, 2 ** 64, { hours: 24 }, SOON];
    for (const timeout of forEver) {
      assertLess(elapsedMs(() => assertEquals(select([], [here], [], timeout), [[], [here], []])), 30_000);
    }
  });

  test("select() does not wait if the timeout is 0", () => {
    using cleanup = new Cleanup();
    const [here] = cleanup.pair();
    for (const timeout of [0, -0, { seconds: 0 }]) {
      assertLess(elapsedMs(() => assertEquals(select([here], [], [], timeout), [[], [], []])), 30_000);
    }
  });

  test("select() waits out its timeout, in seconds and in durations, even if the lists are empty", () => {
    using cleanup = new Cleanup();
    const [here] = cleanup.pair();
    const waits: [Timeout, number][] = [
      [0.02, 20],
      [{ milliseconds: 15 }, 15],
      [{ microseconds: 300 }, 0.3],
      [0.0001, 0.1],
      [1e-9, 1e-6],
    ];
    for (const [timeout, ms] of waits) {
      for (const list of [[], [here]]) {
        const elapsed = elapsedMs(() => assertEquals(select(list, [], [], timeout), [[], [], []]));
        assertGreaterOrEqual(elapsed, ms);
        assertLess(elapsed, 30_000);
      }
    }
  });

  test("select() continues to wait after a signal interrupts it", { needs: [SIGNALS] }, async () => {
    using cleanup = new Cleanup();
    const [here] = cleanup.pair();
    const signals = await interrupted(() => {
      const elapsed = elapsedMs(() => assertEquals(select([here], [], [], 0.1), [[], [], []]));
      assertGreaterOrEqual(elapsed, 100);
      assertLess(elapsed, 30_000);
    });
    assert(signals > 0, "No signal came");
  });
});
