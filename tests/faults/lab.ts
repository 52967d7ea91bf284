/**
 * The environment of a scenario: selectors, things to register, and steps that may fail only with the injected error.
 *
 * @module
 */

import type { BaseSelector, SelectorConstructor } from "../../mod.ts";
import type { Answer, Order } from "./helper.ts";
import { type Fault, shownCode } from "./matrix.ts";
import { collect, shim } from "./shim.ts";
import { Thing } from "./things.ts";

/** Thrown if the package breaks one of its guarantees. */
export class Broken extends Error {}

/** Thrown to end a scenario after the injected error has made a required step fail. */
export class Refused extends Error {}

/** A selector as the scenarios use it. */
export type Selector = BaseSelector<unknown, Thing["fileobj"]>;

/** One run of a scenario. */
export class Lab {
  readonly things: Thing[] = [];
  readonly selectors: Selector[] = [];
  /** Pending waits; each must end when its selector is closed. */
  readonly waits = new Set<{ end(): Promise<unknown> }>();
  readonly #helper: Worker;

  constructor(public fault: Fault | null, helper: Worker) {
    this.#helper = helper;
  }

  /** Ends the fault: no later step may fail. */
  repair(): void {
    shim.clear();
    this.fault = null;
  }

  /** Throws {@linkcode Broken} if a condition is false. */
  assert(isSo: boolean, message: string): void {
    if (!isSo) throw new Broken(message);
  }

  /** Runs a step. Returns undefined if the step fails with the injected error. */
  try<T>(step: () => T): T | undefined {
    collect();
    try {
      return step();
    } catch (error) {
      this.accept(error);
      return undefined;
    }
  }

  /** Runs a step that the rest of the scenario requires. */
  need<T>(step: () => T): T {
    let done: { value: T } | undefined;
    this.try(() => done = { value: step() });
    if (done === undefined) throw new Refused();
    return done.value;
  }

  /** Accepts an error that names the injected fault; fails the run on any other error. */
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

  /** Creates a selector. The harness examines and closes it after the scenario. */
  selector(Class: SelectorConstructor): Selector {
    const selector = this.need(() => new Class<unknown, Thing["fileobj"]>());
    this.selectors.push(selector);
    return selector;
  }

  /** Creates two connected sockets. A given number becomes the file descriptor of the first socket. */
  pair(number?: number): Thing {
    return this.#keep(Thing.pair(number));
  }

  /** Creates a pipe. */
  pipe(): Thing {
    return this.#keep(Thing.pipe());
  }

  #keep(thing: Thing): Thing {
    this.things.push(thing);
    return thing;
  }

  /** Registers a thing and asserts that the map contains it only on success. */
  register(selector: Selector, thing: Thing, events: number): void {
    const key = this.try(() => selector.register(thing.fileobj, events));
    this.assert(selector.getMap()!.has(thing.fd) === (key !== undefined), "register() and the map disagree");
    if (key === undefined) throw new Refused();
  }

  /** Modifies a registration and asserts that a failure removes it from the map. */
  modify(selector: Selector, thing: Thing, events: number): void {
    const key = this.try(() => selector.modify(thing.fd, events));
    this.assert(selector.getMap()!.has(thing.fd) === (key !== undefined), "modify() and the map disagree");
    if (key === undefined) throw new Refused();
  }

  /** Unregisters a thing. This step must not fail. */
  unregister(selector: Selector, thing: Thing): void {
    collect();
    selector.unregister(thing.fd);
  }

  /**
   * Tells the helper to act as soon as a wait begins.
   *
   * @returns A function that cancels a pending task and resolves to true if the helper has acted
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

  /** Closes all selectors and things of the scenario. This must end every wait. */
  async close(): Promise<void> {
    for (const selector of this.selectors) selector.close();
    for (const wait of this.waits) await wait.end();
    for (const thing of this.things) thing.dispose();
  }
}
