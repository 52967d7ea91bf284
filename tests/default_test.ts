/** The default selector of each system, and the errors of selectors that the system does not have. */

import { assert, assertEquals, assertInstanceOf, assertStrictEquals, assertThrows } from "@std/assert";
import { describe } from "@std/testing/bdd";
import { Devpoll } from "../ffi/select/mod.ts";
import { type Os, os, systemOf } from "../ffi/os/systems.ts";
import { BaseSelector, DefaultSelector, DevpollSelector } from "../mod.ts";
import { selectorFor } from "../selectors/default.ts";
import { skip, test } from "./support/util.ts";

/** Systems and their selectors. */
const EXPECTED: Readonly<Record<Os, string>> = {
  linux: "EpollSelector",
  android: "EpollSelector",
  darwin: "KqueueSelector",
  freebsd: "KqueueSelector",
  netbsd: "KqueueSelector",
  solaris: "DevpollSelector",
  illumos: "DevpollSelector",
  windows: "SelectSelector",
};

describe("DefaultSelector", () => {
  for (const [system, name] of Object.entries(EXPECTED)) {
    test(`selectorFor() returns ${name} for ${system}`, () => {
      const selector = selectorFor(systemOf(system));
      assertEquals(selector.name, name);
      assert(selector.prototype instanceof BaseSelector);
    });
  }

  test("selectorFor() returns SelectSelector for a system without a record", () => {
    for (const system of ["plan9", "", "LINUX", "aix"]) {
      assertEquals(selectorFor(systemOf(system)).name, "SelectSelector");
    }
  });

  test("DefaultSelector is the best class of this system, and can be constructed", () => {
    assertStrictEquals(DefaultSelector, selectorFor(systemOf(os)));
    assertEquals(DefaultSelector.name, EXPECTED[os]);
    using selector = new DefaultSelector();
    assertInstanceOf(selector, BaseSelector);
  });
});

describe("missing selectors", () => {
  if (EXPECTED[os] === "DevpollSelector") {
    skip(
      "new DevpollSelector() and new Devpoll() throw an error that names the system and another selector",
      `${os} has /dev/poll`,
    );
  } else {
    test("new DevpollSelector() and new Devpoll() throw an error that names the system and another selector", () => {
      for (const make of [() => new DevpollSelector(), () => new Devpoll()]) {
        const error = assertThrows(make, Deno.errors.NotSupported, "use DefaultSelector");
        assertEquals(error.message, `Cannot open /dev/poll: ${os} has none; use DefaultSelector`);
      }
    });
  }
});
