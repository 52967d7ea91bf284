/**
 * Descriptors that the mechanism of a selector cannot watch by itself: those that epoll and kqueue reject, with the
 * option `fallback`, and files that report an urgent event to one call only.
 *
 * @module
 */

import { assert, assertEquals, assertGreaterOrEqual, assertStringIncludes, assertThrows } from "@std/assert";
import { describe } from "@std/testing/bdd";
import { SplitPoller } from "../ffi/os/split.ts";
import { EpollPoller } from "../ffi/os/epoll.ts";
import { join } from "@std/path";
import { AF_INET, close, MSG_OOB, read, write } from "../ffi/socket/mod.ts";
import {
  type BaseSelector,
  EpollSelector,
  EVENT_PRIORITY,
  EVENT_READ,
  EVENT_READ_CLOSED,
  EVENT_WRITE,
  KqueueSelector,
  MODE_EDGE,
  MODE_ONCE,
  OSError,
  PollSelector,
  SelectSelector,
  waitFor,
} from "../mod.ts";
import { kqueueStandIn } from "./standins/kqueue_standin.ts";
import { EPOLL, LINUX } from "./support/needs.ts";
import { isThere, ROOT, run } from "./support/program.ts";
import {
  BOTH,
  bytes,
  Cleanup,
  CountingSelector,
  duplicate,
  elapsedMs,
  fifo,
  freeNumber,
  libc,
  nextTurns,
  readyFds,
  SOON,
  sorted,
  test,
  text,
} from "./support/util.ts";

const O_RDWR = 2;

/** Opens a file that epoll rejects. */
function open(cleanup: Cleanup, path: string, flags = 0): number {
  const fd = libc!.open(bytes(`${path}\0`), flags);
  assertGreaterOrEqual(fd, 0);
  cleanup.defer(() => close(fd));
  return fd;
}

function make(cleanup: Cleanup): BaseSelector {
  return cleanup.add(new EpollSelector({ fallback: "select" }));
}

