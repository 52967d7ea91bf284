/**
 * `Poll`, after CPython's test_poll.py, and what is peculiar to PollSelector.
 *
 * Of CPython's tests these differ here. test_threaded_poll: a Worker cannot be given an object, so that nothing can wait
 * twice with one Poll, or change it while it waits. test_poll3 and test_poll_c_limits: a timeout that C cannot say is not
 * refused; it is as good as for ever. Number, integer and overflow are one thing in TypeScript: whatever is no mask is a
 * RangeError.
 */

import {
  assert,
  assertEquals,
  assertGreaterOrEqual,
  assertLess,
  assertNotStrictEquals,
  assertThrows,
} from "@std/assert";
import { describe } from "@std/testing/bdd";
import * as fc from "fast-check";
import { closeSync, openSync } from "node:fs";
import {
  type FileObject,
  KeyError,
  OSError,
  Poll,
  POLLERR,
  POLLHUP,
  POLLIN,
  POLLNVAL,
  POLLOUT,
  POLLPRI,
  POLLRDHUP,
  POLLRDNORM,
  POLLWRNORM,
} from "../ffi/mod.ts";
import { PollSet } from "../ffi/poll.ts";
import { AF_INET, close, MSG_OOB, read, SHUT_RDWR, SHUT_WR, type Socket, write } from "../ffi/socket.ts";
import { O_NONBLOCK } from "../ffi/socket_constants.ts";
import { EVENT_READ, EVENT_WRITE, PollSelector, type Ready } from "../mod.ts";
import { interrupted } from "./signals.ts";
import {
  bytes,
  Cleanup,
  duplicate,
  elapsedMs,
  fifo,
  isWindows,
  readyFds,
  shell,
  skip,
  test as declare,
  text,
} from "./util.ts";

const test: typeof declare = isWindows ? (name) => skip(name, "Windows has no poll()") : declare;

/** Milliseconds: ever longer than what a test waits for, and short enough for a person who waits for a failing one. */
const SOON = 5000;

const BOTH = EVENT_READ | EVENT_WRITE;

const O_RDWR = 2;

/** What a Poll found, by descriptor. */
function sorted(found: [number, number][]): [number, number][] {
  return found.sort((a, b) => a[0] - b[0]);
}

