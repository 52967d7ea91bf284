import { assert } from "@std/assert";
import { describe } from "@std/testing/bdd";
import { DefaultSelector, EpollSelector, PollSelector, SelectSelector } from "../mod.ts";
import { type Os, os } from "../ffi/os/systems.ts";
import { asyncContract } from "./contracts/async_contract.ts";
import { asynchronously, type Contract, selectorContract } from "./contracts/selector_contract.ts";
import { hasEpollPwait2, hasPpoll, isEmulated, isWindows, skip, test } from "./support/util.ts";

const SHORT_WAIT = "select() waits for a tenth of a millisecond, and not for a whole one";
const coarseEpoll = hasEpollPwait2() ? {} : { [SHORT_WAIT]: "this kernel has no epoll_pwait2" };
const coarsePoll = hasPpoll ? {} : { [SHORT_WAIT]: "this system has no ppoll()" };

const narrow = !isEmulated ? {} : {
  "register() takes a descriptor above 1,024": "the emulator ends the process at such a descriptor in select()",
  "select() reports as many as the system lets be open, in one call": "the emulator's select() knows 1,024 descriptors",
};

/** What a test wants of a Unix, and Windows does not have. */
const NO_DUP = "Windows cannot give a socket another number";
const unixOnly = {
  "register() takes a descriptor above 1,024": NO_DUP,
  "unregister() works after the number was reused, and leaves what has it now alone": NO_DUP,
  "a description that outlives its number raises no event once it is unregistered": NO_DUP,
  "a number that is used again means the new descriptor only": NO_DUP,
  "modify() of a descriptor that was seen closed is refused, even if its number is used again": NO_DUP,
  "stale descriptions starve nobody": NO_DUP,
  "select() goes on waiting when signals interrupt it, for the time that is left": "Windows has no such signals",
  [SHORT_WAIT]: "the clocks of Windows are coarser",
};

const contracts: readonly [contract: Contract, systems: readonly Os[] | "all but Windows" | "all"][] = [
  [{ name: "EpollSelector", create: () => new EpollSelector(), skips: coarseEpoll }, ["linux", "android"]],
  [{ name: "PollSelector", create: () => new PollSelector(), skips: coarsePoll }, "all but Windows"],
  [{ name: "SelectSelector", create: () => new SelectSelector(), skips: isWindows ? unixOnly : narrow }, "all"],
];

for (const [contract, systems] of contracts) {
  if (systems === "all" || (systems === "all but Windows" ? !isWindows : systems.includes(os))) {
    selectorContract(contract);
    selectorContract({ ...contract, name: `${contract.name}, waiting asynchronously`, select: asynchronously });
    asyncContract(contract);
  } else {
    skip(`the contract of ${contract.name}`, `${os} has no such call`);
  }
}

describe("DefaultSelector", () => {
  test("DefaultSelector is a class whose contract is tested here, or in libkqueue_test.ts", () => {
    const tested = [...contracts.map(([{ name }]) => name), "KqueueSelector"];
    assert(tested.includes(DefaultSelector.name), DefaultSelector.name);
  });
});
