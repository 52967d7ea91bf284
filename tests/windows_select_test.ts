/**
 * The sets for `select()` on Windows, which are arrays of sockets.
 *
 * @module
 */

import { assert, assertEquals, assertGreaterOrEqual, assertThrows } from "@std/assert";
import { describe } from "@std/testing/bdd";
import { EBADF } from "../ffi/os/errno.ts";
import { IN_EXCEPT, IN_READ, IN_WRITE } from "../ffi/os/select_set.ts";
import { CountedSelectSet } from "../ffi/os/select_windows.ts";
import { OSError, SO_LINGER, Socket, SOL_SOCKET } from "../ffi/socket/mod.ts";
import { Timeval } from "../ffi/os/timeout.ts";
import { EVENT_READ, EVENT_WRITE, SelectSelector } from "../mod.ts";
import { WINSOCK } from "./support/needs.ts";
import {
  bytes,
  Cleanup,
  elapsedMs,
  gathered,
  readyFds,
  RESET_ON_CLOSE,
  test as declare,
  testNeeding,
} from "./support/util.ts";

const test = testNeeding(WINSOCK);

describe("CountedSelectSet", () => {
  test("CountedSelectSet finds and counts the ready sockets of each set", () => {
    using cleanup = new Cleanup();
    const [here, there] = cleanup.pair();
    const [idle] = cleanup.pair();
    there.send(bytes("x"));
    const set = new CountedSelectSet();
    set.set(here.fileno(), IN_READ | IN_WRITE | IN_EXCEPT);
    set.set(idle.fileno(), IN_READ | IN_EXCEPT);
    assertEquals(set.wait(1000), 2);
    assertEquals(gathered(set, 2), [[here.fileno(), IN_READ | IN_WRITE]]);
    assert(set.isReady(here.fileno(), IN_READ) && set.isReady(here.fileno(), IN_WRITE));
    assertEquals(set.isReady(here.fileno(), IN_EXCEPT) || set.isReady(idle.fileno(), IN_READ), false);
    set.set(here.fileno(), IN_EXCEPT);
    assertEquals([set.wait(0), gathered(set, 0)], [0, []]);
    assertEquals(set.isReady(here.fileno(), IN_READ), false);
  });

  test("CountedSelectSet keeps the other sockets when it removes a socket, at any size", () => {
    using cleanup = new Cleanup();
    const sockets = Array.from({ length: 90 }, () => cleanup.pair()).flat().map((socket) => socket.fileno());
    const set = new CountedSelectSet();
    const members = new Set<number>();
    const check = () => {
      assertEquals(set.wait(0), members.size);
      assertEquals(
        gathered(set, members.size).map(([fd]) => fd).sort((a, b) => a - b),
        [...members].sort((a, b) => a - b),
      );
    };
    for (const [index, fd] of sockets.entries()) {
      set.set(fd, IN_WRITE);
      set.set(fd, IN_WRITE); // adds the socket only once
      members.add(fd);
      if (index % 30 === 3 || (index > 60 && index < 68)) check();
    }
    check();
    for (const [index, fd] of sockets.entries()) {
      if (index % 7 === 2 || index > 150) set.set(fd, 0), members.delete(fd);
    }
    check();
    for (const fd of [...members]) set.set(fd, 0), set.set(fd, 0), members.delete(fd);
    check();
  });

  test("CountedSelectSet approximately waits out its timeout, even with empty sets", () => {
    using cleanup = new Cleanup();
    const [here] = cleanup.pair();
    const set = new CountedSelectSet();
    for (let round = 0; round < 2; round++) {
      assertEquals(set.wait(0), 0);
      let outcome = 0;
      const elapsed = elapsedMs(() => outcome = set.wait(30));
      assertEquals(outcome, 0);
      assertGreaterOrEqual(elapsed, 15);
      set.set(here.fileno(), IN_READ);
    }
  });

  test("CountedSelectSet returns -EBADF if a socket was closed", () => {
    using cleanup = new Cleanup();
    const [here] = cleanup.pair();
    const set = new CountedSelectSet();
    set.set(here.fileno(), IN_READ);
    here.close();
    assertEquals(set.wait(0), -EBADF);
  });

  test("select() for EVENT_WRITE alone reports a refused connection", () => {
    using cleanup = new Cleanup();
    const dead = cleanup.add(new Socket());
    dead.bind({ hostname: "127.0.0.1", port: 0 });
    const client = cleanup.add(new Socket());
    client.setBlocking(false);
    assertEquals(client.connectEx(dead.getsockname()), "EINPROGRESS");
    using selector = new SelectSelector();
    selector.register(client, EVENT_READ | EVENT_WRITE);
    const [[, events]] = readyFds(selector, 10) as [[number, number]];
    assertEquals(events & EVENT_WRITE, EVENT_WRITE);
  });

  test("select() reports a reset connection as readable", () => {
    using cleanup = new Cleanup();
    const [here, there] = cleanup.pair();
    there.setsockopt(SOL_SOCKET, SO_LINGER, RESET_ON_CLOSE);
    there.close();
    using selector = new SelectSelector();
    selector.register(here, EVENT_READ);
    assertEquals(readyFds(selector, 10), [[here.fileno(), EVENT_READ]]);
    assertEquals(assertThrows(() => here.recv(1), OSError).code, "ECONNRESET");
  });
});

describe("Timeval", () => {
  declare("Timeval rounds up to microseconds, and has an upper bound", () => {
    const cases: [ms: number, seconds: number, microseconds: number][] = [
      [0, 0, 0],
      [1e-9, 0, 1],
      [0.001, 0, 1],
      [0.0011, 0, 2],
      [999.9999, 1, 0],
      [1500.25, 1, 500_250],
      [1e300, 100_000_000, 0],
    ];
    for (const [ms, seconds, microseconds] of cases) {
      assertEquals([...new Timeval().set(ms)], [seconds, microseconds], `${ms} ms`);
    }
  });
});
