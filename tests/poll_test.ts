/**
 * `Poll`, after CPython's test_poll.py, and the behavior that only PollSelector has.
 *
 * Three tests differ from CPython's. test_threaded_poll: Workers cannot share an object, so no second thread can use a
 * Poll during its wait. test_poll3 and test_poll_c_limits: a timeout that overflows a C int is accepted, and lasts
 * practically forever. TypeScript has no OverflowError, so an invalid event mask throws a RangeError.
 */

import { assert, assertEquals, assertGreaterOrEqual, assertLess, assertThrows } from "@std/assert";
import { describe } from "@std/testing/bdd";
import * as fc from "fast-check";
import { closeSync, openSync } from "node:fs";
import {
  KeyError,
  Poll,
  POLLERR,
  POLLHUP,
  POLLIN,
  POLLNVAL,
  POLLOUT,
  POLLRDHUP,
  POLLRDNORM,
  POLLWRNORM,
} from "../ffi/select/mod.ts";
import { PollPoller, PollSet } from "../ffi/os/poll.ts";
import { os } from "../ffi/os/systems.ts";
import { close, read, SHUT_RDWR, SHUT_WR, type Socket, write } from "../ffi/socket/mod.ts";
import { O_NONBLOCK } from "../ffi/os/socket_constants.ts";
import { EVENT_READ, EVENT_WRITE, PollSelector } from "../mod.ts";
import { EMPTY_MASKS, pollContract } from "./contracts/poll_contract.ts";
import { scanContract } from "./contracts/scan_contract.ts";
import { lackedBy } from "./support/needs.ts";
import {
  BOTH,
  bytes,
  Cleanup,
  CountingSelector,
  duplicate,
  elapsedMs,
  fifo,
  readyFds,
  shell,
  sorted,
  testNeeding,
  text,
} from "./support/util.ts";

/** `poll()`. */
const POLL = lackedBy({ windows: "Windows has no poll()" });
/** Regular files that report only POLLIN and POLLOUT. */
const FILE_MASKS = lackedBy({ darwin: "poll() on macOS also reports POLLPRI for a file" });
/** FIFOs that report their end as an event. */
const FIFO_ENDS = lackedBy({ darwin: "poll() on macOS does not report the end of a FIFO" });

const test = testNeeding(POLL);

const O_RDWR = 2;

pollContract({ name: "Poll", create: () => new Poll(), test });

