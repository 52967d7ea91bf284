/**
 * Entries that a wait did not deliver: failures while their registrations are armed again, and events that are stored
 * for the next wait.
 *
 * @module
 */

import { assertEquals, assertGreaterOrEqual, assertThrows } from "@std/assert";
import { describe } from "@std/testing/bdd";
import { EVENT_PRIORITY, EVENT_READ, MODE_ONCE, OSError } from "../mod.ts";
import { EPOLL_CTL_ADD, EPOLL_CTL_MOD, EpollPoller } from "../ffi/os/epoll.ts";
import { ENOMEM } from "../ffi/os/errno.ts";
import { SelectorCore } from "../selectors/core.ts";
import { EPOLL } from "./support/needs.ts";
import { bytes, Cleanup, testNeeding } from "./support/util.ts";

const test = testNeeding(EPOLL);
const ONCE = EVENT_READ | MODE_ONCE;

/** Fails an operation for a descriptor as often as `failures` says. */
class FailingPoller extends EpollPoller {
  readonly failures: Map<string, number> = new Map();

  override ctl(op: number, fd: number, flags: number, serial: number, epfd?: number): number {
    const left = this.failures.get(`${op} ${fd}`) ?? 0;
    if (left === 0) return super.ctl(op, fd, flags, serial, epfd);
    this.failures.set(`${op} ${fd}`, left - 1);
    return -ENOMEM;
  }

  fail(op: number, fd: number, count: number): void {
    this.failures.set(`${op} ${fd}`, count);
  }
}

describe("EpollPoller", () => {
  test("modify() arms a registration that purge() left out, even after a failure", () => {
    using cleanup = new Cleanup();
    const [here, there] = cleanup.pair();
    const poller = new FailingPoller();
    cleanup.defer(() => poller.close());
    const fd = here.fileno();
    assertEquals(poller.add(fd, ONCE, 1), 0);
    there.send(bytes("x"));
    assertEquals(poller.wait(0), 1);
    assertEquals(poller.purge([[fd, ONCE, 1]], 1), true);
    assertEquals(poller.wait(0), 0);
    poller.fail(EPOLL_CTL_ADD, fd, 1);
    assertEquals(poller.modify(fd, ONCE, 1), -ENOMEM);
    assertEquals(poller.modify(fd, ONCE, 1), 0);
    assertEquals([poller.wait(0), poller.fdAt(0), poller.serialAt(0)], [1, fd, 1]);
  });
});

describe("SelectorCore", () => {
  test("giveBack() arms every key that it can, and throws the first error", () => {
    using cleanup = new Cleanup();
    const pairs = [cleanup.pair(), cleanup.pair(), cleanup.pair()];
    const poller = new FailingPoller();
    const core = new SelectorCore<undefined, number>(poller);
    cleanup.defer(() => core.close());
    const fds = pairs.map(([here]) => here.fileno());
    for (const fd of fds) core.add(fd, fd, ONCE, undefined);
    for (const [, there] of pairs) there.send(bytes("x"));
    const entries = core.select(0);
    assertEquals(entries.length, 3);
    poller.fail(EPOLL_CTL_MOD, fds[0]!, 2); // fails again when it is tried again
    poller.fail(EPOLL_CTL_MOD, fds[1]!, 1);
    const error = assertThrows(() => core.giveBack(entries), OSError, "ENOMEM");
    assertEquals(error.errno, ENOMEM);
    assertEquals(core.select(0).map(([{ fd }]) => fd).sort(), fds.slice(1).sort());
    assertEquals(core.keys.get(fds[0]!), undefined); // map and kernel agree
  });

  test("select() waits out its timeout if no registration asks for a stored event", () => {
    using cleanup = new Cleanup();
    const [here, there] = cleanup.pair();
    const core = new SelectorCore<undefined, number>(new EpollPoller());
    cleanup.defer(() => core.close());
    const fd = here.fileno();
    core.add(fd, fd, EVENT_READ, undefined);
    core.take(fd, EVENT_PRIORITY);
    const start = performance.now();
    assertEquals(core.select(30), []);
    assertGreaterOrEqual(performance.now() - start, 30);
    core.take(fd, EVENT_READ);
    assertEquals(core.select(Infinity).map(([key, events]) => [key.fd, events]), [[fd, EVENT_READ]]);
    there.send(bytes("x"));
    assertEquals(core.select(Infinity).length, 1);
  });
});
