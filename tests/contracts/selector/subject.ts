/**
 * The selector class that a contract tests, as the parts of the contract use it.
 *
 * @module
 */

import type { BaseSelector, FileObject, Ready, Timeout } from "../../../mod.ts";
import { DUP2, lackedBy, LINUX, SIGNALS } from "../../support/needs.ts";
import { Cleanup, type Need, sorted, test as testDescriptors } from "../../support/util.ts";

/** A selector class under test. */
export interface Contract {
  /** Name of the class. */
  name: string;
  /** Makes a selector. */
  create<D = unknown>(): BaseSelector<D>;
  /** Waits; by default with `select()`. */
  select?: Wait;
  /** Abilities that the class lacks. */
  lacks?: Lacks;
}

/** Reasons why a selector class or a system lacks an ability that tests need. */
export interface Lacks {
  /** Descriptors above 1,023. */
  highDescriptors?: Need;
  /** Reporting as many descriptors as may be open, all in one wait. */
  manyDescriptors?: Need;
  /** Timeouts of less than a millisecond. */
  shortTimeouts?: Need;
  /** No reports of a closed descriptor whose open file description is still open through a duplicate. */
  closedDuplicates?: Need;
  /** Changes to a closed descriptor whose number is reused. */
  reusedNumbers?: Need;
  /** `dup()` and `dup2()`. */
  dup2?: Need;
  /** Signals that interrupt a wait. */
  signals?: Need;
  /** The events of `states.ts`, as Linux reports them. */
  states?: Need;
  /** The events of `states.ts` that only Linux reports. */
  linuxStates?: Need;
  /** EVENT_READ_CLOSED while data is left to read. */
  closedWithData?: Need;
}

/** Arguments of a test after its title. */
type Arguments =
  | [body: Body]
  | [
    /** Skips the test if the class or the system lacks any of these abilities. */
    options: { needs: readonly (keyof Lacks)[] },
    body: Body,
  ];

/** Body of a test. */
type Body = (cleanup: Cleanup) => void | Promise<void>;

/** Waits with a selector. */
type Wait = <D, F extends FileObject>(selector: BaseSelector<D, F>, timeout?: Timeout) => Promise<Ready<D, F>[]>;

/** The class under test, as the parts of the contract use it. */
export interface Subject {
  /** Name of the class, and of its kind of wait. */
  name: string;
  /** Returns true if neither the class nor the system lacks an ability. */
  has(ability: keyof Lacks): boolean;
  /** Declares a test with a `Cleanup`, which is disposed of at its end. */
  test(title: string, ...args: Arguments): void;
  /** Makes a selector. */
  create<D = unknown>(): BaseSelector<D>;
  /** Makes a selector, and closes it at the end of the test. */
  make<D = unknown>(cleanup: Cleanup): BaseSelector<D>;
  /** Waits. */
  select: Wait;
  /** Waits, and returns the ready descriptors with their events, in the order of the result. */
  readyFds(selector: BaseSelector, timeout?: Timeout): Promise<[fd: number, events: number][]>;
}

/** Waits with `select()`. */
// deno-lint-ignore require-await -- so that an exception of select() is a rejection, as in selectAsync()
async function synchronously<D, F extends FileObject>(
  selector: BaseSelector<D, F>,
  timeout?: Timeout,
): Promise<Ready<D, F>[]> {
  return selector.select(timeout);
}

/** Waits with `selectAsync()`. */
export function asynchronously<D, F extends FileObject>(
  selector: BaseSelector<D, F>,
  timeout?: Timeout,
): Promise<Ready<D, F>[]> {
  return selector.selectAsync(timeout);
}

/** Abilities that every class lacks on this system. */
const SYSTEM: Lacks = {
  dup2: DUP2,
  signals: SIGNALS,
  states: LINUX,
  shortTimeouts: lackedBy({ windows: "the clocks of Windows are coarser" }),
};

/** Abilities that asynchronous waits, which wake another thread, lack on this system. */
const ASYNCHRONOUS: Lacks = {
  shortTimeouts: lackedBy({ emulated: "the emulator takes longer to wake a thread" }),
  manyDescriptors: lackedBy({ emulated: "the synchronous one is tested, and slow there" }),
};

/** Returns the subject for a contract. */
export function subjectOf({ name, create, select = synchronously, lacks = {} }: Contract): Subject {
  const reasons = [lacks, SYSTEM, select === asynchronously ? ASYNCHRONOUS : {}];
  return {
    name,
    create,
    select,
    has: (ability) => reasons.every((of) => (of[ability] ?? null) === null),
    test(title, ...args) {
      const [{ needs }, body] = args.length === 1 ? [{ needs: [] }, args[0]] : args;
      testDescriptors(title, { needs: needs.flatMap((need) => reasons.map((of) => of[need] ?? null)) }, async () => {
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
