/**
 * Helpers for the tests of the examples: programs, their output, memory and descriptors.
 *
 * @module
 */

import { assert, assertEquals, assertLess } from "@std/assert";
import { join } from "@std/path";
import { describe } from "@std/testing/bdd";
import { Socket } from "../../ffi/socket/mod.ts";
import { bytes, isEmulated, skip, text } from "./util.ts";

/** Directory of the repository. */
export const ROOT = join(import.meta.dirname!, "..", "..");

/** Directory of the examples. */
export const EXAMPLES = join(ROOT, "examples");

/** Declares the tests of a program. Skips them if an emulator runs Deno; there, only echo_server is tested. */
export function describeProgram(name: string, body: () => void): void {
  if (!isEmulated) return describe(name, body);
  describe(name, () => skip("its tests", "under the emulator it takes ten seconds to start each program"));
}

/** A program that runs during the test. Its output is read line by line. */
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

  /** Writes a line to the program's standard input. */
  async type(line: string): Promise<void> {
    await this.#input!.write(bytes(line));
  }

  /** Closes the program's standard input. */
  async endInput(): Promise<void> {
    await this.#input!.close();
  }

  /** Sends a signal to the program. */
  kill(signal: Deno.Signal): void {
    this.#child.kill(signal);
  }

  /** Waits until the program exits, and discards the rest of its output. */
  async ended(): Promise<{ code: number; signal: Deno.Signal | null }> {
    const patience = setTimeout(() => this.#child.kill("SIGKILL"), 30_000);
    const { code, signal } = await this.#child.status;
    clearTimeout(patience);
    return { code, signal };
  }

  /** The process ID. */
  get pid(): number {
    return this.#child.pid;
  }

  /** Reads lines until a line matches, and returns its groups. */
  async line(pattern: RegExp): Promise<string[]> {
    // A program that never prints the line is killed, which ends its output.
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
        const line = this.#rest.slice(0, end).replace(/\r$/, ""); // CPython uses the line endings of the system
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
      if (!(error instanceof TypeError)) throw error; // the program has already exited
    }
    await this.#lines.cancel();
    await this.#input?.close().catch(() => {}); // already closed, or the program has exited
    await this.#child.status;
  }
}

/**
 * Fetches over separate connections, and closes them at the end of a using block.
 *
 * The global `fetch()` keeps connections open until Deno notices that the server has closed them, which may be after
 * the end of the test.
 */
export class HttpClient implements Disposable {
  readonly #client = Deno.createHttpClient({});

  /** Calls `fetch()`. */
  fetch(url: string, options: RequestInit = {}): Promise<Response> {
    return fetch(url, { ...options, client: this.#client });
  }

  [Symbol.dispose](): void {
    this.#client.close();
  }
}

/** Runs a program until it exits, and returns its output, with `\n` at the end of each line. */
export async function run(command: string, ...args: string[]): Promise<{ code: number; out: string; error: string }> {
  const { code, stdout, stderr } = await new Deno.Command(command, { args, stdin: "null", env: { NO_COLOR: "1" } })
    .output();
  const [out, error] = [stdout, stderr].map((bytes) => text(bytes).replaceAll("\r\n", "\n"));
  return { code, out: out!, error: error! };
}

/** Returns true if a program exists and succeeds with the given arguments. */
export async function isThere(command: string, ...args: string[]): Promise<boolean> {
  return await run(command, ...args).then(({ code }) => code === 0, () => false);
}

/** Runs an example until it exits. */
export function deno(example: string, ...args: string[]): ReturnType<typeof run> {
  return run(Deno.execPath(), "run", "--no-prompt", "--allow-ffi", join(EXAMPLES, example), ...args);
}

/** Sends a message over a Deno connection, and returns equally many bytes of the reply. */
export async function echoed(connection: Deno.Conn, message: string): Promise<string> {
  const data = bytes(message);
  for (let sent = 0; sent < data.length;) sent += await connection.write(data.subarray(sent));
  const back = new Uint8Array(data.length);
  for (let received = 0; received < back.length;) received += (await connection.read(back.subarray(received)))!;
  return text(back);
}

/**
 * Number of descriptors that a program opens for its first signal listener (two of Deno's own) and its first
 * asynchronous wait (two more). The program may open them after it has printed that it is ready.
 */
export const OF_WAITING = 4;

/** Starts an example that listens on port 0, and returns it with a function that connects a client. */
export async function listening(example: string, seconds: string): Promise<[Program, connect: () => Socket]> {
  const program = Program.example(example, "0", seconds);
  const [port] = await program.line(/^Listening on port (\d+); try: nc 127\.0\.0\.1 \1$/);
  return [program, () => {
    const socket = new Socket();
    socket.connect({ hostname: "127.0.0.1", port: Number(port) });
    return socket;
  }];
}

/** Sends SIGINT, and checks that the program announces its shutdown and exits with 0. */
export async function interrupt(program: Program): Promise<void> {
  program.kill("SIGINT");
  await program.line(/^Server shutting down$/);
  assertEquals(await program.ended(), { code: 0, signal: null });
}

/** Returns the private memory of a process, in bytes. */
export function memoryOf(pid: number): number {
  const status = Deno.readTextFileSync(`/proc/${pid}/status`);
  return 1024 * (Number(/^RssAnon:\s+(\d+) kB$/m.exec(status)![1]));
}

/** Returns the number of open descriptors of a process. */
export function descriptorsOf(pid: number): number {
  return [...Deno.readDirSync(`/proc/${pid}/fd`)].length;
}

/** Polls until a condition holds; for conditions without an event. */
export async function until(condition: () => boolean): Promise<void> {
  for (let tries = 0; !condition(); tries++) {
    assertLess(tries, 1500, `Still not so: ${condition}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

/** Checks that a program waits instead of spinning: it must use less than a tenth of a processor. */
export async function checkIdle(pid: number): Promise<void> {
  // User and kernel time come after the program's name, which may contain spaces.
  const ticks = () => {
    const fields = Deno.readTextFileSync(`/proc/${pid}/stat`).replace(/^.*\) /s, "").split(" ");
    return Number(fields[11]) + Number(fields[12]);
  };
  const before = ticks();
  await new Promise((resolve) => setTimeout(resolve, 500));
  assertLess(ticks() - before, 5, "It spins");
}
