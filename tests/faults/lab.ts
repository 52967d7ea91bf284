/**
 * The bench on which a scenario runs: selectors and things to register, and steps that may fail with the injected error
 * but with no other.
 *
 * @module
 */

import type { BaseSelector, SelectorConstructor } from "../../mod.ts";
import type { Answer, Order } from "./helper.ts";
import { type Fault, shownCode } from "./matrix.ts";
import { collect, shim } from "./shim.ts";
import { Thing } from "./things.ts";

/** A promise of the package's that did not hold. */
export class Broken extends Error {}

/** Ends a scenario that cannot go on, since a step of it has failed with the injected error. */
export class Refused extends Error {}

/** The selectors of the scenarios. */
export type Selector = BaseSelector<unknown, Thing["fileobj"]>;

/** One run of a scenario. */
export class Lab {
  readonly things: Thing[] = [];
  readonly selectors: Selector[] = [];
  /** Waits whose end was not seen yet; each has to end when its selector is closed. */
  readonly waits = new Set<{ end(): Promise<unknown> }>();
  readonly #helper: Worker;

  constructor(public fault: Fault | null, helper: Worker) {
    this.#helper = helper;
  }

  /** Ends the fault: from now on nothing may fail. */
  repair(): void {
    shim.clear();
    this.fault = null;
  }

  /** Fails the run if something does not hold. */
  assert(isSo: boolean, message: string): void {
    if (!isSo) throw new Broken(message);
  }

  /** Does a step; gives undefined if it fails with the injected error. */
  try<T>(step: () => T): T | undefined {
    collect();
    try {
      return step();
    } catch (error) {
      this.accept(error);
      return undefined;
    }
  }

  /** Does a step without which the scenario cannot go on. */
  need<T>(step: () => T): T {
    let done: { value: T } | undefined;
    this.try(() => done = { value: step() });
    if (done === undefined) throw new Refused();
    return done.value;
  }

  /** Accepts an error that says clearly what was injected, and no other. */
  accept(error: unknown): void {
    if (error instanceof Broken || error instanceof Refused) throw error;
    if (error instanceof SuppressedError) {
      this.accept(error.suppressed);
      return this.accept(error.error);
    }
    const { name, message, code } = error as { name?: string; message?: string; code?: string };
    const isInjected = this.fault !== null && shim.hits() > 0 && code === shownCode(this.fault.code);
    this.assert(isInjected && name === "OSError" && message!.endsWith(`(${code})`), `throws ${name}: ${message}`);
  }

  /** Makes a selector, which is examined and closed at the end. */
  selector(Class: SelectorConstructor): Selector {
    const selector = this.need(() => new Class<unknown, Thing["fileobj"]>());
    this.selectors.push(selector);
    return selector;
  }

  /** Makes two connected sockets, the first under a chosen number if one is given. */
  pair(number?: number): Thing {
    return this.#keep(Thing.pair(number));
  }

  /** Makes a pipe. */
  pipe(): Thing {
    return this.#keep(Thing.pipe());
  }

  #keep(thing: Thing): Thing {
    this.things.push(thing);
    return thing;
  }

  /** Registers a thing; if that fails, it is not registered. */
  register(selector: Selector, thing: Thing, events: number): void {
    const key = this.try(() => selector.register(thing.fileobj, events));
    this.assert(selector.getMap()!.has(thing.fd) === (key !== undefined), "register() and the map disagree");
    if (key === undefined) throw new Refused();
  }

  /** Modifies a registration; if that fails, there is none any more. */
  modify(selector: Selector, thing: Thing, events: number): void {
    const key = this.try(() => selector.modify(thing.fd, events));
    this.assert(selector.getMap()!.has(thing.fd) === (key !== undefined), "modify() and the map disagree");
    if (key === undefined) throw new Refused();
  }

  /** Unregisters a thing, which never fails. */
  unregister(selector: Selector, thing: Thing): void {
    collect();
    selector.unregister(thing.fd);
  }

  /**
   * Has the helper act as soon as something waits.
   *
   * @returns A function that calls it off, if it has not acted yet, and tells whether it has
   */
  help(task: { write: number } | { wake: number }): () => Promise<boolean> {
    const isWanted = new Int32Array(new SharedArrayBuffer(4)).fill(1);
    const { promise, resolve } = Promise.withResolvers<Answer>();
    this.#helper.onmessage = ({ data }) => resolve(data);
    this.#helper.postMessage({ isWanted, ...task } satisfies Order);
    return async () => {
      Atomics.store(isWanted, 0, 0);
      const { isDone, error } = await promise;
      if (error !== undefined) this.accept(error);
      return isDone;
    };
  }

  /** Closes all that the scenario has made, which ends every wait. */
  async close(): Promise<void> {
    for (const selector of this.selectors) selector.close();
    for (const wait of this.waits) await wait.end();
    for (const thing of this.things) thing.dispose();
  }
}
