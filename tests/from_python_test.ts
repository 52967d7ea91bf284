/**
 * Checks that the "From Python" tables in the module docs contain every name of the installed Python.
 *
 * @module
 */

import { assert, assertEquals } from "@std/assert";
import { join } from "@std/path";
import { describe } from "@std/testing/bdd";
import { isThere, ROOT, run } from "./support/program.ts";
import { test } from "./support/util.ts";

const MODULES: readonly [file: string, module: string, names: string][] = [
  ["mod.ts", "selectors", "[n for n in dir(m) if n[0] in 'DESPKB'] + dir(m.BaseSelector)"],
  ["ffi/select/mod.ts", "select", "dir(m) + dir(m.poll()) + dir(m.epoll)"],
  [
    "ffi/socket/mod.ts",
    "socket",
    "dir(m.socket) + ['create_server', 'create_connection', 'socketpair', 'getaddrinfo']",
  ],
];

/** Families of constants; the tables list one member of each. */
const FAMILY = /^(POLL|EPOLL)[A-Z]+$/;

/** CPython with epoll. */
const PYTHON = await isThere("python3", "-c", "import select; select.epoll")
  ? null
  : "python3 with epoll is not installed";

describe("From Python", () => {
  for (const [file, module, names] of MODULES) {
    test(`${file} documents every name of Python's ${module}`, { needs: [PYTHON] }, async () => {
      const source = Deno.readTextFileSync(join(ROOT, file));
      const table = source.slice(0, source.indexOf("@module"));
      assert(table.includes("## From Python"), file);
      const { out, error } = await run("python3", "-c", `import ${module} as m\nprint(*sorted(set(${names})))`);
      assertEquals(error, "");
      const missing = out.trim().split(" ").filter((name) => {
        return !name.startsWith("_") && !FAMILY.test(name) && !new RegExp(`\\b${name}\\b`).test(table);
      });
      assertEquals(missing, []);
    });
  }
});
