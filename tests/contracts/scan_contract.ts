/**
 * The behavior that `PollSelector` and `SelectSelector` share because both pass a list to the kernel in each wait.
 *
 * @module
 */

import { assertEquals, assertGreaterOrEqual } from "@std/assert";
import { describe } from "@std/testing/bdd";
import { closeSync, openSync } from "node:fs";
import { select } from "../../ffi/select/mod.ts";
import { AF_INET, close, MSG_OOB } from "../../ffi/socket/mod.ts";
import { PollPoller } from "../../ffi/os/poll.ts";
import { SelectPoller } from "../../ffi/os/select.ts";
import { EVENT_READ, type PollSelector, SelectSelector } from "../../mod.ts";
import { DUP2, FILES } from "../support/needs.ts";
import {
  BOTH,
  bytes,
  Cleanup,
  CountingSelector,
  duplicate,
  elapsedMs,
  type Need,
  readyFds,
  SOON,
  type test as declare,
} from "../support/util.ts";

type ScanningSelector = typeof PollSelector | typeof SelectSelector;

/** Declares the tests for one selector class. `wideDescriptors` is the need for descriptors above 1,023. */
export function scanContract(Selector: ScanningSelector, test: typeof declare, wideDescriptors: Need = null): void {
  describe(`${Selector.name}: the contract of selectors that scan`, () => {
    test("register() accepts a regular file, which is always ready", { needs: [FILES] }, () => {
      const fd = openSync(import.meta.filename!, "r");
      try {
        using selector = new Selector();
        selector.register(fd, BOTH);
        assertEquals(readyFds(selector), [[fd, BOTH]]);
      } finally {
        closeSync(fd);
      }
    });

    test("select() does not report urgent data as readable", () => {
      using cleanup = new Cleanup();
      const [client, server] = cleanup.pair(AF_INET);
      using selector = new Selector();
      selector.register(server, EVENT_READ);
      client.send(bytes("!"), MSG_OOB);
      assertEquals(select([], [], [server], SOON)[2], [server]);
      assertEquals(readyFds(selector, 0), []);
    });

    test("select() makes two system calls after a descriptor was closed, and one call afterwards", {
      needs: [DUP2, wideDescriptors],
    }, () => {
      using cleanup = new Cleanup();
      const [here, there] = cleanup.pair();
      using selector = new CountingSelector(Selector === SelectSelector ? new SelectPoller() : new PollPoller());
      selector.register(duplicate(cleanup, here.fileno(), 1500), BOTH);
      selector.register(here, EVENT_READ);
      close(1500);
      assertGreaterOrEqual(elapsedMs(() => assertEquals(readyFds(selector, 0.02), [])), 20);
      assertEquals(selector.waits, 2);
      there.send(bytes("ping"));
      assertEquals(readyFds(selector), [[here.fileno(), EVENT_READ]]);
      assertEquals(selector.waits, 3);
    });
  });
}
