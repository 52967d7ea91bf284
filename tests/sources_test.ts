/**
 * The behavior that the classes of `./sources` share, in every selector class and in every other wait.
 *
 * @module
 */

import { assert, assertEquals, assertThrows } from "@std/assert";
import { describe } from "@std/testing/bdd";
import { Epoll, EPOLLIN, Poll, POLLIN, select } from "../ffi/select/mod.ts";
import { Notifier, ProcessExit, Signals, Timer } from "../ffi/sources/mod.ts";
import { type BaseSelector, EpollSelector, EVENT_READ, KqueueSelector, PollSelector, SelectSelector } from "../mod.ts";
import { os, type System, system, systemOf, SYSTEMS } from "../ffi/os/systems.ts";
import { EPOLL, SIGNALS } from "./support/needs.ts";
import { EXIT_INFO, PROCESSES, testOfWorkers, TIMERS } from "./support/sources.ts";
import { F_GETFD, FD_CLOEXEC, isWindows, libc, type Need, SOON, test } from "./support/util.ts";

/** A source class under test. */
interface Subject {
  name: string;
  needs: readonly Need[];
  /**
   * Creates a source, a function that makes it readable, and a function that waits until that has no more effects.
   */
  create(): { source: Source; fire(): void; ended?(): Promise<unknown> };
  /** The results of `read()` before and after the event. */
  nothing: unknown;
  something: unknown;
  /** Another valid result of `read()` after the event. */
  alternative?: unknown;
  /** True if the source stays readable after `read()`. */
  stays?: boolean;
  /** Declares a test. */
  test: typeof test;
}

interface Source extends Disposable {
  readonly closed: boolean;
  fileno(): number;
  read(): unknown;
  close(): void;
}

const SUBJECTS: readonly Subject[] = [
  {
    name: "Timer",
    needs: [TIMERS],
    create() {
      const source = new Timer();
      return { source, fire: () => source.set(0.001) };
    },
    nothing: 0,
    something: 1,
    test,
  },
  {
    name: "ProcessExit",
    needs: [PROCESSES],
    create() {
      const child = new Deno.Command("cat", { stdin: "piped", stdout: "null" }).spawn();
      const source = new ProcessExit(child.pid);
      return {
        source,
        fire: () => child.kill("SIGTERM"),
        ended: async () => {
          await child.stdin.close();
          return child.status;
        },
      };
    },
    nothing: null,
    something: { code: 143, signal: "SIGTERM" },
    // Deno may reap the child during an asynchronous wait, and then its exit code is unknown.
    alternative: EXIT_INFO === null ? undefined : { code: undefined, signal: null },
    stays: true,
    test,
  },
  {
    name: "Notifier",
    needs: [],
    create() {
      const source = new Notifier();
      return { source, fire: () => source.notify() };
    },
    nothing: false,
    something: true,
    test,
  },
  {
    name: "Signals",
    needs: [SIGNALS],
    // SIGWINCH, because its default action is to do nothing if it arrives during close().
    create: () => ({ source: new Signals(["SIGUSR2", "SIGWINCH"]), fire: () => Deno.kill(Deno.pid, "SIGWINCH") }),
    nothing: [],
    something: ["SIGWINCH"],
    test: testOfWorkers,
  },
];

/** Ways to wait until the source is readable, with a need that this system may lack. */
const WAITS: Record<string, [need: Need, wait: (source: Source) => unknown]> = {
  "select()": [null, (source) => select([source], [], [], SOON)[0].length],
  "Poll": [isWindows ? "Windows has no poll()" : null, (source) => {
    const poll = new Poll();
    poll.register(source, POLLIN);
    return poll.poll(SOON * 1000).length;
  }],
  "Epoll": [EPOLL, (source) => {
    using epoll = new Epoll();
    epoll.register(source, EPOLLIN);
    return epoll.poll(SOON).length;
  }],
};
const CLASSES: [need: Need, Selector: new () => BaseSelector][] = [
  [EPOLL, EpollSelector],
  [isWindows ? "Windows has no poll()" : null, PollSelector],
  [null, SelectSelector],
];
CLASSES.push([kqueueNeed(), KqueueSelector]);

