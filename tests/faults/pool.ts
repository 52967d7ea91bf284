/**
 * Processes that run scenarios one at a time; a failed run ends its process, and the next run starts a new process.
 *
 * @module
 */

import type { Order, Report } from "./child.ts";
import type { Scenario } from "./scenarios/scenario.ts";
import type { Conditions } from "./shim.ts";

/** Milliseconds without an answer after which a process is killed. This is longer than a run with one hang takes. */
const MOST_MS = 20_000;

/** The exit code of a process that begins too many waits; see shim.c. */
const ENDLESS = 99;

/** A process that runs scenarios. It starts with the first order, and again with the first order after `end()`. */
export class Runner implements AsyncDisposable {
  readonly #args: string[];
  #process: Deno.ChildProcess | null = null;
  #input: WritableStreamDefaultWriter<Uint8Array<ArrayBuffer>> | null = null;
  #output: ReadableStreamDefaultReader<string> | null = null;
  #rest = "";

  constructor(library: string, conditions: Conditions) {
    const flags = conditions === "collections" ? ["--v8-flags=--expose-gc"] : [];
    const child = new URL("./child.ts", import.meta.url).pathname;
    this.#args = ["run", "--quiet", "--allow-all", "--no-config", "--no-lock", ...flags, child, library, conditions];
  }

  /** True if the process is running. */
  get isWarm(): boolean {
    return this.#process !== null;
  }

  /** Returns all scenarios without their functions, which exist only in the process. */
  async scenarios(): Promise<Omit<Scenario, "run">[]> {
    await this.end();
    return await this.#start();
  }

  /** Runs a scenario and returns its report. Ends the process after a failed run. */
  async run(order: Order): Promise<Report> {
    if (this.#process === null) await this.#start();
    await this.#input!.write(new TextEncoder().encode(`${JSON.stringify(order)}\n`));
    const process = this.#process!;
    const patience = setTimeout(() => process.kill("SIGKILL"), MOST_MS);
    try {
      const line = await this.#line();
      if (line !== null) {
        const report: Report = JSON.parse(line);
        if (report.broken !== undefined) await this.end();
        return report;
      }
    } finally {
      clearTimeout(patience);
    }
    const { code, signal } = await process.status;
    await this.end();
    const broken = code === ENDLESS
      ? "spins forever"
      : signal === "SIGKILL"
      ? "hangs and blocks its process"
      : `the process exits with ${signal ?? code}`;
    return { broken, isHit: true, recording: {} };
  }

  /** Ends the process, so that the next run starts a new process. */
  async end(): Promise<void> {
    if (this.#process === null) return;
    try {
      this.#process.kill("SIGKILL");
    } catch (error) {
      if (!(error instanceof TypeError)) throw error; // the process has already exited
    }
    await this.#process.status;
    await this.#output!.cancel();
    await this.#input!.abort().catch(() => {}); // the process no longer reads its input
    this.#process = null;
    this.#rest = "";
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.end();
  }

  async #start(): Promise<Omit<Scenario, "run">[]> {
    const process = new Deno.Command(Deno.execPath(), {
      args: this.#args,
      stdin: "piped",
      stdout: "piped",
      stderr: "inherit",
      env: { NO_COLOR: "1" },
    }).spawn();
    this.#process = process;
    this.#input = process.stdin.getWriter();
    this.#output = process.stdout.pipeThrough(new TextDecoderStream()).getReader();
    return JSON.parse((await this.#line())!);
  }

  async #line(): Promise<string | null> {
    for (;;) {
      const end = this.#rest.indexOf("\n");
      if (end >= 0) {
        const line = this.#rest.slice(0, end);
        this.#rest = this.#rest.slice(end + 1);
        return line;
      }
      const { value, done } = await this.#output!.read();
      if (done) return null;
      this.#rest += value;
    }
  }
}
