import { assertEquals } from "@std/assert";
import { describe } from "@std/testing/bdd";
import * as fc from "fast-check";
import { SHUT_WR, socketpair } from "../../../ffi/socket/mod.ts";
import { EVENT_PRIORITY, EVENT_READ, EVENT_READ_CLOSED, EVENT_WRITE, MODE_EDGE, MODE_ONCE } from "../../../mod.ts";
import type { Subject } from "./subject.ts";
import { bytes, Cleanup } from "../../support/util.ts";

const MASKS = [1, 2, 3].flatMap((basic) => [basic, basic | MODE_ONCE, basic | EVENT_READ_CLOSED | EVENT_PRIORITY])
  .concat(EVENT_READ_CLOSED, EVENT_READ_CLOSED | MODE_ONCE, EVENT_READ | MODE_EDGE, EVENT_READ | MODE_EDGE | MODE_ONCE);

/** The state of a socket in the model. */
interface Model {
  /** The mask of its registration, or 0. */
  mask: number;
  hasData: boolean;
  isShut: boolean;
  /** False while a mode keeps the socket silent. */
  isArmed: boolean;
}

/** Returns the events that a wait reports for a socket, and disarms the socket according to its mode. */
function wait(model: Model): number {
  const state = EVENT_WRITE | (model.hasData || model.isShut ? EVENT_READ : 0) | (model.isShut ? EVENT_READ_CLOSED : 0);
  const events = model.isArmed ? model.mask & state : 0;
  if (events !== 0 && (model.mask & (MODE_ONCE | MODE_EDGE)) !== 0) model.isArmed = false;
  return events;
}

/** Arms a socket again, at an edge. */
function edge(model: Model): void {
  if ((model.mask & MODE_EDGE) !== 0 && (model.mask & MODE_ONCE) === 0) model.isArmed = true;
}

/** Declares a property test that compares a selector with a model. */
export function modelContract({ name, test, create, make, select, has }: Subject): void {
  describe(`${name}: against a model`, () => {
    test("select() agrees with a model after any sequence of calls", async () => {
      using probe = create();
      const missing = has("closedWithData") ? 0 : EVENT_READ_CLOSED;
      const mask = fc.constantFrom(...MASKS.filter((mask) => probe.supports(mask) && (mask & missing) === 0));
      const steps = fc.array(
        fc.oneof(
          { weight: 3, arbitrary: fc.record({ act: fc.constant("register" as const), at: fc.nat(5), mask }) },
          { weight: 2, arbitrary: fc.record({ act: fc.constant("modify" as const), at: fc.nat(5), mask }) },
          {
            weight: 4,
            arbitrary: fc.record({
              act: fc.constantFrom("unregister", "send", "send", "drain", "drain", "shut", "reopen"),
              at: fc.nat(5),
            }),
          },
        ),
        { maxLength: 40 },
      );
      await fc.assert(
        fc.asyncProperty(steps, async (sequence) => {
          using cleanup = new Cleanup();
          const selector = make<number>(cleanup);
          const pairs = Array.from({ length: 6 }, () => socketpair());
          cleanup.defer(() => pairs.flat().forEach((socket) => socket.close()));
          const models = pairs.map((): Model => ({ mask: 0, hasData: false, isShut: false, isArmed: false }));
          for (const step of sequence) {
            const [here, there] = pairs[step.at]!;
            const model = models[step.at]!;
            if (step.act === "register" && model.mask === 0) {
              selector.register(here, step.mask, step.at);
              Object.assign(model, { mask: step.mask, isArmed: true });
            } else if (step.act === "modify" && model.mask !== 0) {
              selector.modify(here, step.mask, step.at);
              Object.assign(model, { mask: step.mask, isArmed: true });
            } else if (step.act === "unregister" && model.mask !== 0) {
              selector.unregister(here);
              model.mask = 0;
            } else if (step.act === "send" && !model.isShut) {
              there.send(bytes("x"));
              model.hasData = true;
              edge(model);
            } else if (step.act === "drain" && model.hasData) {
              here.recv(1_000);
              model.hasData = false;
            } else if (step.act === "shut" && !model.isShut) {
              there.shutdown(SHUT_WR);
              model.isShut = true;
              edge(model);
            } else if (step.act === "reopen") {
              // Closes a descriptor before it is unregistered; the next descriptor reuses its number.
              here.close();
              there.close();
              if (model.mask !== 0) selector.unregister(here);
              models[step.at] = { mask: 0, hasData: false, isShut: false, isArmed: false };
              pairs[step.at] = socketpair();
            }
            const expected = models.map((model, at) => [at, wait(model)] as const).filter(([, events]) => events !== 0);
            const ready = await select(selector, 0);
            const actual = ready.map(([key, events]) => [key.data, events] as const).sort(([a], [b]) => a - b);
            assertEquals(actual, expected);
            assertEquals(selector.getMap()!.size, models.filter(({ mask }) => mask !== 0).length);
          }
        }),
        { numRuns: 60 },
      );
    });
  });
}
