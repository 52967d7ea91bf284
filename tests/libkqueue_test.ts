/**
 * KqueueSelector on libkqueue, which implements kqueue for Linux on epoll, and the error if libkqueue is not installed.
 * Tests of behavior in which libkqueue differs from a kernel are skipped below, with the reason.
 */

import { assert, assertEquals, assertInstanceOf } from "@std/assert";
import { describe } from "@std/testing/bdd";
import {
  Kevent,
  KQ_EV_ADD,
  KQ_EV_CLEAR,
  KQ_FILTER_READ,
  KQ_FILTER_USER,
  KQ_NOTE_TRIGGER,
  Kqueue,
} from "../ffi/select/mod.ts";
import { KqueueProcess } from "../ffi/os/kqueue_process.ts";
import { KqueueTimer } from "../ffi/os/kqueue_timer.ts";
import { os } from "../ffi/os/systems.ts";
import { close, pipe } from "../ffi/socket/mod.ts";
import { EVENT_READ, EVENT_WRITE, type FileObject, KqueueSelector } from "../mod.ts";
import { asyncContract } from "./contracts/async_contract.ts";
import { asynchronously, type Lacks, selectorContract } from "./contracts/selector_contract.ts";
import { bytes, Cleanup, openDescriptors, readyFds, shell, skip, test } from "./support/util.ts";

const EFAULT = 14;

/** Returns the error if this system has no kqueue, or null. */
function whyNot(): unknown {
  try {
    settled(() => new KqueueSelector().close());
    return null;
  } catch (error) {
    return error;
  }
}

/** Closes a queue, and waits until libkqueue's thread has closed its descriptors. */
function settled(close: () => void, before: number = openDescriptors().size): void {
  close();
  const cell = new Int32Array(new SharedArrayBuffer(4));
  for (let tries = 0; tries < 1_000 && openDescriptors().size > before; tries++) Atomics.wait(cell, 0, 0, 1);
}

class SettledSelector<D, F extends FileObject = FileObject> extends KqueueSelector<D, F> {
  override close(): void {
    // A queue has two more descriptors than its own.
    if (!this.closed) settled(() => super.close(), openDescriptors().size - 2);
  }
}

/** Returns true if libkqueue reports EFAULT instead of EBADF for a closed descriptor: up to 2.7.0, it does. */
function saysEfault(): boolean {
  const kqueue = new Kqueue();
  const [reader, writer] = pipe();
  close(reader);
  close(writer);
  const [error] = kqueue.control([new Kevent(reader)], 1, 0);
  settled(() => kqueue.close(), openDescriptors().size - 2);
  return error!.data === EFAULT;
}

const stale = "libkqueue does not notice that a descriptor was closed while a duplicate is open";
const reused = "libkqueue up to 2.7.0 uses freed memory after EV_DELETE of a closed descriptor whose number was reused";
/** Returns the abilities that libkqueue lacks. */
function lacks(): Lacks {
  return {
    manyDescriptors: "libkqueue returns at most 512 events per call",
    closedDuplicates: stale,
    reusedNumbers: saysEfault() ? reused : null,
  };
}

// Created before the tests, because libkqueue keeps some descriptors open after its first use.
const obstacle = whyNot();

