/**
 * The selector class that the asynchronous contract tests, and how the parts of the contract use it.
 *
 * @module
 */

import type { BaseSelector } from "../../../mod.ts";
import { os } from "../../../ffi/os/systems.ts";
import { Cleanup, skip, test as testDescriptors } from "../../support/util.ts";

/** A selector class under test. */
export interface AsyncContract {
  /** Name of the class. */
  name: string;
  /** Makes a selector. */
  create<D = unknown>(): BaseSelector<D>;
  /** Tests that do not apply, by their names, with the reason. */
  skips?: Readonly<Record<string, string>>;
}

/** The class under test as the parts of the contract see it. */
export interface AsyncSubject {
  /** Name of the class. */
  name: string;
  /** Declares a test, with a selector and a `Cleanup` that are disposed of at its end. */
  test(title: string, body: (selector: BaseSelector, cleanup: Cleanup) => Promise<void>): void;
  /** Makes another selector. */
  create<D = unknown>(): BaseSelector<D>;
}

/** Tests that cannot hold on every system, with the reason. */
const UNKNOWN_SYSTEMS: Readonly<Record<string, string>> = ["linux", "android", "windows"].includes(os) ? {} : {
  "a handle that outlives its selector harms nobody":
    "wake() sends a byte here, which a late call may write into another socket",
};

/** Returns the subject of a contract. */
export function subjectOf({ name, create, skips = {} }: AsyncContract): AsyncSubject {
  return {
    name,
    create,
    test(title, body) {
      const reason = skips[title] ?? UNKNOWN_SYSTEMS[title];
      if (reason !== undefined) return skip(title, reason);
      testDescriptors(title, async () => {
        using cleanup = new Cleanup();
        await body(cleanup.add(create()), cleanup);
      });
    },
  };
}
