import { assertEquals } from "@std/assert";
import { describe } from "@std/testing/bdd";
import { EVENT_READ, EVENT_WRITE } from "../../../mod.ts";
import type { Subject } from "./subject.ts";
import { descriptorLimit } from "../../support/util.ts";

/** Declares the test with the maximum number of open descriptors. */
export function manyContract({ name, test, make, select }: Subject): void {
  describe(`${name}: many descriptors`, () => {
    test(
      "select() reports the maximum number of open descriptors in one call",
      { needs: ["manyDescriptors"] },
      async (cleanup) => {
        const selector = make(cleanup);
        const count = Math.floor((Math.min(descriptorLimit(), 65_536) - 256) / 2);
        for (let made = 0; made < count; made++) {
          for (const socket of cleanup.pair()) selector.register(socket, EVENT_WRITE);
        }
        const ready = await select(selector);
        assertEquals(ready.length, 2 * count);
        assertEquals(new Set(ready.map(([key]) => key.fd)).size, 2 * count);
        for (const [index, [key]] of ready.entries()) if (index % 2 === 0) selector.modify(key.fd, EVENT_READ);
        assertEquals((await select(selector)).length, count);
        for (const [key] of ready) selector.unregister(key.fd);
        assertEquals(await select(selector, 0), []);
      },
    );
  });
}
