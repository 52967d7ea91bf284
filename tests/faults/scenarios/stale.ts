/**
 * Scenarios for stale registrations: the descriptor was closed, was closed with an open duplicate, or was reused, or
 * the object no longer returns it.
 *
 * @module
 */

import { EVENT_READ, EVENT_WRITE } from "../../../mod.ts";
import { real, shim } from "../shim.ts";
import { iterate, select, selectAsync, Wait } from "../waits.ts";
import { ofEach, type Scenario } from "./scenario.ts";

/** Timeout in seconds of a wait that nothing ends. */
const BRIEF = 0.02;

/** Outcomes of fileno() on an object that has lost its descriptor. */
const LOST: Readonly<Record<string, (fd: number) => number>> = {
  "returns -1": () => -1,
  "returns another number": (fd) => fd + 500,
  "throws": (fd) => {
    throw new Error(`fd ${fd} is gone`);
  },
};

/** Excludes false errors of the calls that detect stale descriptors, because a selector has to trust those calls. */
const HONEST = { excluded: ["fcntl EBADF", "epoll_ctl EBADF", "epoll_ctl ENOENT"] };

/** The scenarios for stale registrations. */
export const stale: Scenario[] = [
  ...ofEach("a registered descriptor is closed", async (lab, Selector) => {
    const selector = lab.selector(Selector);
    const [live, dead] = [lab.pair(), lab.pair()];
    lab.register(selector, live, EVENT_READ);
    lab.register(selector, dead, EVENT_READ);
    dead.close();
    await select(lab, selector, BRIEF);
    await selectAsync(lab, selector, BRIEF);
    await iterate(lab, selector, BRIEF);
    await selectAsync(lab, selector, null, () => live.fill());
    lab.unregister(selector, dead);
    await select(lab, selector, null);
  }, HONEST),

  ...ofEach("a closed descriptor with a duplicate is unregistered before select()", async (lab, Selector) => {
    const selector = lab.selector(Selector);
    const [live, other, dead] = [lab.pair(), lab.pair(), lab.pair()];
    for (const thing of [live, other, dead]) lab.register(selector, thing, EVENT_READ);
    dead.duplicate();
    dead.close();
    lab.unregister(selector, dead);
    dead.fill();
    await select(lab, selector, BRIEF);
    live.fill();
    await select(lab, selector, null);
  }, HONEST),

  ...ofEach("a closed descriptor with a duplicate is unregistered before selectAsync()", async (lab, Selector) => {
    const selector = lab.selector(Selector);
    const [live, other, dead] = [lab.pair(), lab.pair(), lab.pair()];
    for (const thing of [live, other, dead]) lab.register(selector, thing, EVENT_READ);
    dead.duplicate();
    dead.close();
    lab.unregister(selector, dead);
    dead.fill();
    await selectAsync(lab, selector, BRIEF);
    await iterate(lab, selector, BRIEF);
    await selectAsync(lab, selector, null, () => live.fill());
  }, HONEST),

  ...ofEach("a closed descriptor with a duplicate is unregistered during selectAsync()", async (lab, Selector) => {
    const selector = lab.selector(Selector);
    const [live, dead] = [lab.pair(), lab.pair()];
    for (const thing of [live, dead]) lab.register(selector, thing, EVENT_READ);
    const wait = new Wait(lab, selector.selectAsync());
    await wait.underWay();
    dead.duplicate();
    dead.close();
    lab.unregister(selector, dead);
    dead.fill();
    await wait.underWay();
    live.fill();
    await wait.end();
  }, HONEST),

  ...ofEach("a closed descriptor with a duplicate stays registered", async (lab, Selector) => {
    const selector = lab.selector(Selector);
    const [live, dead] = [lab.pair(), lab.pair()];
    dead.fileobj = { fileno: () => dead.isOpen ? dead.fd : -1 };
    lab.register(selector, live, EVENT_READ);
    lab.register(selector, dead, EVENT_READ);
    dead.duplicate();
    dead.close();
    dead.isUncertain = true;
    await iterate(lab, selector, BRIEF);
    dead.fill();
    live.fill();
    await select(lab, selector, null);
    await selectAsync(lab, selector, null);
    await iterate(lab, selector, BRIEF);
    live.drain();
    await iterate(lab, selector, BRIEF);
    lab.unregister(selector, dead);
    dead.isUncertain = false;
    await selectAsync(lab, selector, BRIEF);
  }, HONEST),

  ...ofEach("a descriptor is reused while a duplicate of the former one is open", async (lab, Selector) => {
    const selector = lab.selector(Selector);
    const [live, dead] = [lab.pair(), lab.pair()];
    for (const thing of [live, dead]) lab.register(selector, thing, EVENT_READ);
    dead.duplicate();
    dead.close();
    lab.unregister(selector, dead);
    const heir = lab.pair(dead.fd);
    lab.register(selector, heir, EVENT_READ);
    dead.fill();
    await select(lab, selector, BRIEF);
    await selectAsync(lab, selector, BRIEF);
    await selectAsync(lab, selector, null, () => heir.fill());
    lab.modify(selector, heir, EVENT_READ | EVENT_WRITE);
    await select(lab, selector, null);
  }, HONEST),

  ...Object.entries(LOST).flatMap(([what, fileno]) =>
    ofEach(`fileno() ${what} while the descriptor is open`, async (lab, Selector) => {
      const selector = lab.selector(Selector);
      const [live, lost] = [lab.pair(), lab.pair()];
      let isLost = false;
      lost.fileobj = { fileno: () => isLost ? fileno(lost.fd) : lost.fd };
      lab.register(selector, live, EVENT_READ);
      lab.register(selector, lost, EVENT_READ);
      isLost = true;
      await iterate(lab, selector, BRIEF);
      lost.fill();
      await select(lab, selector, null);
      await selectAsync(lab, selector, null);
      await iterate(lab, selector, BRIEF);
    })
  ),

  ...ofEach("the read end of a pipe without a writer is registered for writing", async (lab, Selector) => {
    const selector = lab.selector(Selector);
    const [live, pipe] = [lab.pair(), lab.pipe()];
    lab.register(selector, live, EVENT_READ);
    lab.register(selector, pipe, EVENT_WRITE);
    pipe.isUncertain = true; // epoll and poll() report a hangup, select() reports nothing
    pipe.closePeer();
    await select(lab, selector, BRIEF);
    await selectAsync(lab, selector, BRIEF);
    const wait = new Wait(lab, selector.selectAsync());
    await wait.underWay();
    live.fill();
    await wait.end();
  }),

  ...ofEach("the program closes the sockets of the package", async (lab, Selector) => {
    const selector = lab.selector(Selector);
    const live = lab.pair();
    lab.register(selector, live, EVENT_READ);
    await selectAsync(lab, selector, BRIEF);
    for (const fd of shim.lastPair()) real.close(fd);
    const wait = new Wait(lab, selector.selectAsync(0.3).catch(String));
    await wait.underWay();
    await wait.end();
    live.fill();
    await select(lab, selector, null);
    await new Wait(lab, selector.selectAsync(0.3).catch(String)).end();
  }, { isAlone: true }),
];
