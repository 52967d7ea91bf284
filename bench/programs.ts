/**
 * Finds the programs to time on this machine, or compiles them from a file of this directory.
 *
 * @module
 */

/** A program on this machine. */
export interface Program {
  /** The name to print. */
  name: string;
  /** The product and its version. */
  version: string;
  /** The command line; the caller may append arguments. */
  command: string[];
}

/** Returns the path of a file of this directory. */
export function here(name: string): string {
  return `${import.meta.dirname!}/${name}`;
}

/** Runs a command and returns its output, or null if it does not exist or fails. */
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
 * Compiles a file of this directory, or prints why it cannot.
 *
 * @param source Name of the file
 * @param directory Directory for the program
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

/** Returns this Deno. */
export function findDeno(): Program {
  return {
    name: "Deno",
    version: `Deno ${Deno.version.deno} (V8 ${Deno.version.v8})`,
    command: [Deno.execPath(), "run", "--quiet"],
  };
}

// The find functions ask each program for the path of its binary, so that no wrapper script is measured.

/** Finds CPython, or prints how to get it. */
export function findCPython(python: string): Program | null {
  const ask = "import os, platform, sys; os.eventfd; print(sys.executable, platform.python_version(), " +
    "platform.python_compiler(), sep='\\n')";
  const [path, version, compiler] = tryRun([python, "-c", ask])?.split("\n") ?? [];
  if (path === undefined) {
    return leaveOut("CPython", `install \`${python}\` 3.10 or later, which has os.eventfd()`);
  }
  return { name: "CPython", version: `CPython ${version} (${compiler})`, command: [path] };
}

/** Finds Node, or prints how to get it. */
export function findNode(): Program | null {
  return findJavaScript("Node", "node", ["-p", "process.execPath + '\\n' + process.versions.node"]);
}

/** Finds Bun, or prints how to get it. */
export function findBun(): Program | null {
  return findJavaScript("Bun", "bun", ["-p", "process.execPath + '\\n' + Bun.version"]);
}

function findJavaScript(name: string, program: string, ask: string[]): Program | null {
  const [path, version] = tryRun([program, ...ask])?.split("\n") ?? [];
  if (path === undefined) return leaveOut(name, `get it with \`npm install --global ${program}\``);
  return { name, version: `${name} ${version}`, command: [path] };
}

function leaveOut(name: string, remedy: string): null {
  console.log(`Skipped ${name}: ${remedy}`);
  return null;
}

/** Returns the number of descriptors that child processes can open. */
export function descriptorLimit(): number {
  const limit = Number(tryRun(["sh", "-c", "ulimit -n"]));
  return Number.isNaN(limit) ? Infinity : limit; // it may print "unlimited"
}

/** Returns one line about the machine: kernel and processor. */
export function machine(): string {
  const model = /^model name\s*: (.*)$/m.exec(Deno.readTextFileSync("/proc/cpuinfo"))?.[1];
  const cores = navigator.hardwareConcurrency;
  const [release] = /^[\d.]*/.exec(Deno.osRelease())!;
  return `Linux ${release}, ${cores} cores${model === undefined ? "" : ` of ${model}`}`;
}

/** Prints a warning if other programs are running; they affect ratios little, but all other numbers much. */
export function warnIfBusy(): void {
  const [load] = Deno.loadavg();
  if (load! > 0.5) console.log(`NOT QUIET: the load average was ${load!.toFixed(1)} before the first measurement`);
}
