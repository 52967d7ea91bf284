/**
 * Scenarios for the classes and functions of Python's `select` module.
 *
 * @module
 */

import { Epoll, EPOLLIN, EPOLLOUT, Poll, POLLIN, POLLOUT, select } from "../../../ffi/select/mod.ts";
import type { Lab } from "../lab.ts";
import { Meter } from "../meter.ts";
import { shim } from "../shim.ts";
import type { Scenario } from "./scenario.ts";

/** Timeout in milliseconds of a wait that nothing ends. */
const BRIEF_MS = 20;

/** Runs a step that waits and compares its result. An empty result must not come before the timeout. */
function expect(lab: Lab, wait: () => unknown, wanted: unknown): void {
  const overdue = shim.overdue();
  const meter = new Meter();
  const given = lab.try(wait);
  lab.assert(shim.overdue() === overdue, "a wait hangs");
  if (given === undefined) return;
  lab.assert(
    JSON.stringify(given) === JSON.stringify(wanted),
    `${JSON.stringify(given)} instead of ${JSON.stringify(wanted)}`,
  );
  const isEmpty = (given as unknown[]).flat().length === 0;
  lab.assert(!isEmpty || meter.elapsed >= BRIEF_MS, `a wait ends after ${meter.elapsed.toFixed(2)} ms`);
}

/** The scenarios for `Epoll`, `Poll` and `select()`. */
export const primitives: Scenario[] = [
  {
    name: "Epoll",
    run(lab) {
      using epoll = lab.need(() => new Epoll());
      const [one, other] = [lab.pair(), lab.pair()];
      lab.need(() => epoll.register(one.fd, EPOLLIN));
      expect(lab, () => epoll.poll(BRIEF_MS / 1000), []);
      lab.need(() => epoll.register(other.fd, EPOLLIN | EPOLLOUT));
      expect(lab, () => epoll.poll(), [[other.fd, EPOLLOUT]]);
      lab.need(() => epoll.modify(other.fd, EPOLLIN));
      other.fill();
      expect(lab, () => epoll.poll(1), [[other.fd, EPOLLIN]]);
      lab.need(() => epoll.unregister(other.fd));
      expect(lab, () => epoll.poll(BRIEF_MS / 1000), []);
    },
  },
  {
    name: "Poll",
    run(lab) {
      const poll = lab.need(() => new Poll());
      const [one, other] = [lab.pair(), lab.pair()];
      poll.register(one.fd, POLLIN);
      expect(lab, () => poll.poll(BRIEF_MS), []);
      poll.register(other.fd, POLLIN | POLLOUT);
      expect(lab, () => poll.poll(), [[other.fd, POLLOUT]]);
      poll.unregister(other.fd);
      one.fill();
      expect(lab, () => poll.poll(1000), [[one.fd, POLLIN]]);
    },
  },
  {
    name: "select()",
    run(lab) {
      const [one, other] = [lab.pair(), lab.pair()];
      expect(lab, () => select([one.fd], [], [], BRIEF_MS / 1000), [[], [], []]);
      one.fill();
      expect(lab, () => select([one.fd, other.fd], [other.fd], [], 1), [[one.fd], [other.fd], []]);
    },
  },
];
