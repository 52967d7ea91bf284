/**
 * The kqueue mechanisms of `Timer` and `ProcessExit`, over a stand-in for the kernels of macOS, FreeBSD and NetBSD.
 *
 * @module
 */

import { assertEquals, assertGreaterOrEqual, assertThrows } from "@std/assert";
import { describe } from "@std/testing/bdd";
import { OSError } from "../ffi/os/errno.ts";
import { KqueueProcess } from "../ffi/os/kqueue_process.ts";
import { KqueueTimer } from "../ffi/os/kqueue_timer.ts";
import { os } from "../ffi/os/systems.ts";
import { DefaultSelector, EVENT_READ } from "../mod.ts";
import { select } from "../ffi/select/mod.ts";
import { type KqueueStandIn, kqueueStandIn, type StandInSystem } from "./standins/kqueue_standin.ts";
import { ENOMEM, NO_STAND_IN, test } from "./support/kqueue.ts";
import { type Cleanup, F_GETFD, FD_CLOEXEC, libc, openDescriptors, shell, skip, SOON } from "./support/util.ts";

function sourceTests(system: StandInSystem): void {
  function make<T extends { close(): void }>(cleanup: Cleanup, open: () => T): [T, KqueueStandIn] {
    const kernel = kqueueStandIn(system);
    kernel.patienceMs = 60_000;
    kernel.install();
    const source = open();
    cleanup.defer(() => source.close());
    return [source, kernel];
  }

  test("Timer expires once, never early, and has a close-on-exec descriptor", (cleanup) => {
    const [timer] = make(cleanup, () => new KqueueTimer());
    assertEquals(libc!.fcntl(timer.fd, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
    assertEquals(timer.read(), 0);
    for (const delayMs of [5.5, 1, 0, -1, -Infinity, 1e-9]) {
      const start = performance.now();
      timer.set(delayMs, Infinity);
      assertEquals(select([timer.fd], [], [], SOON)[0], [timer.fd]);
      assertGreaterOrEqual(performance.now() - start, delayMs);
      assertEquals([timer.read(), timer.read()], [1, 0]);
    }
    assertEquals(select([timer.fd], [], [], 0)[0], []);
  });

  test("Timer with `every` keeps its rhythm, and counts missed expiries", (cleanup) => {
    const [timer] = make(cleanup, () => new KqueueTimer());
    const start = performance.now();
    timer.set(20, 10);
    using selector = new DefaultSelector();
    selector.register(timer.fd, EVENT_READ);
    let periods = 0;
    while (periods < 5) {
      assertEquals(selector.select(SOON).length, 1);
      periods += timer.read();
      // The clocks of the stand-in and of the program differ by less than a millisecond.
      assertGreaterOrEqual(performance.now() - start, 20 + (periods - 1) * 10 - 1);
    }
    const cell = new Int32Array(new SharedArrayBuffer(4));
    Atomics.wait(cell, 0, 0, 100);
    const least = Math.floor((performance.now() - start - 20) / 10) + 1 - periods;
    assertGreaterOrEqual(timer.read(), least);
  });

  test("set() replaces or stops a timer, before and after it has expired", (cleanup) => {
    const [timer, kernel] = make(cleanup, () => new KqueueTimer());
    for (const isExpired of [false, true]) {
      timer.set(isExpired ? 0 : 3_600_000, Infinity);
      if (isExpired) select([timer.fd], [], [], SOON);
      timer.set(3_600_000, 1);
      assertEquals([select([timer.fd], [], [], 0)[0], timer.read()], [[], 0]);
      timer.set(Infinity, Infinity);
      assertEquals(kernel.filtersOf(1), []);
      assertEquals(timer.read(), 0);
    }
  });

  test("Timer waits the full delay even if it exceeds the system's maximum", (cleanup) => {
    const [timer, kernel] = make(cleanup, () => new KqueueTimer());
    timer.set(Number.MAX_VALUE, Infinity);
    assertEquals(timer.read(), 0);
    // The system's timer ends long before the delay. That is not an expiry: another system timer continues the delay.
    kernel.expire(1);
    assertEquals(select([timer.fd], [], [], SOON)[0], [timer.fd]);
    assertEquals(timer.read(), 0);
    assertEquals(select([timer.fd], [], [], 0)[0], []);
    assertEquals(kernel.filtersOf(1).length, 1);
  });

  for (const [script, status] of [["exit 0", 0], ["exit 7", 7 << 8], ["kill -TERM $$", 15]] as const) {
    test(`ProcessExit reports the wait status of \`${script}\`, and stays readable`, async (cleanup) => {
      const child = shell(`sleep 0.05; ${script}`);
      const [process] = make(cleanup, () => new KqueueProcess(child.pid));
      assertEquals(libc!.fcntl(process.fd, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
      assertEquals([select([process.fd], [], [], 0)[0], process.status()], [[], null]);
      assertEquals(select([process.fd], [], [], SOON)[0], [process.fd]);
      assertEquals([process.status(), process.status()], [status, status]);
      assertEquals(select([process.fd], [], [], 0)[0], [process.fd]);
      await child.status;
    });
  }

  test("ProcessExit reports a child that has already ended, if Deno has not reaped it", async (cleanup) => {
    const child = shell("exit 3");
    const cell = new Int32Array(new SharedArrayBuffer(4));
    while (!/^State:\s+Z/m.test(Deno.readTextFileSync(`/proc/${child.pid}/status`))) Atomics.wait(cell, 0, 0, 1);
    const [process] = make(cleanup, () => new KqueueProcess(child.pid));
    assertEquals(select([process.fd], [], [], SOON)[0], [process.fd]);
    // macOS does not watch a zombie, so its status is unknown.
    assertEquals(process.status(), system === "darwin" ? undefined : 3 << 8);
    assertEquals((await child.status).code, 3);
  });

  test("ProcessExit reports the end of a process that is not a child, without its status on macOS", async (cleanup) => {
    const parent = new Deno.Command("sh", {
      args: ["-c", "sleep 60 & echo $!; wait $!; exit 0"],
      stdin: "null",
      stdout: "piped",
    }).spawn();
    const reader = parent.stdout.getReader();
    const pid = Number(new TextDecoder().decode((await reader.read()).value));
    const [process] = make(cleanup, () => new KqueueProcess(pid));
    assertEquals(process.status(), null);
    Deno.kill(pid, "SIGTERM");
    assertEquals(select([process.fd], [], [], SOON)[0], [process.fd]);
    const status = process.status();
    assertEquals(status === undefined, system === "darwin");
    await reader.cancel();
    await parent.status;
  });

  test("new ProcessExit() throws ESRCH with advice if the process does not exist, and leaks no descriptor", async () => {
    const child = shell("exit 0");
    await child.status;
    kqueueStandIn(system).install();
    const before = openDescriptors().size;
    const error = assertThrows(() => new KqueueProcess(child.pid), OSError, "right after spawn()");
    assertEquals([error.code, openDescriptors().size], ["ESRCH", before]);
  });

  test("new Timer() and new ProcessExit() throw an OSError if kevent() fails, and leak no descriptor", () => {
    const kernel = kqueueStandIn(system);
    kernel.install();
    const before = openDescriptors().size;
    kernel.fail = [ENOMEM];
    assertThrows(() => new KqueueProcess(Deno.pid), OSError, "ENOMEM");
    assertEquals(openDescriptors().size, before);
    const timer = new KqueueTimer();
    kernel.fail = [ENOMEM, ENOMEM]; // the first call removes a filter, and may fail
    assertThrows(() => timer.set(1, Infinity), OSError, "ENOMEM");
    timer.close();
  });
}

for (const system of ["darwin", "freebsd", "netbsd"] as const) {
  describe(`Timer and ProcessExit on the kqueue of ${system}`, () => {
    if (os === "linux") sourceTests(system);
    else skip("everything", NO_STAND_IN);
  });
}
