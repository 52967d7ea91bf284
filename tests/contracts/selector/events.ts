import { assert, assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import { describe } from "@std/testing/bdd";
import { AF_INET, MSG_OOB } from "../../../ffi/socket/mod.ts";
import {
  EVENT_ERROR,
  EVENT_HANGUP,
  EVENT_PRIORITY,
  EVENT_READ,
  EVENT_READ_CLOSED,
  EVENT_WRITE,
  MODE_EDGE,
  MODE_ONCE,
} from "../../../mod.ts";
import { BOTH, bytes, SOON } from "../../support/util.ts";
import { STATES } from "./states.ts";
import type { Subject } from "./subject.ts";

const ALL_BITS = [
  EVENT_READ,
  EVENT_WRITE,
  EVENT_PRIORITY,
  EVENT_READ_CLOSED,
  EVENT_HANGUP,
  EVENT_ERROR,
  MODE_EDGE,
  MODE_ONCE,
];
const MORE = EVENT_PRIORITY | EVENT_READ_CLOSED | EVENT_HANGUP | EVENT_ERROR;
const UNASKED = EVENT_HANGUP | EVENT_ERROR;

/** Declares the tests of the events beyond reading and writing. */
export function eventsContract({ name, test, make, select, readyFds }: Subject): void {
  describe(`${name}: events`, () => {
    test("supports() is true for exactly the masks that register() accepts", (cleanup) => {
      const selector = make(cleanup);
      const [here] = cleanup.pair();
      for (let choice = 0; choice < 2 ** ALL_BITS.length; choice++) {
        const mask = ALL_BITS.reduce((mask, bit, place) => (choice >> place & 1) === 0 ? mask : mask | bit, 0);
        if (selector.supports(mask)) {
          const { events } = selector.register(here, mask);
          const unasked = ALL_BITS.filter((bit) => (bit & UNASKED) !== 0 && selector.supports(bit));
          const more = (mask & MORE) === 0 ? 0 : unasked.reduce((one, other) => one | other, 0);
          assertEquals(events, mask | more);
          selector.unregister(here);
        } else {
          const isMask = (mask & (BOTH | MORE)) !== 0;
          const error = isMask ? Deno.errors.NotSupported : RangeError;
          assertThrows(() => selector.register(here, mask), error);
          assertEquals(selector.getMap()!.size, 0);
        }
      }
      assert(selector.supports(EVENT_READ) && selector.supports(EVENT_WRITE) && selector.supports(BOTH | MODE_ONCE));
    });

    test("supports() is false for a mask that is never valid", (cleanup) => {
      const selector = make(cleanup);
      // Includes constants of poll(2) and epoll(7).
      for (
        const mask of [0, -0, -1, 1.5, NaN, Infinity, 4, 8, 16, 0x2000, 0x8_0000, 0x8000_0000, 2 ** 32 + 1, MODE_ONCE]
      ) {
        assertEquals(selector.supports(mask), false, String(mask));
      }
      for (const mask of ["1", null, undefined, 1n, {}]) assertEquals(selector.supports(mask as number), false);
      selector.close();
      assertThrows(() => selector.supports(EVENT_READ), Deno.errors.BadResource);
    });

    test("register() and modify() name unsupported bits, and change nothing", async (cleanup) => {
      const selector = make(cleanup);
      const [here, there] = cleanup.pair();
      const key = selector.register(here, EVENT_READ, "data");
      there.send(bytes("x"));
      for (
        const [bit, bitName] of Object.entries({ [MODE_EDGE]: "MODE_EDGE", [EVENT_READ_CLOSED]: "EVENT_READ_CLOSED" })
      ) {
        if (selector.supports(EVENT_READ | Number(bit))) continue;
        for (const act of ["register", "modify"] as const) {
          const object = act === "register" ? there : here;
          const error = assertThrows(() => selector[act](object, EVENT_READ | Number(bit)), Deno.errors.NotSupported);
          assertStringIncludes(error.message, `Cannot ${act} [object Socket] for ${bitName}: `);
        }
      }
      assertEquals(await select(selector, 0), [[key, EVENT_READ]]);
      assertEquals(selector.getMap()!.size, 1);
    });

    for (const [title, { make: makeState, events, isLinux = false }] of Object.entries(STATES)) {
      test(
        `select() reports the events of ${title}`,
        { needs: isLinux ? ["states", "linuxStates"] : ["states"] },
        async (cleanup) => {
          const selector = make(cleanup);
          const object = makeState(cleanup);
          const asked = ALL_BITS.filter((bit) => (bit & MORE) !== 0 && selector.supports(bit))
            .reduce((one, other) => one | other, 0);
          if (asked === 0) return;
          const key = selector.register(object, asked);
          const expected = events & asked;
          const ready = await select(selector, expected === 0 ? 0 : SOON);
          assertEquals(ready, expected === 0 ? [] : [[key, expected]]);
          // These states add no events to reading and writing.
          selector.modify(object, BOTH);
          const [[, basic] = [null, 0]] = await select(selector, 0);
          const both = selector.modify(object, BOTH | asked);
          const reported = await select(selector, 0);
          assertEquals(reported, (basic | expected) === 0 ? [] : [[both, basic | expected]]);
        },
      );
    }

    test("select() reports urgent data until it is read", async (cleanup) => {
      const selector = make(cleanup);
      if (!selector.supports(EVENT_PRIORITY)) return;
      const [here, there] = cleanup.pair(AF_INET);
      selector.register(here, EVENT_PRIORITY);
      there.send(bytes("some data"));
      assertEquals(await readyFds(selector, 0), []);
      there.send(bytes("!"), MSG_OOB);
      assertEquals(await readyFds(selector, SOON), [[here.fileno(), EVENT_PRIORITY]]);
      assertEquals(await readyFds(selector, 0), [[here.fileno(), EVENT_PRIORITY]]);
      assertEquals(here.recv(1, MSG_OOB), bytes("!"));
      assertEquals(await readyFds(selector, 0), []);
    });

    test("select() reports a closed peer in every wait while data is left to read", {
      needs: ["closedWithData"],
    }, async (cleanup) => {
      const selector = make(cleanup);
      if (!selector.supports(EVENT_READ_CLOSED)) return;
      const [here, there] = cleanup.pair(AF_INET);
      selector.register(here, EVENT_READ_CLOSED);
      there.send(bytes("data"));
      assertEquals(await readyFds(selector, 0), []);
      there.close();
      for (let round = 0; round < 3; round++) {
        assertEquals(await readyFds(selector, SOON), [[here.fileno(), EVENT_READ_CLOSED]]);
      }
      assertEquals(here.recv(10), bytes("data"));
      assertEquals(await readyFds(selector, SOON), [[here.fileno(), EVENT_READ_CLOSED]]);
    });

    test("select() reports an error when the reader of an idle pipe closes", { needs: ["states"] }, async (cleanup) => {
      const selector = make(cleanup);
      if (!selector.supports(EVENT_ERROR)) return;
      const [reader, writer] = cleanup.pipe();
      selector.register(writer, EVENT_ERROR);
      assertEquals(await readyFds(selector, 0), []);
      cleanup.close(reader);
      assertEquals(await readyFds(selector, SOON), [[writer, EVENT_ERROR]]);
    });
  });
}
