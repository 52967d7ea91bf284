/**
 * Scenarios for ending a wait early: wakeup(), wake() in this thread and in a Worker, an abort, close() and return().
 *
 * @module
 */

import { EVENT_READ, PollSelector, wake } from "../../../mod.ts";
import type { Lab } from "../lab.ts";
import { select, selectAsync, Wait } from "../waits.ts";
import { ofEach, type Scenario } from "./scenario.ts";

/** Runs a step, and repeats it without the fault if it fails with the injected error. */
function insist(lab: Lab, step: () => void): void {
  const done = lab.try(() => (step(), true));
  if (done) return;
  lab.repair();
  step();
}

/** Watches a wait that must reject with the reason of an abort. */
function aborted(lab: Lab, promise: Promise<unknown>, reason: Error): Wait<string> {
  return new Wait(
    lab,
    promise.then(() => "no error", (error) => error === reason ? "aborted" : Promise.reject(error)),
  );
}

/** The scenarios for ending a wait early. */
export const wakeups: Scenario[] = [
  ...ofEach("wakeup() before and during a wait", async (lab, Selector) => {
    const selector = lab.selector(Selector);
    lab.register(selector, lab.pair(), EVENT_READ);
    insist(lab, () => selector.wakeup());
    await select(lab, selector, null, "what came before");
    await selectAsync(lab, selector, null, () => insist(lab, () => selector.wakeup()));
    await selectAsync(lab, selector, null, () => insist(lab, () => selector.wakeup()));
  }),

  ...ofEach("wake() before and during a wait", async (lab, Selector) => {
    const selector = lab.selector(Selector);
    lab.register(selector, lab.pair(), EVENT_READ);
    const handle = lab.need(() => selector.wakeHandle);
    insist(lab, () => wake(handle));
    await select(lab, selector, null, "what came before");
    await selectAsync(lab, selector, null, () => insist(lab, () => wake(handle)));
    await selectAsync(lab, selector, null, () => insist(lab, () => wake(handle)));
    selector.close();
    lab.try(() => wake(handle));
  }),

  ...ofEach("wake() in a Worker", async (lab, Selector) => {
    const selector = lab.selector(Selector);
    lab.register(selector, lab.pair(), EVENT_READ);
    const handle = lab.need(() => selector.wakeHandle);
    await select(lab, selector, null, { wake: handle });
    let hasHelped = () => Promise.resolve(false);
    await selectAsync(lab, selector, null, () => hasHelped = lab.help({ wake: handle }));
    await hasHelped();
  }),

  ...ofEach("wake() with the handle of a closed selector", async (lab, Selector) => {
    // A PollSelector has no descriptors except those of its handle, so the next descriptors reuse their numbers.
    const [selector, former] = [lab.selector(Selector), lab.selector(PollSelector)];
    const thing = lab.pair();
    lab.register(selector, thing, EVENT_READ);
    const handle = lab.need(() => former.wakeHandle);
    former.close();
    const wait = new Wait(lab, selector.selectAsync());
    await wait.underWay();
    lab.try(() => wake(handle));
    await wait.underWay();
    thing.fill();
    await wait.end();
  }),

  ...ofEach("an abort during a wait", async (lab, Selector) => {
    const selector = lab.selector(Selector);
    lab.register(selector, lab.pair(), EVENT_READ);
    for (const isIteration of [false, true]) {
      const [controller, reason] = [new AbortController(), new Error("aborted")];
      const { signal } = controller;
      const wait = aborted(
        lab,
        isIteration ? selector.events({ signal }).next() : selector.selectAsync(null, { signal }),
        reason,
      );
      await wait.underWay();
      controller.abort(reason);
      const end = await wait.end();
      lab.assert(end === undefined || end === "aborted", "an aborted wait ends without its reason");
    }
  }),

  ...ofEach("close() during a wait", async (lab, Selector) => {
    const [selector, other] = [lab.selector(Selector), lab.selector(Selector)];
    const [one, two] = [lab.pair(), lab.pair()];
    lab.register(selector, one, EVENT_READ);
    lab.register(other, two, EVENT_READ);
    await selectAsync(lab, selector, null, () => selector.close());
    await selectAsync(lab, other, null, () => two.fill());
    two.drain();
    const wait = new Wait(lab, other.events().next());
    await wait.underWay();
    other.close();
    const end = await wait.end();
    lab.assert(end === undefined || end.done === true, "close() does not end an iteration");
  }),

  ...ofEach("return() during an iteration", async (lab, Selector) => {
    const selector = lab.selector(Selector);
    lab.register(selector, lab.pair(), EVENT_READ);
    const iteration = selector.events();
    const wait = new Wait(lab, iteration.next());
    await wait.underWay();
    await iteration.return!();
    const end = await wait.end();
    lab.assert(end === undefined || end.done === true, "return() does not end an iteration");
  }),
];
