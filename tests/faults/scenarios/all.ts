/**
 * Collects the scenarios of all files.
 *
 * @module
 */

import { primitives } from "./primitives.ts";
import { modes } from "./modes.ts";
import type { Scenario } from "./scenario.ts";
import { sockets } from "./sockets.ts";
import { stale } from "./stale.ts";
import { waitingFor } from "./wait_for.ts";
import { streams } from "./streams.ts";
import { waiting } from "./waiting.ts";
import { wakeups } from "./wakeups.ts";

/** Every scenario of the harness. */
export const scenarios: readonly Scenario[] = [
  ...waiting,
  ...waitingFor,
  ...modes,
  ...wakeups,
  ...stale,
  ...sockets,
  ...streams,
  ...primitives,
];
