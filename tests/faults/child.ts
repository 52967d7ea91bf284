/**
 * The process that runs scenarios. It prints a list of all scenarios, then reads one order per line from standard input
 * and answers each order with one line.
 *
 * @module
 */

import { clock, replaceClocks, shim, storm } from "./shim.ts"; // first: it replaces Deno.dlopen() for the package
import { openDescriptors } from "./descriptors.ts";
import { Broken, Lab, Refused } from "./lab.ts";
import { countOf, errnoOf, ERRORS, type Fault, type Recording } from "./matrix.ts";
import { scenarios } from "./scenarios/all.ts";
import { examine, PATIENCE } from "./waits.ts";

/** An order to run one scenario. */
export interface Order {
  /** The name of the scenario. */
  scenario: string;
  /** The fault to inject, or null. */
  fault: Fault | null;
}

/** The result of a run. */
export interface Report {
  /** The failed assertion; undefined if the run succeeded. */
  broken?: string;
  /** True if the fault was injected at least once. */
  isHit: boolean;
  /** Number of calls of each function. */
  recording: Recording;
}

/** Repetitions of a run that may leave more descriptors open: the package keeps some of them for reuse. */
const MOST_GROWTHS = 2;

const helper = new Worker(import.meta.resolve("./helper.ts"), { type: "module" });
await new Promise((resolve) => helper.onmessage = resolve);

async function run({ scenario: name, fault }: Order): Promise<Report> {
  const scenario = scenarios.find((scenario) => scenario.name === name)!;
  const report: Report = { isHit: false, recording: {} };
  let before = openDescriptors();
  for (let growths = 0;; growths++) {
    try {
      await runOnce(scenario, fault, report);
    } catch (error) {
      if (!(error instanceof Broken)) throw error;
      return { ...report, broken: error.message };
    }
    if (scenario.isAlone) return report;
    const after = await settledDescriptors(before.size);
    if (after.size <= before.size) return report;
    const grown = [...after].filter(([fd]) => !before.has(fd)).map(([fd, target]) => `${fd} -> ${target}`);
    if (growths === MOST_GROWTHS) {
      return { ...report, broken: `leaves descriptors open each time: ${grown.join(", ")}` };
    }
    before = after;
  }
}

async function runOnce(scenario: typeof scenarios[number], fault: Fault | null, report: Report): Promise<void> {
  const lab = new Lab(fault, helper);
  shim.limit(PATIENCE);
  shim.relax();
  if (fault === null) shim.fail("", 1, 0, 0);
  else shim.fail(fault.name, fault.nth, countOf(fault), errnoOf(fault.code));
  storm(true);
  try {
    await scenario.run(lab);
  } catch (error) {
    if (!(error instanceof Refused)) throw error instanceof Broken ? error : new Broken(`throws ${error}`);
  } finally {
    storm(false);
  }
  report.isHit ||= shim.hits() > 0;
  for (const name of Object.keys(ERRORS)) report.recording[name] = shim.calls(name);
  lab.repair();
  try {
    if (!scenario.isAlone) { for (const selector of lab.selectors) if (!selector.closed) await examine(lab, selector); }
    await lab.close();
  } catch (error) {
    throw new Broken(`after the fault, ${error instanceof Error ? error.message : error}`);
  }
}

/** Returns the open descriptors once there are at most `size` of them, or after 200 ms. */
async function settledDescriptors(size: number): Promise<Map<number, string>> {
  for (let tries = 0; tries < 20; tries++) {
    const found = openDescriptors();
    if (found.size <= size && shim.waiting() === 0) return found;
    await clock.sleep(10);
  }
  return openDescriptors();
}

function say(message: unknown): void {
  Deno.stdout.writeSync(new TextEncoder().encode(`${JSON.stringify(message)}\n`));
}

/** Yields the lines of standard input. Reads synchronously, because an asynchronous read would open a descriptor. */
function* lines(): Generator<string> {
  const buffer = new Uint8Array(4096);
  let rest = "";
  for (let size; (size = Deno.stdin.readSync(buffer)) !== null;) {
    const parts = (rest + new TextDecoder().decode(buffer.subarray(0, size))).split("\n");
    rest = parts.pop()!;
    yield* parts;
  }
}

replaceClocks();
say(scenarios); // JSON.stringify() omits the functions
for (const line of lines()) say(await run(JSON.parse(line)));
Deno.exit();
