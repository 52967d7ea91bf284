/**
 * Scenarios for the normal use of a selector: registrations, every kind of wait, timeouts, and changes during a wait.
 *
 * @module
 */

import { EVENT_READ, EVENT_WRITE } from "../../../mod.ts";
import { clock, shim } from "../shim.ts";
import { iterate, PATIENCE, select, selectAsync } from "../waits.ts";
import { ofEach, type Scenario } from "./scenario.ts";

const BOTH = EVENT_READ | EVENT_WRITE;

/** Timeout in seconds of a wait that nothing ends. */
const BRIEF = 0.02;

/** Milliseconds of the shortest timeout to skip, of a day, and of a timeout that overflows an `int`. */
const HOUR = 3_600_000;
const DAY = 24 * HOUR;
const MONTH = 30 * DAY;

/** The scenarios for the normal use of a selector. */
export const waiting: Scenario[] = [
  ...ofEach("registrations and waits with select()", async (lab, Selector) => {
    const selector = lab.selector(Selector);
    const [one, other, pipe] = [lab.pair(), lab.pair(), lab.pipe()];
    lab.register(selector, one, EVENT_READ);
    lab.register(selector, other, BOTH);
    lab.register(selector, pipe, EVENT_READ);
    await select(lab, selector, null);
    lab.modify(selector, other, EVENT_READ);
    await select(lab, selector, BRIEF);
    await select(lab, selector, null, { write: one });
    pipe.fill();
    await select(lab, selector, 1);
    lab.unregister(selector, one);
    await select(lab, selector, 0);
    lab.register(selector, one, BOTH);
    await select(lab, selector, null);
  }),

  ...ofEach("registrations and waits with selectAsync()", async (lab, Selector) => {
    const selector = lab.selector(Selector);
    const [one, other, pipe] = [lab.pair(), lab.pair(), lab.pipe()];
    lab.register(selector, one, EVENT_READ);
    lab.register(selector, other, BOTH);
    lab.register(selector, pipe, EVENT_READ);
    await selectAsync(lab, selector, null);
    lab.modify(selector, other, EVENT_READ);
    await selectAsync(lab, selector, BRIEF);
    await selectAsync(lab, selector, null, () => [one, other, pipe].forEach((thing) => thing.fill()));
    lab.unregister(selector, one);
    await selectAsync(lab, selector, 1);
  }),

  ...ofEach("registrations and waits with events()", async (lab, Selector) => {
    const selector = lab.selector(Selector);
    const [one, other] = [lab.pair(), lab.pair()];
    lab.register(selector, one, EVENT_READ);
    lab.register(selector, other, EVENT_READ);
    await iterate(lab, selector, BRIEF);
    one.fill();
    other.fill();
    await iterate(lab, selector, 1);
    one.drain();
    lab.modify(selector, other, EVENT_WRITE);
    await iterate(lab, selector, 1);
  }),

  ...ofEach("changes during an asynchronous wait", async (lab, Selector) => {
    const selector = lab.selector(Selector);
    const [one, other] = [lab.pair(), lab.pair()];
    lab.register(selector, one, EVENT_READ);
    other.fill();
    await selectAsync(lab, selector, null, () => lab.register(selector, other, EVENT_READ));
    other.drain();
    await selectAsync(lab, selector, null, () => lab.modify(selector, other, BOTH));
    lab.unregister(selector, other);
    await selectAsync(lab, selector, null, () => {
      lab.unregister(selector, one);
      lab.register(selector, other, EVENT_WRITE);
    });
  }),

  ...ofEach("timers run during an iteration that never blocks", async (lab, Selector) => {
    const selector = lab.selector(Selector);
    const thing = lab.pair();
    thing.fill();
    lab.register(selector, thing, EVENT_READ);
    let isOver = false;
    const start = clock.now();
    clock.setTimeout(() => isOver = true, 5);
    const iteration = lab.need(() => selector.events());
    try {
      while (!isOver) {
        shim.relax();
        await iteration.next(); // not a watched wait, which would take longer than the iteration
        lab.assert(clock.now() - start < PATIENCE, "no timer runs during an iteration that never blocks");
      }
    } catch (error) {
      lab.accept(error);
    }
    await iteration.return!();
  }),

  // This scenario covers only select(): asynchronous waits split a long timeout into calls of two seconds.
  ...ofEach("a timeout of 30 days", async (lab, Selector) => {
    const selector = lab.selector(Selector);
    lab.register(selector, lab.pair(), EVENT_READ);
    const start = shim.warped();
    shim.warp(HOUR);
    const ready = lab.try(() => selector.select({ days: 30 }));
    shim.warp(Infinity);
    const passed = shim.warped() - start;
    lab.assert(ready === undefined || passed > MONTH - PATIENCE, `30 days end after ${(passed / DAY).toFixed(1)}`);
    await Promise.resolve();
  }),
];