describe("Poll", () => {
  test("Deno.inspect() shows the number of registered descriptors", () => {
    using cleanup = new Cleanup();
    const [here] = cleanup.pair();
    const poll = new Poll();
    poll.register(here);
    assertEquals(Deno.inspect(poll), "Poll { registered: 1 }");
  });

  test("register() accepts the highest possible descriptor", () => {
    const poll = new Poll();
    const greatest = 2 ** 31 - 1;
    poll.register(greatest, POLLIN);
    assertEquals(poll.poll(), [[greatest, POLLNVAL]]);
    poll.unregister(greatest);
    assertEquals(poll.poll(0), []);
  });

  test("poll() reports a regular file as readable and writable", { needs: [FILE_MASKS] }, () => {
    const fd = openSync(import.meta.filename!, "r");
    try {
      const poll = new Poll();
      poll.register(fd);
      assertEquals(poll.poll(), [[fd, POLLIN | POLLOUT]]);
    } finally {
      closeSync(fd);
    }
  });

  test("poll() reports only the bits in the mask, and errors and hang-ups", { needs: [EMPTY_MASKS] }, () => {
    using cleanup = new Cleanup();
    const flagsOf = (socket: Socket | number, mask: number) => {
      const poll = new Poll();
      poll.register(socket, mask);
      return poll.poll(0)[0]?.[1] ?? 0;
    };
    const [here, there] = cleanup.pair();
    there.send(bytes("ping"));
    assertEquals(flagsOf(here, 0), 0);
    assertEquals(flagsOf(here, POLLIN), POLLIN);
    assertEquals(flagsOf(here, POLLRDNORM | POLLWRNORM), POLLRDNORM | POLLWRNORM);
    there.shutdown(SHUT_WR);
    assertEquals(flagsOf(here, 0), 0);
    assertEquals(flagsOf(here, POLLRDHUP), POLLRDHUP);
    there.shutdown(SHUT_RDWR);
    assertEquals(flagsOf(here, 0), POLLHUP);

    const [reader, writer] = cleanup.pipe();
    const [lonelyReader, lonelyWriter] = cleanup.pipe();
    cleanup.close(writer);
    assertEquals(flagsOf(reader, POLLIN), POLLHUP);
    cleanup.close(lonelyReader);
    assertEquals(flagsOf(lonelyWriter, 0), POLLERR);
    assertEquals(flagsOf(lonelyWriter, POLLOUT), POLLOUT | POLLERR);
  });

  test("poll() waits for another process until the end of its output", { needs: [FIFO_ENDS] }, async () => {
    using cleanup = new Cleanup();
    const [path, fd] = fifo(cleanup, O_NONBLOCK); // | O_RDONLY, which is 0
    const child = shell('for i in 0 1 2; do echo testing...; sleep 0.01; done > "$0"', path);
    const poll = new Poll();
    poll.register(fd, POLLIN);
    let output = "";
    const buffer = new Uint8Array(100);
    for (const timeouts = [0, 1000, 2000, 4000, 8000, 16000];;) {
      const [found] = poll.poll(timeouts.shift() ?? -1);
      if (found === undefined) continue;
      assertEquals(found[0], fd);
      assertEquals(found[1] & ~(POLLIN | POLLHUP), 0);
      const count = read(fd, buffer);
      // The hang-up may arrive together with data or after it; at the end, only the hang-up is left.
      assertEquals(count > 0, (found[1] & POLLIN) !== 0);
      if (count === 0) break;
      output += text(buffer.subarray(0, count));
    }
    assertEquals(output, "testing...\n".repeat(3));
    assert((await child.status).success);
  });

  test("poll() waits indefinitely if the timeout is null, undefined or negative", async () => {
    using cleanup = new Cleanup();
    const [requests, request] = fifo(cleanup, O_RDWR);
    const [answers, answer] = fifo(cleanup, O_RDWR);
    // The child answers each line after 30 ms, so poll() has to wait for the answer.
    const child = shell('while read line && test -n "$line"; do sleep 0.03; echo; done <"$0" >"$1"', requests, answers);
    const poll = new Poll();
    poll.register(answer, POLLIN);
    for (const timeoutMs of [null, undefined, -1000, -1, -0.1, -1e-100, -Infinity, Infinity]) {
      const elapsed = elapsedMs(() => {
        write(request, bytes("go\n"));
        assertEquals(poll.poll(timeoutMs), [[answer, POLLIN]]);
      });
      assertGreaterOrEqual(elapsed, 30);
      read(answer, new Uint8Array(1));
    }
    write(request, bytes("\n"));
    await child.status;
  });

  test("poll() waits out its timeout, to fractions of a millisecond, even if nothing is registered", () => {
    using cleanup = new Cleanup();
    const [here] = cleanup.pair();
    const poll = new Poll();
    for (const register of [() => {}, () => poll.register(here, POLLIN)]) {
      register();
      for (const timeoutMs of [20, 1.5, 0.1, 1e-9]) {
        const elapsed = elapsedMs(() => assertEquals(poll.poll(timeoutMs), []));
        assertGreaterOrEqual(elapsed, timeoutMs);
        assertLess(elapsed, 30_000);
      }
      assertLess(elapsedMs(() => assertEquals(poll.poll(0), [])), 30_000);
      assertLess(elapsedMs(() => assertEquals(poll.poll(-0), [])), 30_000);
    }
  });

  test("poll() returns at once if a descriptor is ready, whatever the timeout", () => {
    using cleanup = new Cleanup();
    const [here] = cleanup.pair();
    const poll = new Poll();
    poll.register(here, POLLOUT);
    for (const timeoutMs of [undefined, null, -1, 0, 1, 2 ** 31, 2 ** 32, 2 ** 64, 1e300, Infinity]) {
      assertLess(elapsedMs(() => assertEquals(poll.poll(timeoutMs), [[here.fileno(), POLLOUT]])), 30_000);
    }
  });
});

describe("PollSet", () => {
  test("PollSet agrees with a model after any sequence of calls", () => {
    using cleanup = new Cleanup();
    const [here, there] = cleanup.pair();
    const [idle] = cleanup.pair();
    there.send(bytes("ping"));
    // More descriptors than the 16 in the initial capacity.
    const readyFlags = new Map<number, number>();
    for (let number = 1500; number < 1524; number += 3) {
      readyFlags.set(duplicate(cleanup, here.fileno(), number), POLLIN | POLLOUT);
      readyFlags.set(duplicate(cleanup, idle.fileno(), number + 1), POLLOUT);
      readyFlags.set(number + 2, POLLNVAL); // not an open descriptor
    }
    const numbers = [...readyFlags.keys()];
    const fd = fc.constantFrom(...numbers);
    // On macOS, poll() reports nothing for an empty mask, not even POLLNVAL.
    const masks = [...(os === "darwin" ? [] : [0]), POLLIN, POLLOUT, POLLIN | POLLOUT];
    const call = fc.oneof(
      { weight: 4, arbitrary: fc.record({ set: fd, mask: fc.constantFrom(...masks) }) },
      { weight: 2, arbitrary: fc.record({ delete: fd }) },
      { weight: 1, arbitrary: fc.record({ mute: fd }) },
    );
    const property = fc.property(fc.array(call, { maxLength: 60, size: "max" }), (calls) => {
      const set = new PollSet();
      const model = new Map<number, { mask: number; isMuted: boolean }>();
      for (const call of calls) {
        if ("set" in call) {
          set.set(call.set, call.mask);
          model.set(call.set, { mask: call.mask, isMuted: false });
        } else if ("delete" in call) {
          assertEquals(set.delete(call.delete), model.delete(call.delete));
        } else if (model.has(call.mute)) {
          set.mute(call.mute);
          model.get(call.mute)!.isMuted = true;
        }
        const expected = [...model].map(([fd, { mask, isMuted }]): [number, number] => {
          return [fd, isMuted ? 0 : readyFlags.get(fd)! & (mask | POLLNVAL)];
        });
        assertEquals(set.wait(0), expected.filter(([, flags]) => flags !== 0).length);
        const found = Array.from({ length: set.size }, (_, slot): [number, number] => {
          return [set.fdAt(slot), set.reventsAt(slot)];
        });
        assertEquals(sorted(found), sorted(expected));
        for (const number of numbers) assertEquals(set.has(number), model.has(number));
      }
    });
    fc.assert(property, { seed: 1, numRuns: 100 });
  });
});

