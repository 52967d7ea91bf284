/**
 * The type of a scenario, and a function that creates a scenario for each selector.
 *
 * @module
 */

import { EpollSelector, PollSelector, type SelectorConstructor, SelectSelector } from "../../../mod.ts";
import type { Lab } from "../lab.ts";

/** A program of about a dozen steps. The harness runs it many times with different faults. */
export interface Scenario {
  /** The unique name. */
  name: string;
  /** Runs the steps. The harness then examines the selectors of `lab` and closes everything. */
  run(lab: Lab): void | Promise<void>;
  /** Faults that are meaningless for this scenario, as `function CODE` or `function lasting`. */
  excluded?: readonly string[];
  /** True if the scenario damages its process: it runs once, without a fault, in its own process. */
  isAlone?: boolean;
}

/** The steps of a scenario that works with any selector class. */
type Body = (lab: Lab, Selector: SelectorConstructor) => void | Promise<void>;

/** Faults of recv() that a waker's socket never has, because its recv() fails at most once. */
export const OF_WAKERS = ["recv EAGAIN", "recv ECONNRESET", "recv lasting"];

/** Creates a scenario for each selector of this system. */
export function ofEach(
  name: string,
  run: Body,
  { excluded = [], isAlone = false }: Partial<Scenario> = {},
): Scenario[] {
  return [EpollSelector, PollSelector, SelectSelector].map((Selector) => ({
    name: `${Selector.name}: ${name}`,
    run: (lab) => run(lab, Selector),
    excluded: [...OF_WAKERS, ...excluded],
    isAlone,
  }));
}