describe("Poll", () => {
  test("poll() finds the readers and writers that are ready, among twelve pipes", () => {
    using cleanup = new Cleanup();
    const poll = new Poll();
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

  test("register() takes the greatest number that a descriptor can have", () => {
    const poll = new Poll();
    const greatest = 2 ** 31 - 1;
    poll.register(greatest, POLLIN);
    assertEquals(poll.poll(), [[greatest, POLLNVAL]]);
    poll.unregister(greatest);
    assertEquals(poll.poll(0), []);
  });

  test("poll() gives POLLNVAL for a descriptor that is closed, and for one that was closed since", () => {
    using cleanup = new Cleanup();
    const [here] = cleanup.pair();
    const fd = duplicate(cleanup, here.fileno(), 1500);
    const poll = new Poll();
    poll.register(fd, POLLOUT);
    assertEquals(poll.poll(), [[fd, POLLOUT]]);
    close(fd);
    assertEquals(poll.poll(), [[fd, POLLNVAL]]);
    assertEquals(poll.poll(), [[fd, POLLNVAL]]);
    const other = new Poll();
    other.register(fd, 0);
    other.register(here, POLLOUT);
    assertEquals(sorted(other.poll()), [[here.fileno(), POLLOUT], [fd, POLLNVAL]]);
    other.unregister(fd);
    assertEquals(other.poll(), [[here.fileno(), POLLOUT]]);
  });

  test("poll() gives a regular file as readable and writable", () => {
    const fd = openSync(import.meta.filename!, "r");
    try {
      const poll = new Poll();
      poll.register(fd);
      assertEquals(poll.poll(), [[fd, POLLIN | POLLOUT]]);
    } finally {
      closeSync(fd);
    }
  });

  test("register(), modify() and unregister() throw TypeError for what is no file object", () => {
    const poll = new Poll();
    const almost = { fileno: () => "fileno" };
    for (const nope of [poll, {}, almost, "1", null, undefined, 1.5, NaN, 1n]) {
      assertThrows(() => poll.register(nope as never), TypeError, "as a file object");
      assertThrows(() => poll.register(nope as never, 0), TypeError, "as a file object");
      assertThrows(() => poll.modify(nope as never, 0), TypeError, "as a file object");
      assertThrows(() => poll.unregister(nope as never), TypeError, "as a file object");
    }
    assertEquals(poll.poll(0), []);
  });

  test("register() throws RangeError for a number that no descriptor has", () => {
    const poll = new Poll();
    for (const fd of [-1, -10, 2 ** 31, 2 ** 32]) {
      assertThrows(() => poll.register(fd), RangeError, String(fd));
      assertThrows(() => poll.register({ fileno: () => fd }), RangeError, String(fd));
    }
    assertEquals(poll.poll(0), []);
  });

  test("unregister() throws KeyError if the descriptor is not registered", () => {
    using cleanup = new Cleanup();
    const [here] = cleanup.pair();
    const poll = new Poll();
    assertThrows(() => poll.unregister(3), KeyError, "fd 3");
    poll.register(here);
    poll.unregister(here.fileno());
    assertThrows(() => poll.unregister(here), KeyError, `fd ${here.fileno()}`);
  });

  test("modify() throws ENOENT if the descriptor is not registered, and registers nothing", () => {
    using cleanup = new Cleanup();
    const [here] = cleanup.pair();
    const poll = new Poll();
    const error = assertThrows(() => poll.modify(here, POLLOUT), OSError, `fd ${here.fileno()}`);
    assertEquals(error.code, "ENOENT");
    assertEquals(poll.poll(0), []);
  });

  test("register() and modify() throw RangeError if the mask is no integer of 16 bits, and change nothing", () => {
    using cleanup = new Cleanup();
    const [here] = cleanup.pair();
    const [other] = cleanup.pair();
    const poll = new Poll();
    poll.register(here, POLLOUT);
    for (const mask of [-1, 0x1_0000, 2 ** 31, 2 ** 32, 2 ** 64, 1.5, NaN, Infinity, "1", null, 1n, true]) {
      assertThrows(() => poll.register(here, mask as never), RangeError, "events");
      assertThrows(() => poll.register(other, mask as never), RangeError, "events");
      assertThrows(() => poll.modify(here, mask as never), RangeError, "events");
    }
    assertEquals(poll.poll(), [[here.fileno(), POLLOUT]]);
    poll.modify(here, 0xffff); // what is no flag is passed over, as by the kernel
    assert(poll.poll().length === 1);
  });

  test("register() waits for reading, writing and urgent data if told nothing else", () => {
    using cleanup = new Cleanup();
    const [client, server] = cleanup.pair(AF_INET);
    const poll = new Poll();
    poll.register(server);
    assertEquals(poll.poll(), [[server.fileno(), POLLOUT]]);
    client.send(bytes("ping"));
    client.send(bytes("!"), MSG_OOB);
    const urgent = new Poll();
    urgent.register(server, POLLPRI);
    assertEquals(urgent.poll(SOON), [[server.fileno(), POLLPRI]]);
    assertEquals(poll.poll(), [[server.fileno(), POLLIN | POLLPRI | POLLOUT]]);
  });

  test("register() of what is registered replaces the mask", () => {
    using cleanup = new Cleanup();
    const [here, there] = cleanup.pair();
    there.send(bytes("ping"));
    const poll = new Poll();
    poll.register(here, POLLIN);
    poll.register(here.fileno(), POLLOUT);
    assertEquals(poll.poll(), [[here.fileno(), POLLOUT]]);
    poll.unregister(here);
    assertEquals(poll.poll(0), []);
  });

  test("register() takes descriptors from file objects, by whatever name they go later", () => {
    using cleanup = new Cleanup();
    const [here] = cleanup.pair();
    const poll = new Poll();
    poll.register({ fileno: () => here.fileno() }, POLLIN);
    poll.modify(here.fileno(), POLLOUT);
    assertEquals(poll.poll(), [[here.fileno(), POLLOUT]]);
    poll.unregister(here);
    assertEquals(poll.poll(0), []);
  });

  test("poll() gives only what was asked for, and what cannot be masked", () => {
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

  test("poll() gives a new array each time, of each descriptor once", () => {
    using cleanup = new Cleanup();
    const pairs = Array.from({ length: 40 }, () => cleanup.pair());
    const poll = new Poll();
    for (const [here] of pairs) poll.register(here, POLLOUT);
    const found = poll.poll();
    assertEquals(sorted(found), sorted(pairs.map(([here]) => [here.fileno(), POLLOUT])));
    assertNotStrictEquals(poll.poll(), found);
  });

  test("poll() waits for another process until the end of its output", async () => {
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
      // Data may come with the hang-up or before it; the end comes with nothing but the hang-up.
      assertEquals(count > 0, (found[1] & POLLIN) !== 0);
      if (count === 0) break;
      output += text(buffer.subarray(0, count));
    }
    assertEquals(output, "testing...\n".repeat(3));
    assert((await child.status).success);
  });

  test("poll() waits for ever if the timeout is null, undefined, or negative by however little", async () => {
    using cleanup = new Cleanup();
    const [requests, request] = fifo(cleanup, O_RDWR);
    const [answers, answer] = fifo(cleanup, O_RDWR);
    // The child answers each line after 30 ms. Of what it could not have said before, poll() must wait for.
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

  test("poll() waits out its timeout, to fractions of a millisecond, with nothing registered as well", () => {
    using cleanup = new Cleanup();
    const [here] = cleanup.pair();
    const poll = new Poll();
    for (const register of [() => {}, () => poll.register(here, POLLIN)]) {
      register();
      for (const timeoutMs of [20, 1.5, 0.1, 1e-9]) {
        const elapsed = elapsedMs(() => assertEquals(poll.poll(timeoutMs), []));
        assertGreaterOrEqual(elapsed, timeoutMs);
        assertLess(elapsed, timeoutMs + 2000);
      }
      assertLess(elapsedMs(() => assertEquals(poll.poll(0), [])), 1000);
      assertLess(elapsedMs(() => assertEquals(poll.poll(-0), [])), 1000);
    }
  });

  test("poll() returns at once if something is ready, whatever the timeout", () => {
    using cleanup = new Cleanup();
    const [here] = cleanup.pair();
    const poll = new Poll();
    poll.register(here, POLLOUT);
    for (const timeoutMs of [undefined, null, -1, 0, 1, 2 ** 31, 2 ** 32, 2 ** 64, 1e300, Infinity]) {
      assertLess(elapsedMs(() => assertEquals(poll.poll(timeoutMs), [[here.fileno(), POLLOUT]])), SOON);
    }
  });

  test("poll() throws RangeError for NaN and TypeError for what is no number", () => {
    const poll = new Poll();
    assertThrows(() => poll.poll(NaN), RangeError, "NaN");
    for (const nope of ["1000", true, 1n, { milliseconds: 1 }]) {
      assertThrows(() => poll.poll(nope as never), TypeError, "milliseconds or null");
    }
  });

  test("poll() goes on waiting when signals interrupt it", async () => {
    using cleanup = new Cleanup();
    const [here] = cleanup.pair();
    const poll = new Poll();
    poll.register(here, POLLIN);
    const signals = await interrupted(() => {
      const elapsed = elapsedMs(() => assertEquals(poll.poll(100), []));
      assertGreaterOrEqual(elapsed, 100);
      assertLess(elapsed, 3000);
    });
    assert(signals > 0, "No signal came");
  });
});

describe("PollSet", () => {
  test("PollSet finds what a model of it finds, whatever is set, deleted and muted", () => {
    using cleanup = new Cleanup();
    const [here, there] = cleanup.pair();
    const [idle] = cleanup.pair();
    there.send(bytes("ping"));
    // More than the 16 that there is room for at first.
    const readyFlags = new Map<number, number>();
    for (let number = 1500; number < 1524; number += 3) {
      readyFlags.set(duplicate(cleanup, here.fileno(), number), POLLIN | POLLOUT);
      readyFlags.set(duplicate(cleanup, idle.fileno(), number + 1), POLLOUT);
      readyFlags.set(number + 2, POLLNVAL); // open nowhere
    }
    const numbers = [...readyFlags.keys()];
    const fd = fc.constantFrom(...numbers);
    const call = fc.oneof(
      { weight: 4, arbitrary: fc.record({ set: fd, mask: fc.constantFrom(0, POLLIN, POLLOUT, POLLIN | POLLOUT) }) },
      { weight: 2, arbitrary: fc.record({ delete: fd }) },
      { weight: 1, arbitrary: fc.record({ mute: fd }) },
    );
    const property = fc.property(fc.array(call, { maxLength: 60, size: "max" }), (calls) => {
      const set = new PollSet();
      const model = new Map<number, { mask: number; isMuted: boolean }>();
      const slotOf = (fd: number) => Array.from({ length: set.size }, (_, slot) => set.fdAt(slot)).indexOf(fd);
      for (const call of calls) {
        if ("set" in call) {
          set.set(call.set, call.mask);
          model.set(call.set, { mask: call.mask, isMuted: false });
        } else if ("delete" in call) {
          assertEquals(set.delete(call.delete), model.delete(call.delete));
        } else if (model.has(call.mute)) {
          set.mute(slotOf(call.mute));
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

/** A selector that counts how often it asks the system. */
class CountingSelector extends PollSelector {
  waits = 0;

  protected override wait(timeoutMs: number): Ready<unknown, FileObject>[] | null {
    this.waits++;
    return super.wait(timeoutMs);
  }
}

describe("PollSelector", () => {
  test("unregister() in the middle, at the beginning and at the end keeps all others right", () => {
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

  test("select() finds what a model of it finds, whatever is registered, modified and unregistered", () => {
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

  test("register() takes a regular file, which is always ready", () => {
    const fd = openSync(import.meta.filename!, "r");
    try {
      using selector = new PollSelector();
      selector.register(fd, BOTH);
      assertEquals(readyFds(selector), [[fd, BOTH]]);
    } finally {
      closeSync(fd);
    }
  });

  test("select() does not take urgent data for data", () => {
    using cleanup = new Cleanup();
    const [client, server] = cleanup.pair(AF_INET);
    const urgent = new Poll();
    urgent.register(server, POLLPRI);
    using selector = new PollSelector();
    selector.register(server, EVENT_READ);
    client.send(bytes("!"), MSG_OOB);
    urgent.poll(SOON);
    assertEquals(readyFds(selector, 0), []);
  });

  test("select() asks twice, and no more, if a descriptor was closed, and once from then on", () => {
    using cleanup = new Cleanup();
    const [here, there] = cleanup.pair();
    using selector = new CountingSelector();
    selector.register(duplicate(cleanup, here.fileno(), 1500), BOTH);
    selector.register(here, EVENT_READ);
    close(1500);
    assertGreaterOrEqual(elapsedMs(() => assertEquals(readyFds(selector, 0.02), [])), 20);
    assertEquals(selector.waits, 2);
    there.send(bytes("ping"));
    assertEquals(readyFds(selector), [[here.fileno(), EVENT_READ]]);
    assertEquals(selector.waits, 3);
  });

  test("select() reports what is ready beside a descriptor that was closed, by one question", () => {
    using cleanup = new Cleanup();
    const [here] = cleanup.pair();
    using selector = new CountingSelector();
    selector.register(duplicate(cleanup, here.fileno(), 1500), BOTH);
    selector.register(here, EVENT_WRITE);
    close(1500);
    assertEquals(readyFds(selector), [[here.fileno(), EVENT_WRITE]]);
    assertEquals(selector.waits, 1);
  });

  test("a descriptor that was closed can be unregistered from its place, and no other with it", () => {
    using cleanup = new Cleanup();
    const pairs = [cleanup.pair(), cleanup.pair(), cleanup.pair()];
    using selector = new PollSelector();
    const [first, second, third] = pairs.map(([here], index) => duplicate(cleanup, here.fileno(), 1500 + index));
    for (const fd of [first!, second!, third!]) selector.register(fd, EVENT_WRITE);
    // The last is muted, and then takes the place of the first.
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
