/**
 * The behavior that all selectors share: the table "Meaning" in the documentation, CPython's `test_selectors`, and
 * further cases from the tests of other libraries (polling, mio, libuv, trio).
 *
 * Three tests of CPython have no counterpart. A signal handler cannot raise out of `select()`, because Deno runs its
 * listeners after the wait. A Map view has no `del`; the contract tests that it has no `set` and no `delete`. Threads
 * cannot share a selector, because a Worker cannot receive an object.
 *
 * @module
 */

import { closeContract } from "./selector/close.ts";
import { closedContract } from "./selector/closed_descriptors.ts";
import { eventsContract } from "./selector/events.ts";
import { manyContract } from "./selector/many.ts";
import { mapContract } from "./selector/map.ts";
import { modelContract } from "./selector/model.ts";
import { modesContract } from "./selector/modes.ts";
import { modifyContract } from "./selector/modify.ts";
import { readinessContract } from "./selector/readiness.ts";
import { registerContract } from "./selector/register.ts";
import { type Contract, subjectOf } from "./selector/subject.ts";
import { timeoutsContract } from "./selector/timeouts.ts";
import { unregisterContract } from "./selector/unregister.ts";

export { asynchronously, type Contract, type Lacks } from "./selector/subject.ts";

/** Declares the tests of the contract for one selector class. */
export function selectorContract(contract: Contract): void {
  const subject = subjectOf(contract);
  registerContract(subject);
  unregisterContract(subject);
  modifyContract(subject);
  eventsContract(subject);
  modesContract(subject);
  closeContract(subject);
  mapContract(subject);
  readinessContract(subject);
  manyContract(subject);
  timeoutsContract(subject);
  closedContract(subject);
  modelContract(subject);
}
