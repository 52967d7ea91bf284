/**
 * Checks the imports between files against the architecture.
 *
 * @module
 */

import { assert, assertEquals } from "@std/assert";
import { dirname, join, relative } from "@std/path";
import { describe } from "@std/testing/bdd";
import { test } from "./support/util.ts";

const ROOT = join(import.meta.dirname!, "..");

/** The files of the library and their imports, as paths from the repository root. */
const imports = new Map<string, string[]>();
const sources = new Map<string, string>();
for (const path of ["mod.ts", ...filesOf("ffi"), ...filesOf("selectors"), ...filesOf("examples")]) {
  const source = Deno.readTextFileSync(join(ROOT, path));
  sources.set(path, source);
  imports.set(path, importsOf(path, source));
}

function filesOf(directory: string): string[] {
  return [...Deno.readDirSync(join(ROOT, directory))].flatMap(({ name, isDirectory }) =>
    isDirectory ? filesOf(`${directory}/${name}`) : [`${directory}/${name}`]
  ).sort();
}

function importsOf(path: string, source: string): string[] {
  const code = source.replace(/\/\*[^]*?\*\/|\/\/.*$/gm, "");
  const specifiers = [...code.matchAll(/\b(?:from|import)\s*\(?\s*"([^"\n]+)"/g)].map((match) => match[1]!);
  return specifiers.map((specifier) =>
    specifier.startsWith(".") ? relative(ROOT, join(ROOT, dirname(path), specifier)).replaceAll("\\", "/") : specifier
  );
}

/** Returns true for an entry point of the package. Examples import only these, so that users can copy them. */
function isEntryPoint(specifier: string): boolean {
  return /^@selectors\/selectors(\/(select|socket|sources|streams))?$/.test(specifier);
}

function within(directory: string): [path: string, imported: string[]][] {
  return [...imports].filter(([path]) => path.startsWith(`${directory}/`));
}

describe("imports", () => {
  test("library files import no external package, and examples import at most a parser", () => {
    const parsers: Record<string, string> = {
      "examples/http_server.ts": "http-parser-js",
      "examples/websocket_server.ts": "websocket-driver",
    };
    for (const [path, imported] of imports) {
      for (const specifier of imported) {
        const isOwn = imports.has(specifier) || path.startsWith("examples/") && isEntryPoint(specifier);
        const isAllowed = path.startsWith("examples/") && specifier.startsWith("node:") || specifier === parsers[path];
        assert(isOwn || isAllowed, `${path} imports ${specifier}`);
      }
    }
  });

  test("ffi/ never imports selectors/", () => {
    for (const [path, imported] of within("ffi")) {
      assertEquals(imported.filter((specifier) => !specifier.startsWith("ffi/")), [], path);
    }
  });

  test("ffi/os/ imports no entry point, and entry points do not import each other", () => {
    const allowed: Record<string, RegExp> = {
      os: /^ffi\/os\//,
      select: /^ffi\/(os|select)\//,
      socket: /^ffi\/(os|socket)\//,
      sources: /^ffi\/(os|sources)\//,
    };
    for (const [path, imported] of within("ffi")) {
      const room = allowed[path.split("/")[1]!]!;
      assertEquals(imported.filter((specifier) => !room.test(specifier)), [], path);
    }
  });

  test("selectors/ imports only itself and ffi/os/, but not the modules for descriptors and sockets", () => {
    for (const [path, imported] of within("selectors")) {
      const strange = imported.filter((specifier) =>
        !/^(selectors|ffi\/os)\//.test(specifier) || /\/(sys|posix|winsock)\.ts$/.test(specifier)
      );
      assertEquals(strange, [], path);
    }
  });

  test("mod.ts and selectors/streams.ts are not imported by library files", () => {
    for (const [path, imported] of imports) {
      if (path.startsWith("examples/")) continue;
      assertEquals(imported.filter((specifier) => ["mod.ts", "selectors/streams.ts"].includes(specifier)), [], path);
    }
  });

  test("examples import only the package's entry points", () => {
    const entries = Object.values(JSON.parse(Deno.readTextFileSync(join(ROOT, "deno.json"))).exports as object)
      .map((path: string) => path.replace("./", ""));
    for (const [path, imported] of within("examples")) {
      for (const specifier of imported) {
        const isOwn = imports.has(specifier);
        assert(!isOwn || entries.includes(specifier), `${path} imports ${specifier}`);
      }
    }
  });

  test("imports form no cycle", () => {
    const done = new Set<string>();
    function walk(path: string, way: string[]): void {
      assert(!way.includes(path), [...way, path].join(" -> "));
      if (done.has(path)) return;
      for (const specifier of imports.get(path) ?? []) walk(specifier, [...way, path]);
      done.add(path);
    }
    for (const path of imports.keys()) walk(path, []);
  });

  test("ffi/os/systems.ts alone reads Deno.build, and ffi/os/library.ts alone opens libraries", () => {
    const openers = ["ffi/os/library.ts", "ffi/os/signal_worker.ts"]; // signal_worker.ts cannot import
    for (const [path, source] of sources) {
      const code = source.replace(/\/\*[^]*?\*\/|\/\/.*$/gm, "");
      if (path !== "ffi/os/systems.ts") assert(!/Deno\.build/.test(code), path);
      if (!openers.includes(path) && !path.startsWith("examples/")) assert(!/Deno\.dlopen/.test(code), path);
    }
  });

  test("library files do not compare names of systems", () => {
    for (const [path, source] of sources) {
      const code = source.replace(/\/\*[^]*?\*\/|\/\/.*$/gm, "");
      if (!path.startsWith("examples/")) assert(!/\bos\s*[!=]==|[!=]==\s*os\b|\[os\]/.test(code), path);
    }
  });
});
