/**
 * What a scenario is.
 *
 * @module
 */

import { EpollSelector, PollSelector, type SelectorConstructor, SelectSelector } from "../../../mod.ts";
import type { Lab } from "../lab.ts";

/** A program of some dozen steps, which is run again and again, with another fault each time. */
export interface Scenario {
  /** Its name, unique. */
  name: string;
  /** The steps; what it makes is examined and closed after them. */
  run(lab: Lab): void | Promise<void>;
  /** Faults that say nothing here, as `function CODE` or `function lasting`. */
  excluded?: readonly string[];
  /** Whether it spoils its process, so that it is run once, without a fault, and has a process of its own. */
  isAlone?: boolean;
}

/** A scenario that is given the class of a selector. */
type Body = (lab: Lab, Selector: SelectorConstructor) => void | Promise<void>;

/** What recv() never says of the sockets of a waker: it fails, if ever, once. */
const OF_WAKERS = ["recv EAGAIN", "recv ECONNRESET", "recv lasting"];

/** Makes a scenario for every selector of this system. */
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
