/**
 * Times SelectSelector and AfdSelector on Windows, by the number of idle sockets, and prints the time of SelectSelector
 * divided by the time of AfdSelector. Above 1, AfdSelector is faster.
 *
 * ```sh
 * deno run --allow-ffi bench/afd.ts
 * ```
 *
 * @module
 */

import { AfdSelector, EVENT_READ, SelectSelector } from "../mod.ts";
import { type Socket, socketpair } from "../ffi/socket/mod.ts";

const IDLE = [1, 16, 64, 500, 2_000];
const SAMPLES = 5;
/** Length of one sample in milliseconds. */
const SAMPLE_MS = 150;
const byte = new Uint8Array(1);

/** Calls a function repeatedly for the length of a sample, and returns its median time in microseconds. */
function sample(body: () => void): number {
  const times: number[] = [];
  body();
  for (const start = performance.now(); performance.now() - start < SAMPLE_MS || times.length < 5;) {
    const before = performance.now();
    body();
    times.push((performance.now() - before) * 1000);
  }
  return times.sort((one, other) => one - other)[times.length >> 1]!;
}

/** Returns the minimum of several medians of both, measured alternately. */
function compare(bodies: [() => void, () => void]): [number, number] {
  const least: [number, number] = [Infinity, Infinity];
  for (let round = 0; round < SAMPLES; round++) {
    bodies.forEach((body, index) => least[index] = Math.min(least[index]!, sample(body)));
  }
  return least;
}

interface Scene {
  readonly selector: SelectSelector<undefined, Socket> | AfdSelector<undefined, Socket>;
  readonly here: Socket;
  readonly there: Socket;
  readonly sockets: readonly Socket[];
}

/** Cases, by their descriptions. The scene of each case has `here` registered among idle sockets. */
const CASES: Record<string, (scene: Scene) => () => void> = {
  "select(0), nothing ready": ({ selector }) => () => {
    if (selector.select(0).length !== 0) throw new Error("something is ready");
  },
  "select(0), one ready": ({ selector, there }) => {
    there.send(byte);
    return () => {
      if (selector.select(0).length !== 1) throw new Error("not one is ready");
    };
  },
  "send, select, recv": ({ selector, here, there }) => () => {
    there.send(byte);
    if (selector.select().length !== 1) throw new Error("not one is ready");
    here.recv(1);
  },
  "modify twice, select, recv": ({ selector, here, there }) => () => {
    selector.modify(here, EVENT_READ | 2);
    selector.modify(here, EVENT_READ);
    there.send(byte);
    selector.select();
    here.recv(1);
  },
  "select(0), all ready": ({ selector, sockets }) => {
    for (const socket of sockets) selector.modify(socket, 2);
    return () => {
      if (selector.select(0).length < sockets.length) throw new Error("not all are ready");
    };
  },
};

for (const [name, make] of Object.entries(CASES)) {
  console.log(name);
  for (const idle of IDLE) {
    const scenes = [SelectSelector, AfdSelector].map((Selector): Scene => {
      const pairs = Array.from({ length: Math.ceil(idle / 2) }, () => socketpair());
      const sockets = pairs.flat().slice(0, idle);
      const selector = new Selector<undefined, Socket>();
      const [here, there] = socketpair();
      for (const socket of [...sockets, here]) selector.register(socket, EVENT_READ);
      return { selector, here, there, sockets: [...pairs.flat(), here, there] };
    });
    // Cases only modify the registered sockets.
    const bodies = scenes.map((scene) =>
      make({ ...scene, sockets: scene.sockets.filter((socket) => scene.selector.getMap()!.has(socket)) })
    );
    const [select, afd] = compare([bodies[0]!, bodies[1]!]);
    const ratio = (select / afd).toFixed(select / afd < 10 ? 1 : 0);
    console.log(`  ${idle} idle: select ${select.toFixed(0)} µs, AFD ${afd.toFixed(0)} µs, select/AFD ${ratio}`);
    for (const { selector, sockets } of scenes) {
      selector.close();
      for (const socket of sockets) socket.close();
    }
  }
}
