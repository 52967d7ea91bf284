/**
 * The waits of a scenario. Each wait must end, must not spin, and must report exactly the readiness that poll()
 * reports.
 *
 * @module
 */

import { PollSelector } from "../../mod.ts";
import { Broken, type Lab, type Selector } from "./lab.ts";
import { Meter } from "./meter.ts";
import { clock, collect, shim } from "./shim.ts";
import { Thing } from "./things.ts";

/** Milliseconds after which a wait that should have ended counts as hanging. */
export const PATIENCE = 3000;

/** Milliseconds for a wait to end when every call that could wake it fails. */
const GRACE = 100;

/** Milliseconds to watch a wait. A wait that seems to spin is watched a second time. */
const GLANCE = 15;
const LOOK = 200;

/** Maximum number of entries to take from an iteration over a few things. */
const MOST_STEPS = 100;

/** The cause that ends a wait: the helper writes to a peer or wakes a handle, or an earlier step did. */
type By = { write: Thing } | { wake: number } | "what came before";

/** An entry of the result of a wait. */
type Entry = [key: { readonly fd: number }, events: number];

/** Calls select() and checks its result. The helper may act during the wait. */
export async function select(lab: Lab, selector: Selector, timeout: number | null, by?: By): Promise<void> {
  const hasHelped = typeof by === "object"
    ? lab.help("write" in by ? { write: by.write.peer } : by)
    : () => by !== undefined;
  const overdue = shim.overdue();
  const meter = new Meter();
  const ready = lab.try(() => selector.select(timeout));
  const { elapsed } = meter;
  lab.assert(shim.overdue() === overdue, "select() hangs");
  if (timeout !== null && timeout > 0 && meter.isSpinning()) {
    const again = new Meter();
    lab.try(() => selector.select(LOOK / 1000));
    lab.assert(again.elapsed < LOOK || !again.isSpinning(), `select() spins: ${again}`);
  }
  const isHelped = await hasHelped();
  if (ready !== undefined) check(lab, selector, ready, isHelped ? 0 : timeout, elapsed);
}

/** Calls selectAsync() and checks its result. Calls `act` once the wait is pending. */
export async function selectAsync(
  lab: Lab,
  selector: Selector,
  timeout: number | null,
  act?: () => void,
): Promise<void> {
  const start = clock.now();
  const wait = new Wait(lab, selector.selectAsync(timeout));
  await wait.underWay();
  act?.();
  const ready = await wait.end();
  if (ready !== undefined && !selector.closed) check(lab, selector, ready, act ? 0 : timeout, clock.now() - start);
}

/** An asynchronous wait that the harness watches. */
export class Wait<T> {
  readonly #lab: Lab;
  readonly #settled: Promise<void>;
  readonly #overdue = shim.overdue();
  #outcome: { value: T } | { error: unknown } | null = null;