if (obstacle !== null) {
  describe("KqueueSelector without kqueue", () => {
    test("new KqueueSelector() and new Kqueue() throw an error that names the system and DefaultSelector", () => {
      const errors = [obstacle, whyNot()];
      try {
        new Kqueue();
      } catch (error) {
        errors.push(error);
      }
      assertEquals(errors.length, 3);
      for (const error of errors) {
        assertInstanceOf(error, Deno.errors.NotSupported);
        const missing = os === "linux" ? ", and libkqueue cannot be opened" : "";
        assertEquals(error.message, `Cannot create a kqueue: ${os} has no kqueue${missing}; use DefaultSelector`);
      }
    });
    skip("KqueueSelector on libkqueue", "there is no libkqueue.so.0 (package libkqueue0)");
  });
} else if (os === "linux") {
  const contract = {
    name: "KqueueSelector on libkqueue",
    create: <D>() => new SettledSelector<D>(),
    lacks: lacks(),
  };
  selectorContract(contract);
  selectorContract({ ...contract, name: `${contract.name}, waiting asynchronously`, select: asynchronously });
  asyncContract(contract);

  describe("Timer and ProcessExit on libkqueue", () => {
    /**
     * Calls a function until it no longer returns `nothing`. A selector cannot wait for libkqueue: its descriptor never
     * becomes readable.
     */
    function polled<T>(read: () => T, nothing: T): T {
      const cell = new Int32Array(new SharedArrayBuffer(4));
      let result = read();
      for (let tries = 0; tries < 5_000 && result === nothing; tries++) {
        Atomics.wait(cell, 0, 0, 1);
        result = read();
      }
      return result;
    }

    test("KqueueTimer expires after its delay, and repeats", () => {
      const timer = new KqueueTimer();
      const start = performance.now();
      timer.set(20, 10);
      assertEquals(timer.read(), 0);
      let periods = polled(() => timer.read(), 0);
      assert(performance.now() - start >= 20);
      while (periods < 5) periods += polled(() => timer.read(), 0);
      assert(performance.now() - start >= 60);
      timer.set(Infinity, Infinity);
      assertEquals(timer.read(), 0);
      settled(() => timer.close(), openDescriptors().size - 2);
    });

    test("KqueueProcess reports the wait status of a child", async () => {
      const child = shell("sleep 0.02; exit 7");
      const process = new KqueueProcess(child.pid);
      assertEquals(process.status(), null);
      assertEquals(polled(() => process.status(), null), 7 << 8);
      assertEquals(process.status(), 7 << 8);
      settled(() => process.close(), openDescriptors().size - 2);
      assertEquals((await child.status).code, 7);
    });
  });

  describe("Kqueue on libkqueue", () => {
    test("control() returns events in libkqueue's layout", () => {
      using cleanup = new Cleanup();
      const [here, there] = cleanup.pair();
      const kqueue = new Kqueue();
      const changes = [
        new Kevent(here, KQ_FILTER_READ, KQ_EV_ADD, 0, 0, 2n ** 63n),
        new Kevent(77, KQ_FILTER_USER, KQ_EV_ADD | KQ_EV_CLEAR, 0, 0, 5),
      ];
      assertEquals(kqueue.control(changes, 0), []);
      assertEquals(kqueue.control(null, 4, 0), []);
      there.send(bytes("ping"));
      const [readable] = kqueue.control(null, 4, 1);
      assertEquals([readable!.ident, readable!.filter, readable!.data], [here.fileno(), KQ_FILTER_READ, 4]);
      assertEquals(readable!.udata, 2n ** 63n);
      here.recv(4);
      kqueue.control([new Kevent(77, KQ_FILTER_USER, 0, KQ_NOTE_TRIGGER, 0, 5)], 0);
      const [user] = kqueue.control(null, 4, 1);
      assertEquals([user!.ident, user!.filter, user!.udata], [77, KQ_FILTER_USER, 5]);
      settled(() => kqueue.close(), openDescriptors().size - 2);
    });
  });
} else {
  // A kernel's kqueue meets the whole contract.
  const contract = { name: "KqueueSelector", create: <D>() => new KqueueSelector<D>() };
  selectorContract(contract);
  selectorContract({ ...contract, name: `${contract.name}, waiting asynchronously`, select: asynchronously });
  asyncContract(contract);

  describe("KqueueSelector", () => {
    test("register() accepts another KqueueSelector", () => {
      using cleanup = new Cleanup();
      const [inner, outer] = [cleanup.add(new KqueueSelector()), cleanup.add(new KqueueSelector())];
      const [here] = cleanup.pair();
      outer.register(inner, EVENT_READ);
      assertEquals(outer.select(0), []);
      inner.register(here, EVENT_WRITE);
      assertEquals(readyFds(outer, 1), [[inner.fileno(), EVENT_READ]]);
      assert(!inner.closed);
    });
  });
}