scanContract(PollSelector, test);

describe("PollSelector", () => {
  test("unregister() keeps the other descriptors when it removes the first, a middle or the last one", () => {
    using cleanup = new Cleanup();
    const pairs = Array.from({ length: 40 }, () => cleanup.pair());
    const model = new Map<number, number>();
    using selector = new PollSelector<number>();
    for (const [index, [here, there]] of pairs.entries()) {
      if (index % 3 === 0) there.send(bytes("ping"));
      const events = index % 2 === 0 ? BOTH : EVENT_READ;
      const ready = events & (EVENT_WRITE | (index % 3 === 0 ? EVENT_READ : 0));
      selector.register(here, events, ready);
      model.set(here.fileno(), ready);
    }
    const expected = () => sorted([...model].filter(([, events]) => events !== 0));
    assertEquals(readyFds(selector, 0), expected());
    for (let round = 0; model.size > 0; round++) {
      const fds = [...model.keys()];
      const fd = fds[[0, fds.length - 1, fds.length >> 1][round % 3]!]!;
      selector.unregister(fd);
      model.delete(fd);
      assertEquals(readyFds(selector, 0), expected());
      for (const [key, events] of selector.select(0)) assertEquals(events, key.data);
    }
  });

  test("select() agrees with a model after any sequence of changes", () => {
    using cleanup = new Cleanup();
    const [here, there] = cleanup.pair();
    const [idle] = cleanup.pair();
    there.send(bytes("ping"));
    const readyEvents = new Map<number, number>();
    for (let number = 1500; number < 1524; number += 2) {
      readyEvents.set(duplicate(cleanup, here.fileno(), number), BOTH);
      readyEvents.set(duplicate(cleanup, idle.fileno(), number + 1), EVENT_WRITE);
    }
    const call = fc.tuple(fc.constantFrom(...readyEvents.keys()), fc.constantFrom(0, EVENT_READ, EVENT_WRITE, BOTH));
    const property = fc.property(fc.array(call, { maxLength: 60, size: "max" }), (calls) => {
      using selector = new PollSelector();
      const model = new Map<number, number>();
      for (const [fd, events] of calls) {
        if (!model.has(fd)) {
          if (events === 0) assertThrows(() => selector.unregister(fd), KeyError);
          else selector.register(fd, events);
        } else if (events === 0) selector.unregister(fd);
        else selector.modify(fd, events);
        if (events === 0) model.delete(fd);
        else model.set(fd, events);
        const expected = [...model].map(([fd, events]): [number, number] => [fd, events & readyEvents.get(fd)!]);
        assertEquals(readyFds(selector, 0), sorted(expected.filter(([, events]) => events !== 0)));
        assertEquals([...selector.getMap()!.keys()], [...model.keys()]);
      }
    });
    fc.assert(property, { seed: 1, numRuns: 100 });
  });

  test("select() reports ready descriptors and skips a closed one in one system call", () => {
    using cleanup = new Cleanup();
    const [here] = cleanup.pair();
    using selector = new CountingSelector(new PollPoller());
    selector.register(duplicate(cleanup, here.fileno(), 1500), BOTH);
    selector.register(here, EVENT_WRITE);
    close(1500);
    assertEquals(readyFds(selector), [[here.fileno(), EVENT_WRITE]]);
    assertEquals(selector.waits, 1);
  });

  test("unregister() removes only the closed descriptor", () => {
    using cleanup = new Cleanup();
    const pairs = [cleanup.pair(), cleanup.pair(), cleanup.pair()];
    using selector = new PollSelector();
    const [first, second, third] = pairs.map(([here], index) => duplicate(cleanup, here.fileno(), 1500 + index));
    for (const fd of [first!, second!, third!]) selector.register(fd, EVENT_WRITE);
    // The last entry is muted, and then moves into the place of the first.
    close(third!);
    assertEquals(readyFds(selector, 0), [[first, EVENT_WRITE], [second, EVENT_WRITE]]);
    selector.unregister(first!);
    assertEquals(readyFds(selector, 0), [[second, EVENT_WRITE]]);
    selector.unregister(third!);
    assertEquals(readyFds(selector, 0), [[second, EVENT_WRITE]]);
    selector.register(first!, EVENT_WRITE);
    assertEquals(readyFds(selector, 0), [[first, EVENT_WRITE], [second, EVENT_WRITE]]);
  });
});
