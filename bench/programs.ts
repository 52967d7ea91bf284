/**
 * The programs that are timed: found on this machine, or compiled from a file beside this one.
 *
 * @module
 */

/** A program that is on this machine. */
export interface Program {
  /** Its name for a reader. */
  name: string;
  /** What it is, with its version. */
  version: string;
  /** How it is started; further arguments may follow. */
  command: string[];
}

/** The path of a file of this directory. */
export function here(name: string): string {
  return `${import.meta.dirname!}/${name}`;
}

/** Runs a command and gives what it printed, or null if there is no such command or it failed. */
export function tryRun([program, ...args]: string[]): string | null {
  try {
    const { success, stdout } = new Deno.Command(program!, { args, stderr: "null" }).outputSync();
    return success ? new TextDecoder().decode(stdout).trim() : null;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return null;
    throw error;
  }
}

/**
 * Compiles a file of this directory, or says why it is left out.
 *
 * @param source Name of the file
 * @param directory Where to put the program
 */
export function compileC(source: string, directory: string): Program | null {
  const version = tryRun(["cc", "--version"]);
  if (version === null) return leaveOut("C", "install a C compiler that is called `cc`, for example gcc");
  const binary = `${directory}/${source.replace(/\.c$/, "")}`;
  if (tryRun(["cc", "-O2", "-pthread", here(source), "-o", binary]) === null) {
    return leaveOut("C", `\`cc\` cannot compile ${source}; install the headers of the C library`);
  }
  return { name: "C", version: `${version.split("\n")[0]}, -O2`, command: [binary] };
}

/** This very Deno. */
export function findDeno(): Program {
  return {
    name: "Deno",
    version: `Deno ${Deno.version.deno} (V8 ${Deno.version.v8})`,
    command: [Deno.execPath(), "run", "--quiet"],
  };
}

// Each is asked for the path of its binary, so that no wrapper stands between it and what is measured.

/** Finds CPython, or says how to get it. */
export function findCPython(python: string): Program | null {
  const ask = "import os, platform, sys; os.eventfd; print(sys.executable, platform.python_version(), " +
    "platform.python_compiler(), sep='\\n')";
  const [path, version, compiler] = tryRun([python, "-c", ask])?.split("\n") ?? [];
  if (path === undefined) {
    return leaveOut("CPython", `install a \`${python}\` from 3.10 on, which is the first with os.eventfd()`);
  }
  return { name: "CPython", version: `CPython ${version} (${compiler})`, command: [path] };
}

/** Finds Node, or says how to get it. */
export function findNode(): Program | null {
  return findJavaScript("Node", "node", ["-p", "process.execPath + '\\n' + process.versions.node"]);
}

/** Finds Bun, or says how to get it. */
export function findBun(): Program | null {
  return findJavaScript("Bun", "bun", ["-p", "process.execPath + '\\n' + Bun.version"]);
}

function findJavaScript(name: string, program: string, ask: string[]): Program | null {
  const [path, version] = tryRun([program, ...ask])?.split("\n") ?? [];
  if (path === undefined) return leaveOut(name, `get it with \`npm install --global ${program}\``);
  return { name, version: `${name} ${version}`, command: [path] };
}

function leaveOut(name: string, remedy: string): null {
  console.log(`${name} is left out: ${remedy}`);
  return null;
}

/** How many descriptors the processes that are started from here can open. */
export function descriptorLimit(): number {
  const limit = Number(tryRun(["sh", "-c", "ulimit -n"]));
  return Number.isNaN(limit) ? Infinity : limit; // it prints "unlimited" where it is
}

/** The machine in one line: kernel and processor. */
export function machine(): string {
  const model = /^model name\s*: (.*)$/m.exec(Deno.readTextFileSync("/proc/cpuinfo"))?.[1];
  const cores = navigator.hardwareConcurrency;
  const [release] = /^[\d.]*/.exec(Deno.osRelease())!;
  return `Linux ${release}, ${cores} cores${model === undefined ? "" : ` of ${model}`}`;
}

/** Says if other programs are at work: ratios stand that for the greater part, and nothing else does. */
export function warnIfBusy(): void {
  const [load] = Deno.loadavg();
  if (load! > 0.5) console.log(`NOT QUIET: the load average is ${load!.toFixed(1)} before anything was started`);
}