describe("fallback", () => {
  test("new SelectSelector() throws RangeError for an unknown fallback", () => {
    for (const fallback of ["poll", null, 1, true]) {
      assertThrows(() => new SelectSelector({ fallback: fallback as "select" }), RangeError, "fallback");
    }
    new SelectSelector({ fallback: "select" }).close();
  });

  test("EPERM errors name the option", { needs: [EPOLL] }, () => {
    using cleanup = new Cleanup();
    using selector = new EpollSelector();
    const error = assertThrows(() => selector.register(open(cleanup, "/dev/null"), EVENT_READ), OSError, "EPERM");
    assertStringIncludes(error.message, 'create the selector with { fallback: "select" }');
  });

  for (const path of ["/dev/null", "/proc/self/status", "/etc"]) {
    test(`EpollSelector reports ${path} as ready in each wait`, { needs: [EPOLL] }, () => {
      using cleanup = new Cleanup();
      const selector = make(cleanup);
      const fd = open(cleanup, path);
      const [here, there] = cleanup.pair();
      selector.register(here, EVENT_READ);
      selector.register(fd, BOTH, "file");
      assertEquals(readyFds(selector), [[fd, BOTH]]);
      there.send(bytes("x"));
      assertEquals(readyFds(selector, null), sorted([[fd, BOTH], [here.fileno(), EVENT_READ]]));
      selector.modify(fd, EVENT_READ);
      assertEquals(readyFds(selector, 0), sorted([[fd, EVENT_READ], [here.fileno(), EVENT_READ]]));
      selector.unregister(fd);
      assertEquals(readyFds(selector, 0), [[here.fileno(), EVENT_READ]]);
      here.recv(10);
      assertGreaterOrEqual(elapsedMs(() => assertEquals(selector.select(0.02), [])), 20);
      selector.register(fd, EVENT_WRITE);
      assertEquals(readyFds(selector, 1), [[fd, EVENT_WRITE]]);
    });
  }

  test("select() reaches its timeout in one wait, with or without a rejected descriptor", { needs: [EPOLL] }, () => {
    using cleanup = new Cleanup();
    const counting = new CountingSelector(new SplitPoller(new EpollPoller(), true));
    using selector = counting;
    const [here] = cleanup.pair();
    const fd = open(cleanup, "/dev/null");
    selector.register(here, EVENT_READ);
    selector.register(fd, EVENT_READ | MODE_ONCE);
    assertEquals(readyFds(selector, 1), [[fd, EVENT_READ]]);
    assertGreaterOrEqual(elapsedMs(() => assertEquals(selector.select(0.02), [])), 20);
    assertEquals(counting.waits, 2);
    selector.unregister(fd);
    assertGreaterOrEqual(elapsedMs(() => assertEquals(selector.select(0.02), [])), 20);
    assertEquals(counting.waits, 3);
  });

  test("register() throws EPERM for events that the fallback does not support", { needs: [EPOLL] }, () => {
    using cleanup = new Cleanup();
    const selector = make(cleanup);
    const fd = open(cleanup, "/dev/null");
    const error = assertThrows(() => selector.register(fd, EVENT_READ | MODE_EDGE), OSError, "EPERM");
    assertStringIncludes(error.message, "the fallback does not support MODE_EDGE");
    assertEquals(selector.getMap()!.size, 0);
    selector.register(fd, EVENT_READ | EVENT_READ_CLOSED);
    assertEquals(readyFds(selector, 0), [[fd, EVENT_READ]]);
    selector.unregister(fd);
    selector.register(fd, EVENT_READ);
  });

  test("unregister() accepts a rejected descriptor that is closed", { needs: [EPOLL] }, () => {
    using cleanup = new Cleanup();
    const selector = make(cleanup);
    const [here] = cleanup.pair();
    const fd = libc!.open(bytes("/dev/null\0"), 0);
    selector.register(fd, EVENT_READ);
    selector.register(here, EVENT_WRITE);
    close(fd);
    for (let round = 0; round < 2; round++) assertEquals(readyFds(selector, 0), [[here.fileno(), EVENT_WRITE]]);
    assertEquals(selector.unregister(fd).fd, fd);
    assertEquals(readyFds(selector, 0), [[here.fileno(), EVENT_WRITE]]);
  });

  test("select() reports a rejected descriptor in spite of a stale registration", { needs: [EPOLL] }, () => {
    using cleanup = new Cleanup();
    const selector = make(cleanup);
    const [here, there] = cleanup.pair();
    there.send(bytes("x"));
    const twin = libc!.dup(here.fileno());
    selector.register(twin, EVENT_READ);
    close(twin);
    selector.unregister(twin);
    const file = open(cleanup, "/dev/null");
    assert(file === twin, "another number");
    selector.register(file, EVENT_READ | MODE_ONCE);
    assertEquals(readyFds(selector, 0), [[file, EVENT_READ]]);
    assertEquals(readyFds(selector, 0), []);
  });

  test("selectAsync() reports rejected descriptors, and waits if they are spent", { needs: [EPOLL] }, async () => {
    using cleanup = new Cleanup();
    const selector = make(cleanup);
    const [here, there] = cleanup.pair();
    const fd = open(cleanup, "/dev/null");
    selector.register(here, EVENT_READ);
    const first = selector.selectAsync();
    await nextTurns();
    selector.register(fd, EVENT_READ | MODE_ONCE);
    assertEquals((await first).map(([key]) => key.fd), [fd]);
    const second = selector.selectAsync();
    await nextTurns();
    there.send(bytes("x"));
    assertEquals((await second).map(([key]) => key.fd), [here.fileno()]);
    here.recv(10);
    const third = selector.selectAsync();
    await nextTurns();
    selector.modify(fd, EVENT_READ | MODE_ONCE);
    assertEquals((await third).map(([key]) => key.fd), [fd]);
    const fourth = selector.selectAsync();
    await nextTurns();
    selector.unregister(fd);
    await nextTurns();
    selector.modify(here, EVENT_WRITE);
    assertEquals((await fourth).map(([key]) => key.fd), [here.fileno()]);
  });

  test("for await reads a regular file to the end", { needs: [EPOLL] }, async () => {
    using cleanup = new Cleanup();
    const selector = make(cleanup);
    const fd = open(cleanup, "/proc/self/status");
    selector.register(fd, EVENT_READ);
    let content = "";
    for await (const [key] of selector) {
      const data = new Uint8Array(100);
      const count = read(key.fd, data);
      if (count === 0) break;
      content += text(data.subarray(0, count));
    }
    assertStringIncludes(content, "VmRSS:");
  });

  test("KqueueSelector waits for a FIFO as on macOS", { needs: [LINUX] }, async () => {
    using cleanup = new Cleanup();
    kqueueStandIn("darwin").install();
    const selector = cleanup.add(new KqueueSelector({ fallback: "select" }));
    const [, fd] = fifo(cleanup, O_RDWR);
    const [here, there] = cleanup.pair();
    selector.register(here, EVENT_READ);
    selector.register(fd, EVENT_READ);
    assertEquals(readyFds(selector, 0), []);
    assertGreaterOrEqual(elapsedMs(() => assertEquals(selector.select(0.02), [])), 20);
    write(fd, bytes("x"));
    assertEquals(readyFds(selector, SOON), [[fd, EVENT_READ]]);
    there.send(bytes("x"));
    assertEquals(readyFds(selector, SOON), sorted([[fd, EVENT_READ], [here.fileno(), EVENT_READ]]));
    read(fd, new Uint8Array(10));
    assertEquals(readyFds(selector, SOON), [[here.fileno(), EVENT_READ]]);
    here.recv(10);
    const next = selector.selectAsync();
    await nextTurns();
    write(fd, bytes("y"));
    assertEquals((await next).map(([key]) => key.fd), [fd]);
  });
});

const MOUNTS = LINUX ??
  (await isThere("unshare", "-m", "true") ? null : "unshare -m fails: it needs util-linux and root");

