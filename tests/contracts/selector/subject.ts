/**
 * The selector class that a contract tests, and how the parts of the contract use it.
 *
 * @module
 */

import type { BaseSelector, FileObject, Ready, Timeout } from "../../../mod.ts";
import { Cleanup, isEmulated, skip, sorted, test as testDescriptors } from "../../support/util.ts";

/** A selector class under test. */
export interface Contract {
  /** Name of the class. */
  name: string;
  /** Makes a selector. */
  create<D = unknown>(): BaseSelector<D>;
  /** Waits; by default with `select()`. */
  select?: Wait;
  /** Tests that do not apply, by their names, with the reason. */
  skips?: Readonly<Record<string, string>>;
}

/** Waits with a selector. */
type Wait = <D, F extends FileObject>(selector: BaseSelector<D, F>, timeout?: Timeout) => Promise<Ready<D, F>[]>;

/** The class under test as the parts of the contract see it. */
export interface Subject {
  /** Name of the class, and how it waits. */
  name: string;
  /** Declares a test, with a `Cleanup` that is disposed of at its end. */
  test(title: string, body: (cleanup: Cleanup) => void | Promise<void>): void;
  /** Makes a selector. */
  create<D = unknown>(): BaseSelector<D>;
  /** Makes a selector that is closed at the end of the test. */
  make<D = unknown>(cleanup: Cleanup): BaseSelector<D>;
  /** Waits. */
  select: Wait;
  /** Waits, and returns the ready descriptors in their order, with their events. */
  readyFds(selector: BaseSelector, timeout?: Timeout): Promise<[fd: number, events: number][]>;
}

/** Waits by `select()`. */
// deno-lint-ignore require-await -- so that what select() throws is a rejection, as of selectAsync()
export async function synchronously<D, F extends FileObject>(
  selector: BaseSelector<D, F>,
  timeout?: Timeout,
): Promise<Ready<D, F>[]> {
  return selector.select(timeout);
}

/** Waits by `selectAsync()`. */
export function asynchronously<D, F extends FileObject>(
  selector: BaseSelector<D, F>,
  timeout?: Timeout,
): Promise<Ready<D, F>[]> {
  return selector.selectAsync(timeout);
}

/** What an emulator is too slow for, where another thread has to be woken. */
const SLOW: Readonly<Record<string, string>> = {
  "select() waits for a tenth of a millisecond, and not for a whole one": "the emulator takes longer to wake a thread",
  "select() reports as many as the system lets be open, in one call": "the synchronous one is tested, and slow there",
};

/** Returns the subject of a contract. */
export function subjectOf({ name, create, select = synchronously, skips = {} }: Contract): Subject {
  return {
    name,
    create,
    select,
    test(title, body) {
      const reason = skips[title] ?? (isEmulated && select === asynchronously ? SLOW[title] : undefined);
      if (reason !== undefined) return skip(title, reason);
      testDescriptors(title, async () => {
        using cleanup = new Cleanup();
        await body(cleanup);
      });
    },
    make: (cleanup) => cleanup.add(create()),
    async readyFds(selector, timeout) {
      return sorted((await select(selector, timeout)).map(([key, events]) => [key.fd, events]));
    },
  };
}

/** Returns the milliseconds that an asynchronous function takes. */
export async function elapsedMs(body: () => Promise<unknown>): Promise<number> {
  const start = performance.now();
  await body();
  return performance.now() - start;
}
