/**
 * The asynchronous behavior that all selectors share: what ends a wait, which changes it sees, and what an iteration
 * yields.
 *
 * `selector_contract.ts` tests that an asynchronous wait reports the same as a synchronous one.
 *
 * @module
 */

import { eventLoopContract } from "./async/event_loop.ts";
import { fileObjectsContract } from "./async/file_objects.ts";
import { iterationContract } from "./async/iteration.ts";
import { asyncModesContract } from "./async/modes.ts";
import { type AsyncContract, subjectOf } from "./async/subject.ts";
import { waitsContract } from "./async/waits.ts";
import { wakeupContract } from "./async/wakeup.ts";

export type { AsyncContract } from "./async/subject.ts";

/** Declares the tests of the contract for one selector class. */
export function asyncContract(contract: AsyncContract): void {
  const subject = subjectOf(contract);
  waitsContract(subject);
  wakeupContract(subject);
  fileObjectsContract(subject);
  iterationContract(subject);
  asyncModesContract(subject);
  eventLoopContract(subject);
}
