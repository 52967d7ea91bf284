/**
 * The README's code, run unmodified.
 *
 * @module
 */

import { assert, assertEquals, assertMatch } from "@std/assert";
import { join } from "@std/path";
import { describe } from "@std/testing/bdd";
import { AF_INET, Socket } from "../ffi/socket/mod.ts";
import { ROOT } from "./support/program.ts";
import { blocks, README, section } from "./support/readme.ts";
import { bytes, isEmulated, test, text } from "./support/util.ts";

/** A program with the given source, started as a reader would start it. */
async function started(source: string, stdout: "inherit" | "piped"): Promise<AsyncDisposable & Deno.ChildProcess> {
  const file = await Deno.makeTempFile({ suffix: ".ts" });
  await Deno.writeTextFile(file, source);
  const map = join(ROOT, "tests", "offline", "import_map.json");
  const check = isEmulated ? "--no-check" : "--check";
  const child = new Deno.Command(Deno.execPath(), {
    args: ["run", check, "--quiet", "--no-prompt", "--no-lock", "--allow-ffi", `--import-map=${map}`, file],
    stdin: "null",
    stdout,
    stderr: "inherit",
  }).spawn();
  return Object.assign(child, {
    async [Symbol.asyncDispose]() {
      try {
        child.kill("SIGKILL");
      } catch (error) {
        if (!(error instanceof TypeError)) throw error; // the program has already exited
      }
      await child.status;
      await Deno.remove(file);
    },
  });
}

describe("README", () => {
  test("its echo server echoes", async () => {
    const [server, ...others] = blocks("ts", section("An echo server"));
    assertEquals(others, []);
    const free = new Socket(AF_INET);
    free.bind({ hostname: "127.0.0.1", port: 0 });
    const address = free.getsockname() as { hostname: string; port: number };
    free.close();
    await using program = await started(server!.replace("port: 65432", `port: ${address.port}`), "inherit");
    assert(program.pid > 0);
    for (const message of ["hello\n", "again\n"]) {
      using client = new Socket();
      await connect(client, address);
      client.sendAll(bytes(message));
      assertEquals(text(client.recv(100)), message);
    }
  });

  test("its asynchronous loop receives both events", async () => {
    const [, loop] = blocks("ts"); // example_libraries_test.ts runs the other blocks
    await using program = await started(loop!, "piped");
    const output = await new Response(program.stdout).text();
    assertMatch(output, /^Pair 0: from a timer\nPair 1: from a timer\n$/);
  });

  test("its tables list every example, and each example is an entry point unless it needs an npm package", () => {
    const listed = [...README.matchAll(/^\| `--allow-[^`]*?(examples\/\w+\.ts)/gm)].map((match) => match[1]!).sort();
    const files = [...Deno.readDirSync(join(ROOT, "examples"))].map(({ name }) => `examples/${name}`).sort();
    assertEquals(listed, files);
    const exports = JSON.parse(Deno.readTextFileSync(join(ROOT, "deno.json"))).exports as Record<string, string>;
    const unpublished = ["examples/http_server.ts", "examples/websocket_server.ts"];
    for (const file of files) {
      const entry = exports[`./${file.replace(".ts", "").replaceAll("_", "-")}`];
      assertEquals(entry, unpublished.includes(file) ? undefined : `./${file}`);
    }
  });

  test("its commands name existing files and tasks", () => {
    const tasks = JSON.parse(Deno.readTextFileSync(join(ROOT, "deno.json"))).tasks as object;
    const commands = blocks("sh").join("").trim().split("\n");
    assertEquals(commands.length, 3);
    for (const command of commands) {
      const task = /task (\S+)$/.exec(command)?.[1];
      if (task !== undefined) assert(task in tasks, command);
      for (const [file] of command.matchAll(/(examples|tests)\/\S+/g)) {
        assert(Deno.statSync(join(ROOT, file)).isFile, command);
      }
    }
  });
});

/** Connects as soon as the server accepts connections. */
async function connect(client: Socket, address: { hostname: string; port: number }): Promise<void> {
  for (let tries = 0; client.connectEx(address) !== null; tries++) {
    assert(tries < 3_000, "The server does not listen");
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}