/** Returns the reason why this system has no kqueue, or null. */
function kqueueNeed(): Need {
  try {
    new KqueueSelector().close();
    return null;
  } catch (error) {
    if (!(error instanceof Deno.errors.NotSupported)) throw error;
    return `${os} has no kqueue`;
  }
}

for (const [need, Selector] of CLASSES) {
  const registered = <Result>(source: Source, use: (selector: BaseSelector) => Result) => {
    const selector = new Selector();
    selector.register(source, EVENT_READ);
    return use(selector);
  };
  WAITS[`${Selector.name}.select()`] = [need, (source) =>
    registered(source, (selector) => {
      using _ = selector;
      return selector.select(SOON).length;
    })];
  WAITS[`${Selector.name}.selectAsync()`] = [need, (source) =>
    registered(source, async (selector) => {
      using _ = selector;
      return (await selector.selectAsync(SOON)).length;
    })];
  WAITS[`for await of ${Selector.name}`] = [need, (source) =>
    registered(source, async (selector) => {
      using _ = selector;
      for await (const [key, events] of selector.events({ timeout: SOON })) {
        assertEquals([key.fileobj, events], [source, EVENT_READ]);
        return 1;
      }
      return 0;
    })];
}

describe("systems", () => {
  const make: Record<"timer" | "process", [Source: string, create: () => unknown, advice: string]> = {
    timer: ["Timer", () => new Timer(1), "use the timeout of the wait"],
    process: ["ProcessExit", () => new ProcessExit(Deno.pid), "use the status of Deno.ChildProcess"],
  };
  for (const field of ["timer", "process"] as const) {
    const [name, create, advice] = make[field];
    test(`new ${name}() throws NotSupported with advice on a system that lacks it`, () => {
      const changeable = system as { -readonly [Field in keyof System]: System[Field] };
      const { [field]: mechanism } = changeable;
      try {
        changeable[field] = null;
        assertThrows(create, Deno.errors.NotSupported, advice);
      } finally {
        Object.assign(changeable, { [field]: mechanism });
      }
    });
  }

  test("SYSTEMS have the mechanisms of each system's kernel", () => {
    const found = Object.entries(SYSTEMS).map(([name, { timer, process }]) => [name, timer, process]);
    assertEquals(found, [
      ["linux", "timerfd", "pidfd"],
      ["android", "timerfd", "pidfd"],
      ["darwin", "kqueue", "kqueue"],
      ["freebsd", "kqueue", "kqueue"],
      ["netbsd", "kqueue", "kqueue"],
      ["solaris", null, null],
      ["illumos", null, null],
      ["windows", null, null],
    ]);
    assertEquals([systemOf("other").timer, systemOf("other").process], [null, null]);
  });
});

for (const { name, needs, create, nothing, something, alternative, stays = false, test } of SUBJECTS) {
  describe(name, () => {
    test(`${name} is a file object that closes once, and has no descriptor afterwards`, { needs }, async () => {
      const { source, fire, ended } = create();
      const fd = source.fileno();
      assert(fd >= 0);
      assertEquals([source.closed, source.read()], [false, nothing]);
      if (libc !== null) assertEquals(libc.fcntl(fd, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
      fire();
      source.close();
      assertEquals([source.closed, source.fileno()], [true, -1]);
      using other = new Notifier(); // may have the same descriptor
      source.close();
      other.notify();
      assert(other.read());
      assertThrows(() => source.read(), Deno.errors.BadResource, "closed");
      await ended?.();
    });

    test(`${name} is closed at the end of a using block`, { needs }, async () => {
      const { source, fire, ended } = create();
      {
        using _ = source;
        fire();
        await ended?.();
      }
      assert(source.closed);
    });

    for (const [way, [need, wait]] of Object.entries(WAITS)) {
      test(`${name} ends a wait of ${way}, and read() clears it`, { needs: [...needs, need] }, async () => {
        const { source, fire, ended } = create();
        using _ = source;
        assertEquals(select([source], [], [], 0)[0], []);
        fire();
        assertEquals(await wait(source), 1);
        const result = source.read();
        const isAlternative = alternative !== undefined && JSON.stringify(result) === JSON.stringify(alternative);
        if (!isAlternative) assertEquals(result, something);
        assertEquals(source.read(), stays ? result : nothing);
        assertEquals(select([source], [], [], 0)[0].length, stays ? 1 : 0);
        await ended?.();
      });
    }
  });
}
