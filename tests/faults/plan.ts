/**
 * Plans the runs of the scenarios and assigns them to processes.
 *
 * @module
 */

import type { Report } from "./child.ts";
import { type Fault, faultsOf, type Recording } from "./matrix.ts";
import { Runner } from "./pool.ts";
import type { Scenario } from "./scenarios/scenario.ts";
import type { Conditions } from "./shim.ts";

/** A run and its result. */
export interface Result extends Report {
  /** The name of the scenario. */
  scenario: string;
  /** The conditions of the run. */
  conditions: Conditions;
  /** The injected fault, or null. */
  fault: Fault | null;
}

/** Chooses some of a scenario's faults. */
export type Choice = (faults: Fault[], scenario: Description) => Fault[];

/** A scenario without its function, as the child process reports it. */
type Description = Omit<Scenario, "run">;

/** Number of processes that run at the same time. */
const PROCESSES = 2;

/** Errors that make the package stop using a function for the rest of the process. */
const SETTLING: readonly string[] = ["ENOSYS", "EPERM"];

/**
 * Runs the scenarios whose names contain all of some strings, each without a fault and then with the chosen faults.
 *
 * @param tell Receives the results of each scenario as soon as they are available
 */
export async function runAll(
  library: string,
  conditions: Conditions,
  choose: Choice,
  parts: readonly string[] = [],
  tell: (results: readonly Result[]) => void = () => {},
): Promise<Result[]> {
  await using first = new Runner(library, conditions);
  const scenarios = (await first.scenarios()).filter(({ name }) => parts.every((part) => name.includes(part)));
  const left = [...scenarios];
  const results = new Map<Description, Result[]>();
  async function work(): Promise<void> {
    await using runner = new Runner(library, conditions);
    for (let scenario; (scenario = left.shift()) !== undefined;) {
      const those = await new Performance(runner, conditions, scenario).all(choose);
      results.set(scenario, those);
      tell(those);
    }
  }
  await Promise.all(Array.from({ length: PROCESSES }, work));
  return scenarios.flatMap((scenario) => results.get(scenario)!);
}

/** The runs of one scenario. */
class Performance {
  readonly #results: Result[] = [];

  constructor(readonly runner: Runner, readonly conditions: Conditions, readonly scenario: Description) {}

  async all(choose: Choice): Promise<Result[]> {
    const { runner, scenario } = this;
    // Only the first run of a process shows the calls that the package makes once per process.
    if (scenario.isAlone || choose !== none) await runner.end();
    const cold = await this.run(null);
    if (scenario.isAlone) await runner.end();
    if (scenario.isAlone || cold.broken !== undefined || choose === none) return this.#results;
    const warm = await this.run(null);
    if (warm.broken !== undefined) return this.#results;
    for (const fault of choose(faultsOf(warm.recording, scenario.excluded), scenario)) {
      if (!runner.isWarm) await runner.run({ scenario: scenario.name, fault: null });
      await this.run(fault);
      if (fault.name === "epoll_pwait2" && SETTLING.includes(fault.code)) await runner.end();
    }
    for (const fault of choose(faultsOf(onlyCold(cold.recording, warm.recording), scenario.excluded), scenario)) {
      await runner.end();
      await this.run(fault);
    }
    return this.#results;
  }

  async run(fault: Fault | null): Promise<Result> {
    const { conditions, scenario: { name: scenario } } = this;
    const result = { scenario, conditions, fault, ...await this.runner.run({ scenario, fault }) };
    this.#results.push(result);
    return result;
  }
}

/** Returns the functions that the first run of a process calls more often than later runs do. */
function onlyCold(cold: Recording, warm: Recording): Recording {
  return Object.fromEntries(Object.entries(cold).filter(([name, calls]) => calls > warm[name]!));
}

/** Chooses every fault. */
export const every: Choice = (faults) => faults;

/** Chooses no fault, so that each scenario runs once. */
export const none: Choice = () => [];

/** Number of faults that {@linkcode some} chooses for a scenario. */
const FEW = 2;

/** Chooses a few faults; the functions and errors vary with the name of the scenario. */
export const some: Choice = (faults, { name }) => {
  const byFunction = [...Map.groupBy(faults, (fault) => fault.name).values()];
  const first = hash(name);
  const chosen = Array.from({ length: Math.min(FEW, byFunction.length) }, (_, index) => {
    return byFunction[(first + index) % byFunction.length]!;
  });
  return chosen.map((ofOne) => ofOne[hash(name + ofOne[0]!.name) % ofOne.length]!);
};

function hash(text: string): number {
  let sum = 7;
  for (const char of text) sum = (sum * 31 + char.charCodeAt(0)) % 1_000_003;
  return sum;
}
