/**
 * The selector class that the asynchronous contract tests, as the parts of the contract use it.
 *
 * @module
 */

import type { BaseSelector } from "../../../mod.ts";
import { Cleanup, test as testDescriptors } from "../../support/util.ts";

/** A selector class under test. */
export interface AsyncContract {
  /** Name of the class. */
  name: string;
  /** Makes a selector. */
  create<D = unknown>(): BaseSelector<D>;
}

/** The class under test, as the parts of the contract use it. */
export interface AsyncSubject {
  /** Name of the class. */
  name: string;
  /** Declares a test with a selector and a `Cleanup`, which are disposed of at its end. */
  test(title: string, body: (selector: BaseSelector, cleanup: Cleanup) => Promise<void>): void;
  /** Makes another selector. */
  create<D = unknown>(): BaseSelector<D>;
}

/** Returns the subject for a contract. */
export function subjectOf({ name, create }: AsyncContract): AsyncSubject {
  return {
    name,
    create,
    test(title, body) {
      testDescriptors(title, async () => {
        using cleanup = new Cleanup();
        await body(cleanup.add(create()), cleanup);
      });
    },
  };
}
