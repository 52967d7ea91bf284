/**
 * Scenarios for the modes: an entry that the kernel reports only once must reach the caller, or be reported again.
 *
 * @module
 */

import { EVENT_READ, MODE_EDGE, MODE_ONCE } from "../../../mod.ts";
import type { Lab, Selector } from "../lab.ts";
import { selectAsync, Wait } from "../waits.ts";
import { ofEach, type Scenario } from "./scenario.ts";

/** Timeout in seconds of a wait that nothing ends. */
const BRIEF = 0.02;

/** The scenarios for each mode. */
export const modes: Scenario[] = [
  ...ofEachMode("iterations that are left after one entry", async (lab, selector, mode) => {
    const things = [lab.pair(), lab.pair(), lab.pair()];
    for (const thing of things) lab.register(selector, thing, EVENT_READ | mode);
    for (const thing of things) thing.fill();
    const seen = new Set<number>();
    let hasFailed = false;
    for (let round = 0; round < things.length; round++) {
      const iteration = lab.need(() => selector.events({ timeout: BRIEF }));
      const entry = await new Wait(lab, iteration.next()).end();
      hasFailed ||= entry === undefined;
      if (entry?.value !== undefined) seen.add(entry.value[0].fd);
      const left = await new Wait(lab, iteration.return!()).end();
      hasFailed ||= left === undefined;
    }
    const isLasting = lab.fault?.isLasting === true;
    lab.repair();
    for (const [key] of selector.select(0)) seen.add(key.fd);
    for (const { fd } of things) {
      lab.assert(hasFailed || seen.has(fd), `fd ${fd} was found and never returned`);
      lab.assert(isLasting || selector.getMap()!.has(fd), `fd ${fd} is no longer registered`);
    }
  }),

  ...ofEachMode("a parked wait, and modify()", async (lab, selector, mode) => {
    const [one, other] = [lab.pair(), lab.pair()];
    lab.register(selector, one, EVENT_READ | mode);
    lab.register(selector, other, EVENT_READ | mode);
    await selectAsync(lab, selector, null, () => one.fill());
    one.drain();
    lab.modify(selector, one, EVENT_READ);
    lab.modify(selector, other, EVENT_READ | mode);
    await selectAsync(lab, selector, null, () => other.fill());
  }),
];

/** Creates a scenario for each mode and each selector that supports it. */
function ofEachMode(name: string, run: (lab: Lab, selector: Selector, mode: number) => Promise<void>): Scenario[] {
  return Object.entries({ MODE_ONCE, MODE_EDGE }).flatMap(([modeName, mode]) =>
    ofEach(`${modeName}: ${name}`, async (lab, Selector) => {
      const selector = lab.selector(Selector);
      if (!selector.supports(EVENT_READ | mode)) return;
      try {
        await run(lab, selector, mode);
      } finally {
        lab.repair();
        // The examination that follows waits for the same descriptors several times.
        for (const { fd } of [...selector.getMap()!.values()]) selector.modify(fd, EVENT_READ);
      }
    }, { excluded: ["fcntl EBADF", "epoll_ctl EBADF", "epoll_ctl ENOENT", "epoll_ctl EPERM"] })
  );
}