  constructor(lab: Lab, promise: Promise<T>) {
    this.#lab = lab;
    lab.waits.add(this);
    this.#settled = promise.then(
      (value) => void (this.#outcome = { value }),
      (error) => void (this.#outcome = { error }),
    );
  }

  /** Waits until the asynchronous wait blocks in a system call or ends. Fails the run if the wait spins. */
  async underWay(): Promise<void> {
    const deadline = clock.now() + PATIENCE;
    while (this.#outcome === null && shim.waiting() === 0) {
      this.#lab.assert(clock.now() < deadline, "an asynchronous wait does not begin");
      await clock.sleep(0);
    }
    await this.#glance();
  }

  /** Returns the value of the wait, or undefined if the wait fails with the injected error. */
  async end(): Promise<T | undefined> {
    const { fault } = this.#lab;
    const isUnwakeable = fault !== null && fault.isLasting && fault.name === "send";
    if (!await this.#isOverIn(isUnwakeable ? GRACE : 50) && isUnwakeable) {
      // Only a send() can wake the wait, and every send() fails. The next use of the package must end the wait.
      shim.clear();
      using other = new PollSelector();
      await other.selectAsync(0.001);
    }
    if (!await this.#isOverIn(50)) await this.#glance();
    // A wait that ends only because it reached the limit of the shim was never woken.
    if (!await this.#isOverIn(PATIENCE) || shim.overdue() > this.#overdue) {
      throw new Broken("an asynchronous wait hangs");
    }
    this.#lab.waits.delete(this);
    const outcome = this.#outcome!;
    if ("value" in outcome) return outcome.value;
    this.#lab.accept(outcome.error);
    return undefined;
  }

  async #isOverIn(ms: number): Promise<boolean> {
    const { promise, resolve } = Promise.withResolvers<void>();
    const timer = clock.setTimeout(resolve, ms);
    await Promise.race([this.#settled, promise]);
    clock.clearTimeout(timer);
    return this.#outcome !== null;
  }

  async #glance(): Promise<void> {
    for (const ms of [GLANCE, LOOK]) {
      const meter = new Meter();
      collect();
      if (await this.#isOverIn(ms) || !meter.isSpinning()) return;
      this.#lab.assert(ms !== LOOK, `an asynchronous wait spins: ${meter}`);
    }
  }
}

/** Compares the result of a wait with poll(). An empty result must not come before the timeout. */
export function check(lab: Lab, selector: Selector, given: Entry[], timeout: number | null, elapsed: number): void {
  const wanted = show(lab, truth(lab, selector));
  const shown = show(lab, given.map(([key, events]) => [key.fd, events]));
  lab.assert(shown === wanted, `reports ${shown || "nothing"} where ${wanted || "nothing"} is ready`);
  const isEarly = given.length === 0 && (timeout === null || elapsed < timeout * 1000);
  lab.assert(!isEarly, `ends after ${elapsed.toFixed(2)} ms; timeout: ${timeout === null ? "none" : `${timeout} s`}`);
}

/** Returns the registered descriptors that are ready according to poll(). */
function truth(lab: Lab, selector: Selector): [fd: number, events: number][] {
  const isOpen = (fd: number) => lab.things.some((thing) => thing.fd === fd && thing.isOpen);
  const keys = [...selector.getMap()!.values()].filter(({ fd }) => isOpen(fd));
  return keys.map(({ fd, events }): [number, number] => [fd, Thing.ready(fd, events)]).filter(([, ready]) =>
    ready !== 0
  );
}

function show(lab: Lab, entries: [fd: number, events: number][]): string {
  const isUncertain = (fd: number) => lab.things.some((thing) => thing.fd === fd && thing.isUncertain);
  const certain = entries.filter(([fd]) => !isUncertain(fd));
  return certain.sort(([one], [other]) => one - other).map(([fd, events]) => `fd ${fd} for ${events}`).join(", ");
}

/** Iterates until every ready thing has been reported, or until the iteration ends. Checks the entries. */
export async function iterate(lab: Lab, selector: Selector, timeout: number): Promise<void> {
  const start = clock.now();
  const given = new Map<number, number>();
  const iteration = lab.try(() => selector.events({ timeout }));
  if (iteration === undefined) return;
  for (let steps = 0; steps < MOST_STEPS; steps++) {
    const step = await new Wait(lab, iteration.next()).end();
    if (step === undefined) return;
    if (step.done) break;
    given.set(step.value[0].fd, step.value[1]);
    if (truth(lab, selector).every(([fd]) => given.has(fd))) break;
  }
  await iteration.return!();
  check(lab, selector, [...given].map(([fd, events]) => [{ fd }, events]), timeout, clock.now() - start);
}

/** Asserts that a selector reports exactly its ready registrations in every kind of wait. */
export async function examine(lab: Lab, selector: Selector): Promise<void> {
  for (const isNoisy of [false, true, false]) {
    for (const thing of lab.things) isNoisy ? thing.fill() : thing.drain();
    await select(lab, selector, 0);
    await selectAsync(lab, selector, 0);
    await iterate(lab, selector, 0);
  }
  const isAwaited = ({ fd, isOpen }: Thing) => isOpen && (selector.getMap()!.get(fd)?.events ?? 0) & 1;
  if (truth(lab, selector).length > 0 || !lab.things.some(isAwaited)) return;
  await selectAsync(lab, selector, null, () => lab.things.forEach((thing) => thing.fill()));
  await select(lab, selector, null);
}
