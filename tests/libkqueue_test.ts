/**
 * KqueueSelector and Kqueue on libkqueue, which gives Linux a kqueue over epoll, where it is installed; and what is said
 * where it is not.
 */

import { assertEquals, assertInstanceOf, assertStringIncludes } from "@std/assert";
import { describe } from "@std/testing/bdd";
import { Kevent, KQ_EV_ADD, KQ_FILTER_READ, KQ_FILTER_USER, KQ_NOTE_TRIGGER, Kqueue } from "../ffi/mod.ts";
import { os } from "../ffi/platform.ts";
import { EVENT_READ, EVENT_WRITE, KqueueSelector } from "../mod.ts";
import { selectorContract } from "./selector_contract.ts";
import { bytes, Cleanup, readyFds, skip, test } from "./util.ts";

/** Why there is no kqueue here, or null if there is one. */
function whyNot(): Error | null {
  try {
    new KqueueSelector().close();
    return null;
  } catch (error) {
    assertInstanceOf(error, Error);
    return error;
  }
}

const obstacle = whyNot();

if (obstacle !== null) {
  describe("KqueueSelector without kqueue", () => {
    test("new KqueueSelector() names the system and DefaultSelector", () => {
      for (const error of [obstacle, whyNot()]) {
        assertInstanceOf(error, Deno.errors.NotSupported);
        assertStringIncludes(error.message, `Cannot create a kqueue: ${os} has none; use DefaultSelector`);
      }
    });
    skip("KqueueSelector on libkqueue", "there is no libkqueue.so.0 (package libkqueue0)");
  });
} else if (os !== "linux") {
  selectorContract({ name: "KqueueSelector", create: <D>() => new KqueueSelector<D>() });
} else {
  selectorContract({ name: "KqueueSelector on libkqueue", create: <D>() => new KqueueSelector<D>() });
}
