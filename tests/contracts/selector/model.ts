import { assertEquals } from "@std/assert";
import { describe } from "@std/testing/bdd";
import * as fc from "fast-check";
import { socketpair } from "../../../ffi/socket/mod.ts";
import type { Subject } from "./subject.ts";
import { bytes, Cleanup } from "../../support/util.ts";

/** Declares the property test that compares a selector with a model. */
export function modelContract({ name, test, make, select }: Subject): void {
  describe(`${name}: against a model`, () => {
    test("select() agrees with a model after any sequence of calls", async () => {
      const steps = fc.array(
        fc.oneof(
          fc.record({ act: fc.constant("register" as const), at: fc.nat(5), events: fc.constantFrom(1, 2, 3) }),
          fc.record({ act: fc.constant("modify" as const), at: fc.nat(5), events: fc.constantFrom(1, 2, 3) }),
          fc.record({ act: fc.constantFrom("unregister", "send", "drain", "reopen"), at: fc.nat(5) }),
        ),
        { maxLength: 40 },
      );
      await fc.assert(
        fc.asyncProperty(steps, async (sequence) => {
          using cleanup = new Cleanup();
          const selector = make<number>(cleanup);
          const pairs = Array.from({ length: 6 }, () => socketpair());
          cleanup.defer(() => pairs.flat().forEach((socket) => socket.close()));
          const events = new Map<number, number>();
          const pending = new Set<number>();
          for (const step of sequence) {
            const [here, there] = pairs[step.at]!;
            if (step.act === "register" && !events.has(step.at)) {
              selector.register(here, step.events, step.at);
              events.set(step.at, step.events);
            } else if (step.act === "modify" && events.has(step.at)) {
              selector.modify(here, step.events, step.at);
              events.set(step.at, step.events);
            } else if (step.act === "unregister" && events.delete(step.at)) {
              selector.unregister(here);
            } else if (step.act === "send") {
              there.send(bytes("x"));
              pending.add(step.at);
            } else if (step.act === "drain" && pending.delete(step.at)) {
              here.recv(1_000);
            } else if (step.act === "reopen") {
              // Closes before it unregisters; the next descriptor gets the number.
              here.close();
              there.close();
              if (events.delete(step.at)) selector.unregister(here);
              pending.delete(step.at);
              pairs[step.at] = socketpair();
            }
            const expected = [...events].map(([at, mask]) => [at, mask & (pending.has(at) ? 3 : 2)] as const)
              .filter(([, mask]) => mask !== 0).sort(([a], [b]) => a - b);
            const ready = await select(selector, 0);
            const actual = ready.map(([key, mask]) => [key.data, mask] as const).sort(([a], [b]) => a - b);
            assertEquals(actual, expected);
            assertEquals(selector.getMap()!.size, events.size);
          }
        }),
        { numRuns: 60 },
      );
    });
  });
}
