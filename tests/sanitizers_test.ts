/**
 * The package in users' tests, with Deno's sanitizers.
 *
 * @module
 */

import { assertEquals, assertMatch } from "@std/assert";
import { join } from "@std/path";
import { describe } from "@std/testing/bdd";
import { run } from "./support/program.ts";
import { test } from "./support/util.ts";

const [SELECTORS, SELECT, SOCKET] = ["../mod.ts", "../ffi/select/mod.ts", "../ffi/socket/mod.ts"].map((path) =>
  JSON.stringify(new URL(path, import.meta.url).href)
);

/** Returns a test file whose only test is the first code that uses the package. */
function testFile(line: string): string {
  return `
import { DefaultSelector, EVENT_READ, openLibraries, SelectSelector, wake } from ${SELECTORS};
import { select } from ${SELECT};
import { createServer, getaddrinfo, Socket, socketpair } from ${SOCKET};

${line}

Deno.test({
  name: "everything",
  sanitizeOps: true,
  sanitizeResources: true,
  async fn() {
    const [here, there] = socketpair();
    for (const selector of [new DefaultSelector(), new SelectSelector()]) {
      selector.register(here, EVENT_READ);
      wake(selector.wakeHandle);
      selector.select();
      await selector.selectAsync(0.001);
      setTimeout(() => there.send(new Uint8Array(1)), 1);
      for await (const [key] of selector) {
        key.fileobj.recv(1);
        break;
      }
      selector.close();
    }
    select([here], [], [], 0);
    here.close();
    there.close();
    createServer({ hostname: "localhost", port: 0 }).close();
    new Socket().close();
    getaddrinfo("127.0.0.1", 80);
  },
});
`;
}

/** Runs a test file in another Deno. */
async function outcomeOf(line: string): Promise<Awaited<ReturnType<typeof run>>> {
  const directory = await Deno.makeTempDir();
  try {
    const path = join(directory, "a_test.ts");
    await Deno.writeTextFile(path, testFile(line));
    return await run(Deno.execPath(), "test", "--allow-ffi", "--no-check", "--no-config", "--no-lock", path);
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
}

describe("sanitizers", () => {
  test("openLibraries() keeps sanitizeResources from reporting the libraries as leaks", async () => {
    const { code, out, error } = await outcomeOf("openLibraries();");
    assertEquals(code, 0, out + error);
  });

  test("sanitizeResources reports the libraries as leaks without openLibraries()", async () => {
    const { code, out } = await outcomeOf("");
    assertEquals(code, 1);
    assertMatch(out, /dynamic librar(y was|ies were) loaded/);
  });
});
