/**
 * What the tests of the examples share: programs that run beside a test, and what can be told of them from outside.
 *
 * @module
 */

import { assert, assertEquals, assertLess } from "@std/assert";
import { join } from "@std/path";
import { describe } from "@std/testing/bdd";
import { bytes, isEmulated, skip, text } from "./util.ts";

/** Where the repository is. */
export const ROOT = join(import.meta.dirname!, "..", "..");

/** Where the examples are. */
export const EXAMPLES = join(ROOT, "examples");

/** Declares the tests of a program, except under an emulator of another processor: the echo server's have to do there. */
export function describeProgram(name: string, body: () => void): void {
  if (!isEmulated) return describe(name, body);
  describe(name, () => skip("its tests", "under the emulator it takes ten seconds to start each program"));
}

/** A program that runs beside the test, and whose output is read line by line. */
export class Program implements AsyncDisposable {
  readonly #child: Deno.ChildProcess;
  readonly #lines: ReadableStreamDefaultReader<string>;
  readonly #input: WritableStreamDefaultWriter<Uint8Array<ArrayBuffer>> | null;
  #rest = "";

  constructor(
    command: string,
    args: string[],
    options: { stdin?: "piped"; cwd?: string; env?: Record<string, string> } = {},
  ) {
    const { stdin = "null", ...others } = options;
    this.#child = new Deno.Command(command, { args, stdin, stdout: "piped", stderr: "inherit", ...others }).spawn();
    this.#lines = this.#child.stdout.pipeThrough(new TextDecoderStream()).getReader();
    this.#input = stdin === "piped" ? this.#child.stdin.getWriter() : null;
  }

  /** Starts an example. */
  static example(name: string, ...args: string[]): Program {
    return new Program(Deno.execPath(), ["run", "--no-prompt", "--allow-ffi", join(EXAMPLES, name), ...args]);
  }

  /** Types something into its standard input. */
  async type(line: string): Promise<void> {
    await this.#input!.write(bytes(line));
  }

  /** Ends its standard input. */
  async endInput(): Promise<void> {
    await this.#input!.close();
  }

  /** Sends it a signal. */
  kill(signal: Deno.Signal): void {
    this.#child.kill(signal);
  }

  /** How it ends; what it prints until then, and has not been read, is not kept. */
  async ended(): Promise<{ code: number; signal: Deno.Signal | null }> {
    const patience = setTimeout(() => this.#child.kill("SIGKILL"), 30_000);
    const { code, signal } = await this.#child.status;
    clearTimeout(patience);
    return { code, signal };
  }

  /** Number of the process. */
  get pid(): number {
    return this.#child.pid;
  }

  /** Reads on until a line matches, and gives its groups. */
  async line(pattern: RegExp): Promise<string[]> {
    // A program that never prints it is ended, which ends its output.
    const patience = setTimeout(() => this.#child.kill("SIGKILL"), 30_000);
    try {
      return await this.#line(pattern);
    } finally {
      clearTimeout(patience);
    }
  }

  async #line(pattern: RegExp): Promise<string[]> {
    for (;;) {
      for (let end; (end = this.#rest.indexOf("\n")) !== -1;) {
        const line = this.#rest.slice(0, end).replace(/\r$/, ""); // CPython ends lines as the system does
        this.#rest = this.#rest.slice(end + 1);
        const match = pattern.exec(line);
        if (match !== null) return match.slice(1);
      }
      const { value, done } = await this.#lines.read();
      assert(!done, `The program ended before it printed ${pattern}`);
      this.#rest += value;
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    try {
      this.#child.kill("SIGKILL");
    } catch (error) {
      if (!(error instanceof TypeError)) throw error; // it has ended by itself
    }
    await this.#lines.cancel();
    await this.#input?.close().catch(() => {}); // it is closed, or nobody reads it any more
    await this.#child.status;
  }
}

/** Runs a program to its end, and gives what it has printed, with `\n` at the end of each line. */
export async function run(command: string, ...args: string[]): Promise<{ code: number; out: string; error: string }> {
  const { code, stdout, stderr } = await new Deno.Command(command, { args, stdin: "null", env: { NO_COLOR: "1" } })
    .output();
  const [out, error] = [stdout, stderr].map((bytes) => text(bytes).replaceAll("\r\n", "\n"));
  return { code, out: out!, error: error! };
}

/** Tells whether a program is there that ends well when it is called so. */
export async function isThere(command: string, ...args: string[]): Promise<boolean> {
  return await run(command, ...args).then(({ code }) => code === 0, () => false);
}

/** Runs an example to its end. */
export function deno(example: string, ...args: string[]): ReturnType<typeof run> {
  return run(Deno.execPath(), "run", "--no-prompt", "--allow-ffi", join(EXAMPLES, example), ...args);
}

/** Sends bytes over a connection of Deno's, and reads as many back. */
export async function echoed(connection: Deno.Conn, message: string): Promise<string> {
  const data = bytes(message);
  for (let sent = 0; sent < data.length;) sent += await connection.write(data.subarray(sent));
  const back = new Uint8Array(data.length);
  for (let received = 0; received < back.length;) received += (await connection.read(back.subarray(received)))!;
  return text(back);
}

/**
 * Descriptors that a program opens once it listens for a signal (Deno's own two) and first waits beside its event loop
 * (two more), which can both be after it has said that it is ready.
 */
export const OF_WAITING = 4;

/** Presses Ctrl-C, at which a program has to say that it shuts down, and to end well. */
export async function interrupt(program: Program): Promise<void> {
  program.kill("SIGINT");
  await program.line(/^Server shutting down$/);
  assertEquals(await program.ended(), { code: 0, signal: null });
}

/** Memory of a process that is its own, in bytes. */
export function memoryOf(pid: number): number {
  const status = Deno.readTextFileSync(`/proc/${pid}/status`);
  return 1024 * (Number(/^RssAnon:\s+(\d+) kB$/m.exec(status)![1]));
}

/** How many descriptors a process has open. */
export function descriptorsOf(pid: number): number {
  return [...Deno.readDirSync(`/proc/${pid}/fd`)].length;
}

/** Waits until something holds, in a test that cannot be told when. */
export async function until(condition: () => boolean): Promise<void> {
  for (let tries = 0; !condition(); tries++) {
    assertLess(tries, 1500, `Still not so: ${condition}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}
