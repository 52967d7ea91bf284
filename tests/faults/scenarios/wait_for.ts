/**
 * Scenarios for `waitFor()`: readiness, a timeout, an abort, a closed descriptor, and waits together with a selector.
 *
 * @module
 */

import { EVENT_READ, EVENT_WRITE, PollSelector, waitFor } from "../../../mod.ts";
import type { Lab } from "../lab.ts";
import { clock } from "../shim.ts";
import type { Thing } from "../things.ts";
import { selectAsync, Wait } from "../waits.ts";
import { OF_WAKERS, type Scenario } from "./scenario.ts";

const BOTH = EVENT_READ | EVENT_WRITE;

/** Timeout in seconds of a wait that nothing ends. */
const BRIEF = 0.02;

/** A descriptor number that is not reused after it is closed, although Deno may open descriptors at any time. */
const UNUSED = 300;

/** Waits for a descriptor, calls `act` once the wait is pending, and compares the result. */
async function expect(
  lab: Lab,
  thing: Thing,
  events: number,
  timeout: number | null,
  wanted: number,
  act?: () => void,
): Promise<void> {
  const start = clock.now();
  const wait = new Wait(lab, waitFor(thing.fileobj, events, timeout));
  await wait.underWay();
  act?.();
  const given = await wait.end();
  if (given === undefined) return;
  const elapsed = clock.now() - start;
  lab.assert(given === wanted, `waitFor() resolves to ${given} instead of ${wanted}`);
  lab.assert(given !== 0 || elapsed >= timeout! * 1000, `waitFor() ends after ${elapsed.toFixed(2)} ms`);
}

/** Watches a wait that must reject; resolves to the value that `show` returns for the error. */
function rejection(lab: Lab, promise: Promise<number>, show: (error: unknown) => string | undefined): Wait<string> {
  return new Wait(
    lab,
    promise.then((events) => `resolves to ${events}`, (error) => show(error) ?? Promise.reject(error)),
  );
}

/** The scenarios for `waitFor()`. */
export const waitingFor: Scenario[] = [
  {
    name: "waitFor(): readiness and a timeout",
    async run(lab) {
      const [one, pipe] = [lab.pair(), lab.pipe()];
      await expect(lab, one, BOTH, null, EVENT_WRITE);
      await expect(lab, one, EVENT_READ, BRIEF, 0);
      await expect(lab, one, EVENT_READ, null, EVENT_READ, () => one.fill());
      await expect(lab, one, BOTH, 1, BOTH);
      await expect(lab, pipe, EVENT_READ, null, EVENT_READ, () => pipe.fill());
      pipe.drain();
      await expect(lab, pipe, EVENT_READ, null, EVENT_READ, () => pipe.closePeer());
    },
    excluded: OF_WAKERS,
  },
  {
    name: "waitFor(): an abort, and another wait for the same descriptor",
    async run(lab) {
      const thing = lab.pair();
      const [controller, reason] = [new AbortController(), new Error("aborted")];
      const other = new Wait(lab, waitFor(thing.fileobj, EVENT_READ));
      await other.underWay();
      const aborted = rejection(
        lab,
        waitFor(thing.fileobj, EVENT_READ, null, { signal: controller.signal }),
        (error) => error === reason ? "aborted" : undefined,
      );
      await aborted.underWay();
      controller.abort(reason);
      const end = await aborted.end();
      lab.assert(end === undefined || end === "aborted", `an aborted wait ${end}`);
      thing.fill();
      const events = await other.end();
      lab.assert(events === undefined || events === EVENT_READ, `a wait beside an aborted one resolves to ${events}`);
    },
    excluded: OF_WAKERS,
  },
  {
    name: "waitFor(): a descriptor that is closed during the wait",
    async run(lab) {
      const [dead, live] = [lab.pair(UNUSED), lab.pair()];
      const closed = rejection(
        lab,
        waitFor(dead.fileobj, EVENT_READ),
        (error) => (error as { code?: string }).code === "EBADF" ? "EBADF" : undefined,
      );
      const wait = new Wait(lab, waitFor(live.fileobj, EVENT_READ));
      await closed.underWay();
      dead.close();
      await expect(lab, live, EVENT_READ, BRIEF, 0); // interrupts the blocked call, which would last for two seconds
      const end = await closed.end();
      lab.assert(end === undefined || end === "EBADF", `a wait for a closed descriptor ${end}`);
      live.fill();
      const events = await wait.end();
      lab.assert(events === undefined || events === EVENT_READ, `a wait beside a closed one resolves to ${events}`);
    },
    excluded: OF_WAKERS,
  },
  {
    name: "waitFor(): together with a PollSelector",
    async run(lab) {
      const selector = lab.selector(PollSelector);
      const [one, other] = [lab.pair(), lab.pair()];
      lab.register(selector, one, EVENT_READ);
      const wait = new Wait(lab, waitFor(other.fileobj, EVENT_READ));
      await wait.underWay();
      await selectAsync(lab, selector, null, () => one.fill());
      one.drain();
      await selectAsync(lab, selector, BRIEF);
      other.fill();
      const events = await wait.end();
      lab.assert(events === undefined || events === EVENT_READ, `a wait beside a selector resolves to ${events}`);
    },
    excluded: OF_WAKERS,
  },
];