describe("EVENT_PRIORITY", () => {
  test("EVENT_PRIORITY reports each change of /proc/self/mounts once", { needs: [MOUNTS] }, async () => {
    const program = join(ROOT, "tests", "support", "mounts_program.ts");
    const args = ["-m", Deno.execPath(), "run", "--no-prompt", "--allow-all", "--no-lock", program];
    const { code, out, error } = await run("unshare", ...args);
    assertEquals([code, error], [0, ""]);
    // One entry, or none, for select(), selectAsync() three times, next() twice, selectAsync() with MODE_ONCE, and an
    // aborted wait.
    const counts = [1, 0, 1, 0, 1, 0, 1, 0, 1, 1, 1, 0, 0, 1, 0];
    const expected = { EpollSelector: counts, PollSelector: counts, SelectSelector: counts, waitFor: [1, 1] };
    assertEquals(JSON.parse(out), expected);
  });

  test("select() reports urgent data of a file and a socket with other events", { needs: [LINUX] }, async () => {
    using cleanup = new Cleanup();
    using selector = new EpollSelector();
    const mounts = open(cleanup, "/proc/self/mounts");
    const [here, there] = cleanup.pair(AF_INET);
    const [other, peer] = cleanup.pair();
    selector.register(mounts, EVENT_READ | EVENT_PRIORITY);
    selector.register(here, EVENT_PRIORITY);
    selector.register(other, EVENT_READ);
    there.send(bytes("!"), MSG_OOB);
    peer.send(bytes("x"));
    const expected = sorted([
      [mounts, EVENT_READ],
      [here.fileno(), EVENT_PRIORITY],
      [other.fileno(), EVENT_READ],
    ]);
    assertEquals(readyFds(selector, SOON), expected);
    assertEquals(sorted((await selector.selectAsync()).map(([key, events]) => [key.fd, events])), expected);
    selector.modify(mounts, EVENT_PRIORITY);
    assertEquals(readyFds(selector, 0), expected.filter(([fd]) => fd !== mounts));
    selector.modify(mounts, EVENT_READ);
    assertEquals(readyFds(selector, 0), expected);
    // EpollSelector passes MODE_EDGE to epoll, which accepts this file.
    selector.modify(mounts, EVENT_READ | EVENT_PRIORITY | MODE_EDGE);
    assertEquals(readyFds(selector, 0), expected);
    assertEquals(readyFds(selector, 0), expected.filter(([fd]) => fd !== mounts));
    selector.modify(mounts, EVENT_READ | EVENT_PRIORITY);
    assertEquals(readyFds(selector, 0), expected);
    selector.unregister(mounts);
    assertEquals(readyFds(selector, 0), expected.filter(([fd]) => fd !== mounts));
  });

  test("modify() to EVENT_PRIORITY throws ENOENT if the number belongs to another file", { needs: [EPOLL] }, () => {
    using cleanup = new Cleanup();
    using selector = new EpollSelector();
    const [old, writer] = [cleanup.pipe(), cleanup.pipe()];
    const [reader] = old;
    selector.register(reader, EVENT_READ);
    duplicate(cleanup, reader, freeNumber(1_000)); // keeps the registration in the kernel
    libc!.dup2(writer[0], reader);
    write(old[1], bytes("x"));
    write(writer[1], bytes("y"));
    const error = assertThrows(() => selector.modify(reader, EVENT_READ | EVENT_PRIORITY), OSError);
    assertEquals(error.code, "ENOENT");
    assertEquals([selector.getMap()!.size, selector.select(0)], [0, []]);
  });

  test("register() of the selector's own descriptor throws EINVAL for every mask", { needs: [EPOLL] }, () => {
    for (const options of [{}, { fallback: "select" }] as const) {
      using selector = new EpollSelector(options);
      for (const events of [EVENT_READ, EVENT_PRIORITY, EVENT_READ | EVENT_PRIORITY]) {
        const error = assertThrows(() => selector.register(selector.fileno(), events), OSError);
        assertEquals([error.code, selector.getMap()!.size], ["EINVAL", 0]);
      }
    }
  });

  test(
    "EVENT_PRIORITY does not make a wait report data that was read during the wait",
    { needs: [LINUX] },
    async () => {
      for (const create of [() => new EpollSelector(), () => new PollSelector(), () => new SelectSelector()]) {
        using cleanup = new Cleanup();
        using selector = create();
        const [reader, writer] = cleanup.pipe();
        selector.register(reader, EVENT_READ | EVENT_PRIORITY);
        const waits = [
          selector.selectAsync(0.2).then((ready) => ready.length),
          waitFor(reader, EVENT_READ | EVENT_PRIORITY, 0.2),
        ];
        await new Promise((resolve) => setTimeout(resolve, 20));
        write(writer, bytes("x"));
        Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 50); // lets the other thread return from its call
        read(reader, new Uint8Array(1));
        assertEquals(await Promise.all(waits), [0, 0]);
      }
    },
  );
});

describe("options", () => {
  test("new EpollSelector() opens nothing if its options cannot be read", { needs: [EPOLL] }, () => {
    const options = {
      get fallback(): "select" {
        throw new SyntaxError("unreadable");
      },
    };
    assertThrows(() => new EpollSelector(options), SyntaxError, "unreadable");
    assertThrows(() => new EpollSelector(null as unknown as undefined), TypeError);
  });
});
